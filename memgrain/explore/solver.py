"""Questions asked backwards: for which value of a key does a condition hold, or is a metric best?

A few values are simulated first. Where the metric only rises or only falls over them, the answer is found by bisection
between two of them; otherwise values are tried one after another, and the answer says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from memgrain.errors import CodesignError
from memgrain.explore.candidates import Bounds, Lattice, lattice
from memgrain.explore.condition import Condition, column
from memgrain.explore.store import RowStore
from memgrain.runs.execute import DOMAIN
from memgrain.runs.overrides import split
from memgrain.runs.quantities import plain
from memgrain.runs.rows import Row
from memgrain.runs.task import Point, Task
from memgrain.sim import METRICS

SAMPLES = 7
"""Values at which it is looked whether the metric only rises or only falls."""
GRID = 65
"""Values that are tried one after another at most, where it does not."""
ZOOM = 9
"""Values between the neighbours of the best one, each time the best is looked for more closely."""
Course = Literal["rises", "falls", "stays", "varies"]
Bracket = tuple[int | None, int]
"""The last place that fails, None if there is none, and the first that holds."""


@dataclass(frozen=True)
class Question:
    """A key, and all that stays as it is."""

    key: str
    """The key whose value is sought."""
    chip: str
    """The chip."""
    workload: str | Path | Mapping[str, Any]
    """The workload."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Overrides of either that hold throughout."""
    bounds: Bounds = field(default_factory=Bounds)
    """What is said of the values."""
    before: str = "cold"
    """State of the caches before every run."""

    def along(self) -> Lattice:
        """The values of the key; raises CodesignError, and what `Task.resolve` raises of the workload."""
        chip_set, workload_set = split(self.overrides, self.chip)
        workload = Task(self.chip, {}, self.workload, workload_set).resolve().workload
        return lattice(self.key, self.bounds, self.chip, chip_set, workload)

    def point(self, changes: Mapping[str, Any]) -> Point:
        """The question's point with further overrides; raises what `Task.resolve` raises."""
        return self.task(changes).resolve()

    def task(self, changes: Mapping[str, Any]) -> Task:
        """That point as it is written down."""
        chip_set, workload_set = split({**self.overrides, **changes}, self.chip)
        return Task(self.chip, chip_set, self.workload, workload_set, self.before)


@dataclass(frozen=True)
class Tried:
    """A value that was tried."""

    value: Any
    """The value, as it is set."""
    text: str
    """As a person reads it."""
    metric: float | None
    """The metric there; None if it has no number or the value was refused."""
    holds: bool
    """Whether the condition holds; of the best value, whether it is the best."""
    refused: str = ""
    """Why chip or workload do not admit the value; empty if they do."""


@dataclass(frozen=True)
class Answer:
    """What was found."""

    question: Question
    """The question."""
    metric: str
    """The column that was looked at."""
    wanted: str
    """The condition, or 'smallest', 'largest' of the metric."""
    found: Tried | None
    """The value; None if the condition holds nowhere."""
    beyond: Tried | None
    """The next value that fails; None at the end of the range, or where a best value was sought."""
    course: Course
    """Whether the metric rises, falls or varies over the samples."""
    bisected: bool
    """Whether the answer was found by bisection."""
    size: int
    """Values of the range."""
    ends: tuple[str, str]
    """The first and the last of them."""
    tried: tuple[Tried, ...]
    """All values that were tried, in order."""

    @property
    def best(self) -> bool:
        """Whether the best value was sought, not where a condition holds."""
        return self.wanted in ("smallest", "largest")

    @property
    def column(self) -> str:
        """The metric by the name of its column: `l2.hit_rate` is `l2_hit_rate`."""
        flat = self.metric.replace(".", "_")
        return flat if flat in METRICS else self.metric

    @property
    def exact(self) -> bool:
        """Whether no value of the range can be better, as far as the samples tell."""
        return self.bisected or self.size <= GRID


def solve(question: Question, condition: Condition, largest: bool = False, out: Path | None = None) -> Answer:
    """The smallest (or largest) value for which the condition holds; rows are kept in `out`, if given.

    Raises CodesignError if no value of the range can be simulated, and what the chip or the workload raise as they are.
    """
    looked = _Look(question, condition.metric, condition, out)
    places = looked.along.spread(SAMPLES)
    course = looked.course(places)
    ordered = places[::-1] if largest else places
    bracket: Bracket | None = None
    refused = any(looked.at(place).metric is None for place in places)
    bisected = course != "varies" and condition.sign != "==" and not refused
    if bisected:
        bracket, bisected = looked.bisect(ordered)
    if bisected and bracket is not None and bracket[0] is not None and looked.course(sorted(looked.seen)) == "varies":
        # The samples did not show it, the values between them do.
        course, bisected = "varies", False
        bracket = looked.closely(ordered, bracket)
    elif not bisected:
        grid = looked.along.spread(GRID)
        bracket = looked.first(grid[::-1] if largest else grid)
        if bracket is not None and bracket[0] is not None:
            bracket = looked.bisect([bracket[0], bracket[1]])[0] or bracket
    found = looked.at(bracket[1]) if bracket else None
    beyond = looked.at(bracket[0]) if bracket and bracket[0] is not None else None
    return looked.answer(str(condition), found, beyond, course, bisected)


