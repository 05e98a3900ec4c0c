"""Inverse queries: the value of a key for which a condition holds, or at which a metric is best.

A few values are simulated first. If the metric is monotone over them, bisection between two of them finds the result;
otherwise the values of a grid are tried in order, and the result says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from memgrain.errors import MemgrainError
from memgrain.explore.candidate_grid import CandidateGrid, GridBounds, candidate_grid
from memgrain.explore.condition import Condition, column
from memgrain.explore.store import RowStore
from memgrain.runs.execute import DOMAIN
from memgrain.runs.overrides import split
from memgrain.runs.quantities import plain
from memgrain.runs.rows import Row
from memgrain.runs.task import Point, Task
from memgrain.sim import METRICS

SAMPLES = 7
"""Number of values simulated to decide whether the metric is monotone."""
GRID = 65
"""Maximum number of values tried in order if the metric is not monotone."""
ZOOM = 9
"""Number of new values between the neighbours of the best one in each refinement."""
Trend = Literal["rises", "falls", "stays", "varies"]
Bracket = tuple[int | None, int]
"""Grid index of the last value that fails (None if there is none) and of the first value for which the condition
holds."""


@dataclass(frozen=True)
class SolveQuery:
    """The key to solve for, and everything that stays fixed."""

    key: str
    """The key to solve for."""
    chip: str
    """Name or file of the chip."""
    workload: str | Path | Mapping[str, Any]
    """Name, file or content of the workload."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Fixed overrides of chip and workload."""
    bounds: GridBounds = field(default_factory=GridBounds)
    """Restrictions of the values."""
    before: str = "cold"
    """State of the caches before every run."""

    def along(self) -> CandidateGrid:
        """The grid of the key's values. Raises MemgrainError, and the errors of `Task.resolve`."""
        chip_set, workload_set = split(self.overrides, self.chip)
        workload = Task(self.chip, {}, self.workload, workload_set).resolve().workload
        return candidate_grid(self.key, self.bounds, self.chip, chip_set, workload)

    def point(self, changes: Mapping[str, Any]) -> Point:
        """The query's point with further overrides. Raises the errors of `Task.resolve`."""
        return self.task(changes).resolve()

    def task(self, changes: Mapping[str, Any]) -> Task:
        """The unresolved task of that point."""
        chip_set, workload_set = split({**self.overrides, **changes}, self.chip)
        return Task(self.chip, chip_set, self.workload, workload_set, self.before)


@dataclass(frozen=True)
class TriedValue:
    """A value that was simulated or refused."""

    value: Any
    """The value as an override."""
    text: str
    """The value as text."""
    metric: float | None
    """The metric at the value; None if the row has no number or the value was refused."""
    holds: bool
    """Whether the condition holds; in a search for the best value, whether this is the best."""
    refused: str = ""
    """Reason why chip or workload refuse the value; empty if they accept it."""


@dataclass(frozen=True)
class SolveResult:
    """The result of a query."""

    query: SolveQuery
    """The query."""
    metric: str
    """The metric of the query."""
    wanted: str
    """The condition, or 'smallest', 'largest' of the metric."""
    found: TriedValue | None
    """The value found; None if the condition holds nowhere."""
    beyond: TriedValue | None
    """The next value that fails; None at the end of the range, or in a search for the best value."""
    trend: Trend
    """Whether the metric rises, falls or varies over the samples."""
    bisected: bool
    """Whether bisection found the result."""
    size: int
    """Number of values in the range."""
    ends: tuple[str, str]
    """The first and the last value as text."""
    tried: tuple[TriedValue, ...]
    """All tried values in order."""

    @property
    def best(self) -> bool:
        """Whether the query is for the best value, not for a condition."""
        return self.wanted in ("smallest", "largest")

    @property
    def column(self) -> str:
        """Column name of the metric: `l2.hit_rate` becomes `l2_hit_rate`."""
        flat = self.metric.replace(".", "_")
        return flat if flat in METRICS else self.metric

    @property
    def exact(self) -> bool:
        """Whether, judging by the samples, no value of the range can be better."""
        return self.bisected or self.size <= GRID


def solve(query: SolveQuery, condition: Condition, largest: bool = False, out: Path | None = None) -> SolveResult:
    """Find the smallest (or largest) value for which the condition holds. Rows are kept in `out`, if given.

    Raises MemgrainError if no value of the range can be simulated, and the errors of chip and workload at their present
    values.
    """
    looked = _Evaluator(query, condition.metric, condition, out)
    indices = looked.along.spread(SAMPLES)
    trend = looked.trend(indices)
    ordered = indices[::-1] if largest else indices
    bracket: Bracket | None = None
    refused = any(looked.at(index).metric is None for index in indices)
    bisected = trend != "varies" and condition.sign != "==" and not refused
    if bisected:
        bracket, bisected = looked.bisect(ordered)
    if bisected and bracket is not None and bracket[0] is not None and looked.trend(sorted(looked.seen)) == "varies":
        # The metric is monotone over the samples but not over the values between them.
        trend, bisected = "varies", False
        bracket = looked.closely(ordered, bracket)
    elif not bisected:
        grid = looked.along.spread(GRID)
        bracket = looked.first(grid[::-1] if largest else grid)
        if bracket is not None and bracket[0] is not None:
            bracket = looked.bisect([bracket[0], bracket[1]])[0] or bracket
    found = looked.at(bracket[1]) if bracket else None
    beyond = looked.at(bracket[0]) if bracket and bracket[0] is not None else None
    return looked.answer(str(condition), found, beyond, trend, bisected)


