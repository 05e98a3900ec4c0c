"""Studies: what a result depends on, how it grows, which design is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from memgrain.api.points import ChipLike, WorkloadLike, name_of
from memgrain.errors import MemgrainError
from memgrain.runs.options import RunOptions
from memgrain.runs.overrides import split
from memgrain.runs.quantities import size_of
from memgrain.runs.task import Task, as_source
from memgrain.sim import Axis

if TYPE_CHECKING:
    import pandas as pd

    from memgrain.analysis.curve import MissRatios
    from memgrain.analysis.prefetch import PrefetchStudy
    from memgrain.analysis.scaling import Scaling
    from memgrain.explore.explored import Explored
    from memgrain.explore.solver import SolveResult
    from memgrain.sim.network.collectives import CollectiveRun
    from memgrain.uncertainty import UncertainResult
    from memgrain.uncertainty.assumptions import AssumptionInterval
    from memgrain.uncertainty.sensitivity import Sensitivity

Settings = Mapping[str, Any]
"""Dotted overrides of a chip or a workload."""


def curve(
    chip: ChipLike,
    workload: WorkloadLike,
    *,
    axis: Axis = "capacity",
    sampled: float | None = None,
    line: int | str | None = None,
    sets: int | None = None,
    set: Settings | None = None,
) -> MissRatios:
    """Miss ratios of reads in last caches of other capacities, or of other `ways` (`axis`), from one pass.

    `sampled` is the share of lines that are counted (0.01), None for all. `line` (bytes, or a text such as '128 B') and
    `sets` describe the cache that a chip without one is thought to have. The result has `frame()`. Raises
    MemgrainError if these do not fit the chip, and the errors of `run`.
    """
    from memgrain.analysis.curve import miss_ratios

    shape = (None if line is None else size_of(line, "line"), sets)
    return miss_ratios(name_of(chip), as_source(workload), axis, sampled, split(set or {}, chip), shape)


def interval(
    chip: ChipLike,
    workload: WorkloadLike,
    *,
    metric: str = "time_us",
    set: Settings | None = None,
    before: str = "cold",
    tune: Sequence[str] | str = (),
    options: RunOptions = RunOptions(),
) -> UncertainResult:
    """The interval from 5 to 95 % of a metric: the chip's uncertain numbers are drawn, 100 times unless
    `options.samples` is given, and the model's own error is added.

    The unit is the metric's. Raises MemgrainError for a metric that is unknown or no number, and the errors of `run`.
    """
    from memgrain.uncertainty import interval_of

    return interval_of(Task.of(chip, workload, set, before, tune), metric, options)


def assumptions(
    chip: ChipLike,
    workload: WorkloadLike,
    *,
    set: Settings | None = None,
    before: str = "cold",
    options: RunOptions = RunOptions(),
) -> AssumptionInterval:
    """The time in us with each assumed number of the chip at the ends of its range, singly and all together.

    Numbers in `set` stay fixed. Raises MemgrainError if no assumed number is left, and the errors of `run`.
    """
    from memgrain.uncertainty.assumptions import over_assumptions

    return over_assumptions(Task.of(chip, workload, set, before), options)


def sensitivity(
    chip: ChipLike,
    workload: WorkloadLike,
    *,
    metric: str = "time_us",
    set: Settings | None = None,
    before: str = "cold",
    options: RunOptions = RunOptions(),
) -> Sensitivity:
    """The numbers of the chip, ranked by what they do to a metric: `effects` over their ranges, as shares of the
    metric, and elasticities; `fixed` are those that could not be varied. Raises MemgrainError, and the errors of `run`.
    """
    from memgrain.uncertainty.sensitivity import sensitivity as effects

    return effects(Task.of(chip, workload, set, before), metric, options)


def whatif(
    chip: ChipLike,
    workload: WorkloadLike,
    *,
    set: Settings | None = None,
    before: str = "cold",
    options: RunOptions = RunOptions(),
) -> pd.DataFrame:
    """Ten changes that an architect asks about, one at a time, as a frame: change, time_us, time_before_us, effect (a
    share of the time before), plausible (whether the time moved as physics lets it), reason, set. Raises the errors
    of `run`."""
    import pandas as pd

    from memgrain.analysis.whatif import what_if

    found = what_if(Task.of(chip, workload, set, before), options)
    return pd.DataFrame([item.record() for item in found])


def scaling(chip: ChipLike, *, contexts: Sequence[int] | None = None, options: RunOptions = RunOptions()) -> Scaling:
    """How bytes, operations and time of a decode step of one layer grow with the context in tokens, by mechanism.

    The result has `rows` (one for each mechanism and context), `exponents()` of a power law, and `failures`. Raises
    HardwareError for an unknown chip, MemgrainError for a context below the window of the mechanisms, 4096.
    """
    from memgrain.analysis.scaling import CONTEXTS
    from memgrain.analysis.scaling import scaling as growth

    return growth(name_of(chip), sorted({*(contexts or CONTEXTS)}), options=options)


def prefetch(
    chip: str | Path,
    workloads: str | Sequence[str],
    *,
    tensors: Sequence[str] = (),
    piece: int | str = 512,
    into: Literal["cache", "scratchpad"] = "cache",
    limit: int | str | None = None,
    set: Settings | None = None,
    options: RunOptions = RunOptions(),
) -> PrefetchStudy:
    """Whether fetching ahead pays, by how often the guess is right and how far ahead it begins: `rows`, `verdict()`.

    `workloads` run one after the other; see `memgrain.analysis.prefetch.study`. `piece` and `limit` are bytes or texts
    such as '4 MiB'. Raises MemgrainError, WorkloadError or SimulationError for what cannot be fetched ahead.
    """
    from memgrain.analysis.prefetch import study

    names = [workloads] if isinstance(workloads, str) else list(workloads)
    most = None if limit is None else size_of(limit, "limit")
    return study(name_of(chip), names, tensors, size_of(piece, "piece"), into, most, split(set or {}, chip), options)


def collective(
    chip: ChipLike,
    op: str = "all_reduce",
    size: int | str = "64 MiB",
    *,
    chips: int = 8,
    algorithm: str = "auto",
    set: Settings | None = None,
) -> CollectiveRun:
    """Time in ps of an operation over several chips, such as an all-reduce.

    `size` is that of the whole vector, result or message, in bytes or a text such as '64 MiB'. Raises HardwareError,
    and SimulationError for an operation, a number of chips or an algorithm that the chip's links do not have.
    """
    from memgrain.hwmodels import load_chip
    from memgrain.sim.network.collectives import collective as exchange

    return exchange(load_chip(chip, set or {}), op, size_of(size, "size"), chips, algorithm)


def search(
    spec: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    storage: str | None = None,
    options: RunOptions = RunOptions(jobs=1),
) -> Explored:
    """Search designs for a Pareto front (a file, a shipped name or a mapping); a search that was interrupted goes on.

    Rows and the study are kept in `out`, or `options.out`, or out/NAME. `changes` replaces top-level keys of the file,
    such as trials, sampler or seed. `storage` is the URL of a database for the study. The result has `front` and
    `frame()`. Raises MemgrainError.
    """
    from memgrain.explore.spec import load_search
    from memgrain.explore.study import explore

    loaded = load_search(spec, changes)
    folder = Path(out) if out is not None else options.out or Path("out") / loaded.name
    return explore(loaded, folder, storage, options)


def solve(
    key: str,
    chip: ChipLike,
    workload: WorkloadLike,
    condition: str | None = None,
    *,
    minimise: str | None = None,
    maximise: str | None = None,
    largest: bool = False,
    low: Any = None,
    high: Any = None,
    step: Any = None,
    values: Sequence[Any] = (),
    set: Settings | None = None,
    before: str = "cold",
    out: str | Path | None = None,
) -> SolveResult:
    """The smallest (or `largest`) value of a key for which a condition such as 'l2.hit_rate >= 0.95' holds, or the
    value at which the metric `minimise` or `maximise` is best.

    Values lie between `low` and `high`, `step` apart, or are those of `values`; left out, they are chosen around the
    present value. Rows are kept in the folder `out` and not simulated again. Raises MemgrainError unless exactly one
    goal is given.
    """
    from memgrain.explore.candidate_grid import GridBounds
    from memgrain.explore.condition import parse_condition
    from memgrain.explore.solver import SolveQuery, best
    from memgrain.explore.solver import solve as smallest

    if sum(goal is not None for goal in (condition, minimise, maximise)) != 1:
        raise MemgrainError(
            "give one goal: a condition such as 'l2.hit_rate >= 0.95', a metric to minimise, or one to maximise"
        )
    if values and (low, high, step) != (None, None, None):
        raise MemgrainError("a list of values has no range; leave low, high and step out")
    if largest and condition is None:
        raise MemgrainError("largest is for a condition; to seek the largest value of a metric, maximise it")
    if key in (set or {}):
        raise MemgrainError(f"'{key}' is sought and set; leave it out of the overrides")
    bounds = GridBounds(low, high, step, tuple(values))
    request = SolveQuery(key, name_of(chip), as_source(workload), set or {}, bounds, before)
    folder = None if out is None else Path(out)
    if condition is not None:
        return smallest(request, parse_condition(condition), largest, folder)
    return best(request, str(minimise or maximise), maximise is not None, folder)
