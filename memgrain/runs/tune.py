"""Tuning: the tile sizes, splits and stages with which a point is fastest.

Tilings with short estimated times (`workloads.estimated_time`) are simulated beside the tiling without tuning; the
fastest is kept.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from memgrain.errors import MemgrainError
from memgrain.inputs.spelling import suggest
from memgrain.runs.options import NoProgress, RunOptions
from memgrain.runs.rows import Row
from memgrain.runs.task import Files, Point, Task, attention_of, budget
from memgrain.sim import Result, SimulationError
from memgrain.workloads import SparseAttentionStep, Workload, WorkloadError, estimated_time, fit, tiled

TUNABLE = ("splits", "block_kv", "stages", "block_q")
"""Keys of a tiling that can be tuned, in the order of the search."""
TRIED = 10
"""Most tilings that are simulated for a point, besides its own tiling."""
ALIKE = 3
"""Most of these tilings that share one value of the first key."""
LARGEST = 4096
"""Rows or tokens of the largest tile that is tried."""
WIDEST = 8
"""Number of splits up to which every number is tried; above it, those that fill whole waves, and powers of two."""
COLUMN = "tuned."
"""Prefix of the columns of tuned keys."""
PLAIN_TIME = f"{COLUMN}plain_time_us"
"""Column of the time without tuning."""
Values = dict[str, int]


@dataclass(frozen=True)
class Tuned:
    """A tuned point: its best values and their result."""

    point: Point
    """The point with these values set; it is not tuned again."""
    result: Result
    """The result with these values."""
    values: dict[str, int]
    """The values by key, such as tiling.splits; none where the launcher's own choice was the best."""
    plain_time: int
    """Time in ps without tuning."""
    tried: int
    """Number of tilings that were simulated."""

    def columns(self) -> dict[str, Any]:
        """The columns of a row."""
        own = {COLUMN + key: value for key, value in self.values.items()}
        return {**own, PLAIN_TIME: self.plain_time / 1e6, f"{COLUMN}tried": self.tried}

    def __str__(self) -> str:
        chosen = " ".join(f"{key}={value}" for key, value in self.values.items())
        gain = self.plain_time / self.result.time - 1 if self.result.time else 0.0
        return f"tuned, {self.tried} tilings tried: {chosen} ({gain:.1%} quicker than without)"


def keys_of(names: Sequence[str] | str) -> tuple[str, ...]:
    """The tunable keys that are named, in a list or with commas, in order and each once; raises MemgrainError."""
    found = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    plain = [name.removeprefix("attention.").removeprefix("tiling.") for name in found]
    for name in plain:
        if name not in TUNABLE:
            raise MemgrainError(f"cannot tune '{name}'{suggest(name, list(TUNABLE))}; known: {', '.join(TUNABLE)}")
    if not plain:
        raise MemgrainError(f"nothing is named to tune; give one or more of {', '.join(TUNABLE)}")
    return tuple(key for key in TUNABLE if key in plain)


Tune = Annotated[tuple[str, ...], BeforeValidator(lambda names: keys_of(names) if names else ())]
"""A field of a YAML file that names keys to tune."""


def tune(point: Point) -> Tuned:
    """Search the best values of a point's `tune` keys, by its simulated time. Of equal times the tiling without tuning
    is taken, then the one with the shortest estimate.

    Raises MemgrainError for a workload without attention, and what the simulator raises for the point as it is.
    """
    call = attention_of(point.workload)
    if call is None:
        raise MemgrainError(f"{point.workload.name}: only attention has tiles to tune, this is {point.workload.kind}")
    plain = replace(point, tune=())
    plain_result = plain.simulate()
    own = _fitted(call, plain)
    best, result, values, tried = plain, plain_result, own, 1
    for chosen in candidates(call, plain, point.tune):
        if chosen == {name: own[name] for name in chosen}:
            continue
        try:
            other = _with(plain, chosen)
            found = other.simulate()
        except (WorkloadError, SimulationError):
            continue
        tried += 1
        if found.time < result.time:
            best, result, values = other, found, {**own, **chosen}
    prefix = _prefix(point)
    return Tuned(best, result, {prefix + name: values[name] for name in point.tune}, plain_result.time, tried)


