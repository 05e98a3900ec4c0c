"""A point at its best: tile sizes, splits and stages that an author of its kernel would find by trying.

The values with a short estimated time (`workloads.estimated_time`) are simulated, with those that are taken without
tuning, and the quickest is kept.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from memgrain.errors import CodesignError
from memgrain.runs.rows import Row
from memgrain.runs.shipped import suggest
from memgrain.runs.task import Files, Point, Task, attention_of, budget
from memgrain.sim import Result, SimulationError
from memgrain.workloads import SparseAttentionStep, Workload, WorkloadError, estimated_time, fit, tiled

TUNABLE = ("splits", "block_kv", "stages", "block_q")
"""Keys of a tiling that can be tuned, in the order in which they are tried."""
TRIED = 10
"""Tilings that are simulated for a point, beside the one that it has without tuning."""
ALIKE = 3
"""Of them, those that have one value of the first key in common."""
LARGEST = 4096
"""Rows and tokens of the largest tile that is tried."""
WIDEST = 8
"""Splits up to which every number is tried; above, those that fill whole waves, and powers of two."""
COLUMN = "tuned."
"""What the columns of tuned keys begin with."""
PLAIN_TIME = f"{COLUMN}plain_time_us"
"""Column of the time without tuning."""
Values = dict[str, int]


@dataclass(frozen=True)
class Tuned:
    """A point, its best values, and what they gave."""

    point: Point
    """The point with these values set; it is not tuned again."""
    result: Result
    """What was simulated with them."""
    values: dict[str, int]
    """The values by key, such as tiling.splits; none where the launcher's own choice was the best."""
    plain_time: int
    """Time in ps without tuning."""
    tried: int
    """Tilings that were simulated."""

    def columns(self) -> dict[str, Any]:
        """What a row says of it."""
        own = {COLUMN + key: value for key, value in self.values.items()}
        return {**own, PLAIN_TIME: self.plain_time / 1e6, f"{COLUMN}tried": self.tried}

    def __str__(self) -> str:
        chosen = " ".join(f"{key}={value}" for key, value in self.values.items())
        gain = self.plain_time / self.result.time - 1 if self.result.time else 0.0
        return f"tuned, {self.tried} tilings tried: {chosen} ({gain:.1%} quicker than without)"


def keys_of(names: Sequence[str] | str) -> tuple[str, ...]:
    """The tunable keys that are named, in a list or with commas, in order and each once; raises CodesignError."""
    found = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    plain = [name.removeprefix("attention.").removeprefix("tiling.") for name in found]
    for name in plain:
        if name not in TUNABLE:
            raise CodesignError(f"cannot tune '{name}'{suggest(name, list(TUNABLE))}; known: {', '.join(TUNABLE)}")
    if not plain:
        raise CodesignError(f"nothing is named to tune; give one or more of {', '.join(TUNABLE)}")
    return tuple(key for key in TUNABLE if key in plain)


Tune = Annotated[tuple[str, ...], BeforeValidator(lambda names: keys_of(names) if names else ())]
"""A field of a YAML file that names keys to tune."""


def tune(point: Point) -> Tuned:
    """The point at its best, in the time of one run; ties go to what is taken without tuning, then to what is reckoned
    quickest.

    Raises CodesignError for a workload without attention, and what the simulator raises for the point as it is.
    """
    asked = attention_of(point.workload)
    if asked is None:
        raise CodesignError(f"{point.workload.name}: only attention has tiles to tune, this is {point.workload.kind}")
    plain = replace(point, tune=())
    plain_result = plain.simulate()
    own = _fitted(asked, plain)
    best, result, values, tried = plain, plain_result, own, 1
    for chosen in candidates(asked, plain, point.tune):
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


def candidates(asked: Workload, point: Point, keys: Sequence[str]) -> list[Values]:
    """Values of these keys that are worth a simulation, those that are reckoned quickest first.

    What the workload itself says of a key it is not asked for stays.
    """
    places = budget(point.chip)
    plain = tiled(asked, places)
    own, times = _fitted(asked, point), dict[tuple[int, ...], float]()
    for chosen in itertools.product(*(_values(key, plain, own, places.cores) for key in keys)):
        values = dict(zip(keys, chosen, strict=True))
        # What a compiler reported of one tile does not hold for another.
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
    """How often a value was seen, this time included."""
    seen[value] += 1
    return seen[value]


def hold(tasks: Sequence[Task], folder: Path, jobs: int | None = None) -> list[Task]:
    """The tasks with the best values of what they tune set, so that nothing is left to tune: draws of a chip's numbers
    are then run with one kernel. Rows are kept in `folder` and not simulated again.

    Raises CodesignError if a point has no answer.
    """
    from memgrain.runs.execute import run_points
    from memgrain.runs.rows import read_rows

    files = Files()
    points = [task.resolve(files) if task.tune else None for task in tasks]
    asked = [point for point in points if point is not None]
    if not asked:
        return list(tasks)
    outcome = run_points(asked, [], folder, jobs)
    if outcome.failures:
        raise CodesignError(outcome.failures[0])
    rows = {row["id"]: row for row in read_rows(outcome.path) if row["id"] in outcome.ids}
    return [held(task, rows[point.id()]) if point else task for task, point in zip(tasks, points, strict=True)]


def held(task: Task, row: Row) -> Task:
    """The task with the values set that its row was found to be best with."""
    return replace(task, workload_set={**task.workload_set, **tuned_values(row)}, tune=())


def tuned_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """The tuned keys of a row, with their values."""
    keys = (key for key in row if str(key).startswith(COLUMN) and "tiling." in str(key))
    return {key.removeprefix(COLUMN): row[key] for key in keys if row[key] is not None}


def _prefix(point: Point) -> str:
    return "attention.tiling." if isinstance(point.workload, SparseAttentionStep) else "tiling."


def _with(point: Point, values: Values) -> Point:
    """The point with values of its tiling set."""
    asked = attention_of(point.workload)
    assert asked is not None
    tiling = asked.tiling.model_copy(update=values)
    changed = asked.model_copy(update={"tiling": tiling})
    whole = point.workload.model_copy(update={"attention": changed}) if asked is not point.workload else changed
    set_ = {_prefix(point) + name: value for name, value in values.items()}
    return replace(point, workload=whole, overrides={**point.overrides, **set_})


def _fitted(asked: Workload, point: Point) -> Values:
    """The values that are taken without tuning."""
    places = budget(point.chip)
    fitted = fit(tiled(asked, places), places)
    return {name: getattr(fitted, name) for name in TUNABLE}


def _values(key: str, asked: Workload, own: Values, cores: int) -> list[int]:
    """Values of a key that are looked at, its own among them."""
    powers = [1 << power for power in range(13)]
    if key == "splits":
        if asked.phase == "prefill":
            return [1]
        waves = {times * cores // max(1, asked.shape.batch * asked.shape.kv_heads) for times in range(1, 9)}
        return sorted({*range(1, WIDEST + 1), *powers[:9], *waves, own[key]} - {0})
    if key == "stages":
        return sorted({1, 2, 3, 4, own[key]})
    if key == "block_q" and asked.phase == "decode":
        return [own[key]]
    return sorted({*(size for size in powers if 16 <= size <= LARGEST), own[key]})
