"""Points and sweeps: simulate, compare, load and draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip
from memgrain.runs.labels import SHARE
from memgrain.runs.options import RunOptions
from memgrain.runs.task import Task, as_source, read_workload
from memgrain.sim import METRICS, Result
from memgrain.workloads import AnyWorkload, Trace

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from memgrain.models import ModelRun

COMPARED = ("time_us", "dram_read_bytes", "amplification", "effective_bandwidth_share", "bottleneck")
"""Metrics that `compare` shows unless others are named."""
ChipLike = str | Path | Chip
"""A chip: shipped name, YAML file, or a loaded chip, where no interval is drawn from its ranges."""
WorkloadLike = str | Path | Mapping[str, Any] | AnyWorkload
"""A workload: shipped name, YAML file, the mapping itself, or a loaded workload."""


def run(
    chip: ChipLike,
    workload: WorkloadLike,
    *,
    set: Mapping[str, Any] | None = None,
    before: str = "cold",
    tune: Sequence[str] | str = (),
) -> Result:
    """Simulate one workload on one chip.

    `set` holds dotted overrides of either; the first part of a key decides which. `before` is the state of the caches:
    cold, dirty or warm. `tune` names keys of the tiling ("splits,block_kv") whose best values are searched, see
    `memgrain.runs.tune`.

    Raises HardwareError, WorkloadError, SimulationError or MemgrainError.
    """
    return Task.of(chip, workload, set, before, tune).resolve().simulate()


def traces(chip: ChipLike, workload: WorkloadLike, *, set: Mapping[str, Any] | None = None) -> tuple[Trace, ...]:
    """The traces of a workload's kernels in order, cut for the cores and scratchpads of a chip; for `simulate`,
    `save_trace` and `trace_statistics`. Raises HardwareError, WorkloadError or MemgrainError."""
    return Task.of(chip, workload, set).resolve().kernels()


def name_of(chip: ChipLike) -> str:
    """The name or file of a chip, for functions that read its file; raises MemgrainError for a loaded chip."""
    if isinstance(chip, Chip):
        raise MemgrainError(
            f"{chip.name} is a loaded chip, and this function reads the chip's file; give its name or its YAML file, "
            f"and overrides as set={{...}}"
        )
    return str(chip)


def load_workload(workload: WorkloadLike, *, set: Mapping[str, Any] | None = None) -> AnyWorkload:
    """The validated workload of that shipped name, YAML file or mapping, with dotted overrides. Raises WorkloadError,
    and MemgrainError for an unknown name."""
    return read_workload(as_source(workload), set or {})


def sweep(
    spec: str | Path | Mapping[str, Any], out: str | Path | None = None, *, options: RunOptions = RunOptions()
) -> pd.DataFrame:
    """Simulate every point of a sweep (a file, a shipped name or a mapping); returns a tidy frame in grid order.

    Rows are kept in the folder `out`, or `options.out`, or out/NAME; points whose rows are there are not simulated
    again. Raises MemgrainError if a point fails; the rows of the others are kept.
    """
    from memgrain.runs.execute import run_sweep
    from memgrain.runs.rows import load_frame
    from memgrain.runs.sweep import load_sweep
    from memgrain.runs.tidy import tidy

    loaded = load_sweep(spec)
    outcome = run_sweep(loaded, _folder(out, options, loaded.name), options)
    if outcome.failures:
        raise MemgrainError(
            f"{len(outcome.failures)} of {outcome.total} points failed, first: {outcome.failures[0]}; "
            f"the others are in {outcome.path}"
        )
    return tidy(load_frame(outcome.path, ids=outcome.ids))


def intervals(
    spec: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    metric: str = SHARE,
    options: RunOptions = RunOptions(),
) -> pd.DataFrame:
    """Intervals from 5 to 95 % of a metric at every point of a sweep, which is run first as `sweep` does.

    Columns: chip, workload, the grid's keys, metric, usual (with the chip's own numbers), low, median, high, rests_on
    (what the interval rests on, in words; why there is none where low to high are missing), id. 16 draws are made of
    each point unless `options.samples` is given; drawn rows are kept in `out`/draws, the frame in `out`/intervals.csv.
    Raises MemgrainError if a point of the sweep itself fails.
    """
    from memgrain.runs.sweep import load_sweep
    from memgrain.runs.tidy import tidy
    from memgrain.uncertainty.sampling import check_figure
    from memgrain.uncertainty.sweeps import intervals_of

    check_figure(metric)
    loaded = load_sweep(spec)
    folder = _folder(out, options, loaded.name)
    sweep(spec, folder, options=options)
    return tidy(intervals_of(loaded, folder, metric, options).frame)


def load_rows(path: str | Path) -> pd.DataFrame:
    """The rows of a sweep's folder, or of its rows.jsonl, as a tidy frame in grid order; raises MemgrainError."""
    from memgrain.runs.rows import load_frame
    from memgrain.runs.tidy import tidy

    return tidy(load_frame(path))


