"""What do I want to know? Tasks, sweeps, figures and the command line; no physics.

import memgrain
result = memgrain.run("h100_sxm", "decode_topk", set={"shape.head_dim": 96, "l2.ways": 32})
frame = memgrain.sweep({"name": "dims", "chips": ["h100_sxm"], "workload": "decode_topk",
                        "grid": {"shape.head_dim": [64, 96, 128]}}, "out/dims")
figures = memgrain.plot(frame)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memgrain.errors import CodesignError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from memgrain.sim import Result

__all__ = ["CodesignError", "intervals", "load_rows", "plot", "run", "sweep"]


def run(
    chip: str | Path,
    workload: str | Path | Mapping[str, Any],
    set: Mapping[str, Any] | None = None,
    before: str = "cold",
    tune: Sequence[str] | str = (),
) -> Result:
    """The result of one workload on one chip; `set` holds dotted overrides of either, told apart by their first part.

    `tune` names keys of the tiling ("splits,block_kv") whose best values are found first, see `memgrain.runs.tune`.

    Raises HardwareError, WorkloadError, SimulationError or CodesignError.
    """
    from memgrain.runs.overrides import split
    from memgrain.runs.task import Task
    from memgrain.runs.tune import keys_of

    keys = keys_of(tune) if tune else ()
    chip_set, workload_set = split(set or {}, chip)
    return Task(str(chip), chip_set, workload, workload_set, before, keys).resolve().simulate()


def sweep(
    spec: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
) -> pd.DataFrame:
    """The rows of a sweep (a file, a shipped name or a mapping) as a frame; `out` is its folder, or `out/NAME`.

    Points already there are not run again. Raises CodesignError if any point fails; the others are kept.
    """
    from memgrain.runs.execute import run_sweep
    from memgrain.runs.rows import load_frame
    from memgrain.runs.sweep import load_sweep

    loaded = load_sweep(spec)
    folder = Path(out) if out is not None else Path("out") / loaded.name
    outcome = run_sweep(loaded, folder, jobs, cluster)
    if outcome.failures:
        raise CodesignError(
            f"{len(outcome.failures)} of {outcome.total} points failed, first: {outcome.failures[0]}; "
            f"the others are in {outcome.path}"
        )
    return load_frame(outcome.path, ids=outcome.ids)


def intervals(
    spec: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    metric: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    jobs: int | None = None,
    cluster: str | None = None,
) -> pd.DataFrame:
    """Intervals from 5 to 95 % of a metric at every point of a sweep, which is run first as `sweep` does: a frame with
    id, chip, workload, the grid's keys, metric, usual, low, median, high, and in words what these rest on.

    The metric is effective_bandwidth_share, and 16 draws are taken of each point, unless others are named; drawn rows
    are kept in `out`/draws, the frame in `out`/intervals.csv. A point that no interval can be given for has none, and
    `rests_on` says why. Raises CodesignError if a point of the sweep itself fails; the others are kept.
    """
    from memgrain.runs.labels import SHARE
    from memgrain.runs.sweep import load_sweep
    from memgrain.uncertainty.each import FEW, check_draws
    from memgrain.uncertainty.sampling import check_figure
    from memgrain.uncertainty.sweeps import intervals_of

    draws = FEW if samples is None else samples
    check_figure(metric or SHARE)
    check_draws(draws, seed)
    loaded = load_sweep(spec)
    folder = Path(out) if out is not None else Path("out") / loaded.name
    sweep(spec, folder, jobs, cluster)
    return intervals_of(loaded, folder, metric or SHARE, draws, seed, jobs, cluster).frame


def load_rows(path: str | Path) -> pd.DataFrame:
    """The rows of a sweep's folder, or of its rows.jsonl, as a frame; raises CodesignError."""
    from memgrain.runs.rows import load_frame

    return load_frame(path)


def plot(frame: pd.DataFrame, metric: str | None = None) -> list[Figure]:
    """Figures of a sweep's rows: heatmaps if two or more keys vary, lines if one does; raises CodesignError."""
    from memgrain.plots import figures

    return [figure for _, figure in figures(frame, metric)]