def candidates(call: Workload, point: Point, keys: Sequence[str]) -> list[Values]:
    """Values of these keys that are worth a simulation, in the order of their estimated times.

    Values that the workload sets for other keys stay.
    """
    places = budget(point.chip)
    plain = tiled(call, places)
    own, times = _fitted(call, point), dict[tuple[int, ...], float]()
    for chosen in itertools.product(*(_values(key, plain, own, places.cores) for key in keys)):
        values = dict(zip(keys, chosen, strict=True))
        # a compiler's report on one tile does not hold for another
        freed = {"resident": "auto", "scratchpad_bytes": None} if set(keys) - {"splits"} else {}
        tiling = plain.tiling.model_copy(update={**freed, **values})
        try:
            times[chosen] = estimated_time(plain.model_copy(update={"tiling": tiling}), places)
        except WorkloadError:
            continue
    order = sorted(times, key=lambda chosen: (times[chosen], chosen))
    alike = Counter[int]()
    apart = [chosen for chosen in order if _count(alike, chosen[0]) <= ALIKE or len(keys) == 1]
    return [dict(zip(keys, chosen, strict=True)) for chosen in apart[:TRIED]]


def _count(seen: Counter[int], value: int) -> int:
    """Count a value; returns how often it was seen, this time included."""
    seen[value] += 1
    return seen[value]


def tune_tasks(tasks: Sequence[Task], folder: Path, options: RunOptions = RunOptions()) -> list[Task]:
    """Tune the tasks that name keys to tune, and return all tasks with the best values set. Draws of a chip's numbers
    then run with one tiling. Rows are kept in `folder` and not simulated again.

    Raises MemgrainError if a point has no answer.
    """
    from memgrain.runs.execute import run_points
    from memgrain.runs.rows import read_rows

    files = Files()
    points = [task.resolve(files) if task.tune else None for task in tasks]
    untuned = [point for point in points if point is not None]
    if not untuned:
        return list(tasks)
    outcome = run_points(untuned, [], folder, replace(options, progress=NoProgress()))
    if outcome.failures:
        raise MemgrainError(outcome.failures[0])
    rows = {row["id"]: row for row in read_rows(outcome.path) if row["id"] in outcome.ids}
    both = zip(tasks, points, strict=True)
    return [with_tuned_values(task, rows[point.id()]) if point else task for task, point in both]


def with_tuned_values(task: Task, row: Row) -> Task:
    """The task with the tuned values of its row set."""
    return replace(task, workload_set={**task.workload_set, **tuned_values(row)}, tune=())


def tuned_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """The tuned keys of a row with their values."""
    keys = (key for key in row if str(key).startswith(COLUMN) and "tiling." in str(key))
    return {key.removeprefix(COLUMN): row[key] for key in keys if row[key] is not None}


def _prefix(point: Point) -> str:
    return "attention.tiling." if isinstance(point.workload, SparseAttentionStep) else "tiling."


def _with(point: Point, values: Values) -> Point:
    """The point with these values of its tiling."""
    call = attention_of(point.workload)
    assert call is not None
    tiling = call.tiling.model_copy(update=values)
    changed = call.model_copy(update={"tiling": tiling})
    whole = point.workload.model_copy(update={"attention": changed}) if call is not point.workload else changed
    set_ = {_prefix(point) + name: value for name, value in values.items()}
    return replace(point, workload=whole, overrides={**point.overrides, **set_})


def _fitted(call: Workload, point: Point) -> Values:
    """The values of the tiling without tuning."""
    places = budget(point.chip)
    fitted = fit(tiled(call, places), places)
    return {name: getattr(fitted, name) for name in TUNABLE}


def _values(key: str, call: Workload, own: Values, cores: int) -> list[int]:
    """Values of a key that are considered, its own among them."""
    powers = [1 << power for power in range(13)]
    if key == "splits":
        if call.phase == "prefill":
            return [1]
        waves = {times * cores // max(1, call.shape.batch * call.shape.kv_heads) for times in range(1, 9)}
        return sorted({*range(1, WIDEST + 1), *powers[:9], *waves, own[key]} - {0})
    if key == "stages":
        return sorted({1, 2, 3, 4, own[key]})
    if key == "block_q" and call.phase == "decode":
        return [own[key]]
    return sorted({*(size for size in powers if 16 <= size <= LARGEST), own[key]})