def best(query: SolveQuery, metric: str, largest: bool = False, out: Path | None = None) -> SolveResult:
    """Find the value at which the metric is smallest (or largest). A small range is tried completely, a larger one by a
    grid that is refined around the best value. Of equal values the first is returned."""
    looked = _Evaluator(query, metric, None, out)
    sign = -1.0 if largest else 1.0

    def loss(index: int) -> float:
        value = looked.at(index).metric
        return float("inf") if value is None else sign * value

    indices = looked.along.spread(GRID if looked.along.size <= GRID else 2 * ZOOM - 1)
    trend = looked.trend(indices)
    while True:
        winner = min(indices, key=loss)
        here = indices.index(winner)
        low, high = indices[max(here - 1, 0)], indices[min(here + 1, len(indices) - 1)]
        new = {low + round((high - low) * step / (ZOOM + 1)) for step in range(1, ZOOM + 1)} - set(indices)
        if not new:
            break
        indices = sorted({*indices, *new})
    found = looked.at(winner)
    chosen = TriedValue(found.value, found.text, found.metric, True)
    return looked.answer("largest" if largest else "smallest", chosen, None, trend, False)


class _Evaluator:
    """Evaluates the values of a query, each at most once."""

    def __init__(self, query: SolveQuery, metric: str, condition: Condition | None, out: Path | None) -> None:
        self.query, self.metric, self.condition = query, metric, condition
        self.along = query.along()
        self.store = RowStore(out) if out is not None else None
        self.seen: dict[int, TriedValue] = {}

    def at(self, index: int) -> TriedValue:
        """The outcome of the value at index `index`."""
        if index not in self.seen:
            self.seen[index] = self._try(self.along.value(index), self.along.text(index))
        return self.seen[index]

    def trend(self, indices: list[int]) -> Trend:
        """Whether the metric rises, falls, stays or varies over these indices, ignoring values without a number. Raises
        MemgrainError if no value has a number."""
        tried = [self.at(index) for index in indices]
        values = [item.metric for item in tried if item.metric is not None]
        if not values:
            raise MemgrainError(
                f"no value from {tried[0].text} to {tried[-1].text} of {self.query.key} gives a number for "
                f"{self.metric}: {next((item.refused for item in tried if item.refused), 'the row has none')}"
            )
        rises = all(a <= b for a, b in itertools.pairwise(values))
        falls = all(a >= b for a, b in itertools.pairwise(values))
        return "stays" if rises and falls else "rises" if rises else "falls" if falls else "varies"

    def bisect(self, ordered: list[int]) -> tuple[Bracket | None, bool]:
        """Bisect for the last index that fails and the first that holds, in the order of `ordered`. The flag is False
        if a refused value prevented it."""
        first = next((number for number, index in enumerate(ordered) if self.at(index).holds), None)
        if first is None:
            return None, True
        if first == 0:
            return (None, ordered[0]), True
        fails, holds = ordered[first - 1], ordered[first]
        while abs(holds - fails) > 1:
            middle = (fails + holds) // 2
            tried = self.at(middle)
            if tried.metric is None:
                return None, False
            fails, holds = (fails, middle) if tried.holds else (middle, holds)
        return (fails, holds), True

    def closely(self, ordered: list[int], bracket: Bracket) -> Bracket:
        """Refine a bracket by trying values between the last sample before it and its end."""
        holds, sign = bracket[1], 1 if ordered[-1] > ordered[0] else -1
        before = next(index for index in reversed(ordered) if (holds - index) * sign > 0)
        steps = {before + round((holds - before) * part / (2 * ZOOM)) for part in range(1, 2 * ZOOM)}
        between = steps | {index for index in self.seen if (index - before) * sign > 0 and (holds - index) * sign >= 0}
        found = self.first(sorted(between, reverse=sign < 0)) or bracket
        outer = before if found[0] is None else found[0]
        return self.bisect([outer, found[1]])[0] or (outer, found[1])

    def first(self, ordered: list[int]) -> Bracket | None:
        """The first of these indices that holds, and the last one before it that was not refused."""
        before: int | None = None
        for index in ordered:
            tried = self.at(index)
            if tried.holds:
                return before, index
            if not tried.refused:
                before = index
        return None

    def answer(
        self, wanted: str, found: TriedValue | None, beyond: TriedValue | None, trend: Trend, bisected: bool
    ) -> SolveResult:
        """The result, with all tried values."""
        tried = tuple(self.seen[index] for index in sorted(self.seen))
        ends = (self.along.text(0), self.along.text(self.along.size - 1))
        return SolveResult(
            self.query, self.metric, wanted, found, beyond, trend, bisected, self.along.size, ends, tried
        )

    def _try(self, value: Any, text: str) -> TriedValue:
        try:
            row = self._row(self.query.point({self.query.key: value}))
        except DOMAIN as error:
            return TriedValue(value, text, None, False, " ".join(str(error).split()))
        number = plain(row[column(self.metric, row)])
        return TriedValue(value, text, number, self.condition is not None and self.condition.holds(row))

    def _row(self, point: Point) -> Row:
        """The row of a point, from the store if it is there."""
        row = self.store.find(point.id()) if self.store is not None else None
        if row is None:
            row = point.run()
            if self.store is not None:
                self.store.keep(row)
        return row