def plot(
    frame: pd.DataFrame, metric: str | None = None, *, x: str | None = None, y: str | None = None, by: str | None = None
) -> list[Figure]:
    """Figures of a sweep's rows: heatmaps if two or more keys vary, lines if one does; raises MemgrainError.

    `x` and `y` name the keys along the axes, `by` the key of the panels or lines.
    """
    from memgrain.plots import figures

    return [figure for _, figure in figures(frame, metric, x, y, by)]


def compare(
    results: Mapping[str, Result | ModelRun] | Iterable[Result | ModelRun], *, metrics: Sequence[str] = COMPARED
) -> pd.DataFrame:
    """Two or more results side by side: a row for each, with `metrics` and, for numbers of amount such as time and
    bytes, METRIC_ratio to the first row.

    Results are of `run`, `simulate` or `run_model`; a mapping names the rows. Of a step of a model the metrics are
    time_us and dram_read_bytes. Raises MemgrainError for fewer than two results or an unknown metric.
    """
    import pandas as pd

    named = results.items() if isinstance(results, Mapping) else [("", result) for result in results]
    rows = [_compared(name, result, metrics) for name, result in named]
    if len(rows) < 2:
        raise MemgrainError(f"{len(rows)} result to compare; give two at least")
    frame = pd.DataFrame(rows)
    if not frame["name"].any():
        frame = frame.drop(columns="name")
    for metric in [name for name in metrics if name in frame and _is_amount(name, frame[name])]:
        first = frame[metric].iloc[0]
        frame.insert(
            list(frame.columns).index(metric) + 1, f"{metric}_ratio", frame[metric] / first if first else float("nan")
        )
    return frame


def _compared(name: str, result: Result | ModelRun, metrics: Sequence[str]) -> dict[str, Any]:
    """The row of a result."""
    from memgrain.models import ModelRun

    if isinstance(result, ModelRun):
        values: dict[str, Any] = {"time_us": result.time / 1e6, "dram_read_bytes": result.read_bytes}
        place = {"chip": result.request.chip.name, "workload": result.request.model.name}
    else:
        values, place = result.row(), {"chip": result.chip, "workload": result.workload}
        for metric in metrics:
            if metric not in values:
                raise MemgrainError(f"no metric or counter '{metric}' in the result on {result.chip}; see result.row()")
    return {"name": name, **place, **{metric: values[metric] for metric in metrics if metric in values}}


def _is_amount(name: str, column: pd.Series) -> bool:
    """Whether ratios of a metric say something: numbers that are no share themselves."""
    import pandas as pd

    share = name in METRICS and not METRICS[name].unit
    return pd.api.types.is_numeric_dtype(column) and not share and not column.isna().any()


def _folder(out: str | Path | None, options: RunOptions, name: str) -> Path:
    """Where rows are kept: the folder that is named, or out/NAME."""
    return Path(out) if out is not None else options.out or Path("out") / name