def best(question: Question, metric: str, largest: bool = False, out: Path | None = None) -> Answer:
    """The value at which the metric is smallest (or largest) among those tried: all of a small range, else a grid that
    is made finer around the best; of equal ones the first."""
    looked = _Look(question, metric, None, out)
    sign = -1.0 if largest else 1.0

    def loss(place: int) -> float:
        value = looked.at(place).metric
        return float("inf") if value is None else sign * value

    places = looked.along.spread(GRID if looked.along.size <= GRID else 2 * ZOOM - 1)
    course = looked.course(places)
    while True:
        winner = min(places, key=loss)
        here = places.index(winner)
        low, high = places[max(here - 1, 0)], places[min(here + 1, len(places) - 1)]
        new = {low + round((high - low) * step / (ZOOM + 1)) for step in range(1, ZOOM + 1)} - set(places)
        if not new:
            break
        places = sorted({*places, *new})
    found = looked.at(winner)
    chosen = Tried(found.value, found.text, found.metric, True)
    return looked.answer("largest" if largest else "smallest", chosen, None, course, False)


class _Look:
    """The values of a question, each simulated once."""

    def __init__(self, question: Question, metric: str, condition: Condition | None, out: Path | None) -> None:
        self.question, self.metric, self.condition = question, metric, condition
        self.along = question.along()
        self.store = RowStore(out) if out is not None else None
        self.seen: dict[int, Tried] = {}

    def at(self, place: int) -> Tried:
        """What comes of the value at that place."""
        if place not in self.seen:
            self.seen[place] = self._try(self.along.value(place), self.along.text(place))
        return self.seen[place]

    def course(self, places: list[int]) -> Course:
        """How the metric goes over those of these places that have a number; raises CodesignError if none has."""
        tried = [self.at(place) for place in places]
        values = [item.metric for item in tried if item.metric is not None]
        if not values:
            raise CodesignError(
                f"no value from {tried[0].text} to {tried[-1].text} of {self.question.key} gives a number for "
                f"{self.metric}: {next((item.refused for item in tried if item.refused), 'the row has none')}"
            )
        rises = all(a <= b for a, b in itertools.pairwise(values))
        falls = all(a >= b for a, b in itertools.pairwise(values))
        return "stays" if rises and falls else "rises" if rises else "falls" if falls else "varies"

    def bisect(self, ordered: list[int]) -> tuple[Bracket | None, bool]:
        """The last place that fails and the first that holds, in the order of `ordered`, and whether this succeeded: a
        value in between that is refused ends it."""
        first = next((number for number, place in enumerate(ordered) if self.at(place).holds), None)
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
        """The bracket again, after a look at values between the last sample before it and its end."""
        holds, way = bracket[1], 1 if ordered[-1] > ordered[0] else -1
        before = next(place for place in reversed(ordered) if (holds - place) * way > 0)
        steps = {before + round((holds - before) * part / (2 * ZOOM)) for part in range(1, 2 * ZOOM)}
        between = steps | {place for place in self.seen if (place - before) * way > 0 and (holds - place) * way >= 0}
        found = self.first(sorted(between, reverse=way < 0)) or bracket
        outer = before if found[0] is None else found[0]
        return self.bisect([outer, found[1]])[0] or (outer, found[1])

    def first(self, ordered: list[int]) -> Bracket | None:
        """The first of these places that holds, and the last one before that was not refused."""
        before: int | None = None
        for place in ordered:
            tried = self.at(place)
            if tried.holds:
                return before, place
            if not tried.refused:
                before = place
        return None

    def answer(self, wanted: str, found: Tried | None, beyond: Tried | None, course: Course, bisected: bool) -> Answer:
        """What was found, with everything that was tried."""
        tried = tuple(self.seen[place] for place in sorted(self.seen))
        ends = (self.along.text(0), self.along.text(self.along.size - 1))
        return Answer(self.question, self.metric, wanted, found, beyond, course, bisected, self.along.size, ends, tried)

    def _try(self, value: Any, text: str) -> Tried:
        try:
            row = self._row(self.question.point({self.question.key: value}))
        except DOMAIN as error:
            return Tried(value, text, None, False, " ".join(str(error).split()))
        number = plain(row[column(self.metric, row)])
        return Tried(value, text, number, self.condition is not None and self.condition.holds(row))

    def _row(self, point: Point) -> Row:
        """The row of a point, looked up if it is kept."""
        row = self.store.find(point.id()) if self.store is not None else None
        if row is None:
            row = point.run()
            if self.store is not None:
                self.store.keep(row)
        return row
