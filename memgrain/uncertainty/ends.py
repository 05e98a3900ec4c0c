"""One number at a time at the ends of its range, all else as it is: the bars of a tornado."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from memgrain.errors import MemgrainError
from memgrain.runs.execute import DOMAIN
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import Row
from memgrain.runs.task import Point, Task
from memgrain.uncertainty.parameters import UncertainParameter
from memgrain.uncertainty.sampling import answers, value_of, with_numbers

ParameterEnd = tuple[str, Any]
"""Name of a number and one end of its range."""


@dataclass(frozen=True)
class Span:
    """A number, and a metric with it at the ends of its range."""

    path: str
    """Its dotted name."""
    value: Any
    """What the chip's file says."""
    kind: str
    """measured, vendor, derived or assumed."""
    ends: tuple[Any, Any]
    """Lowest and highest conceivable value."""
    values: tuple[float | None, float | None]
    """The metric with it at each end, all else as it is; None where the chip or the run does not admit that."""

    def reach(self, nominal: float) -> tuple[float, float]:
        """Smallest and largest value of the metric that the number can make, the usual one included."""
        known = [nominal, *(value for value in self.values if value is not None)]
        return min(known), max(known)


def spans(
    task: Task,
    numbers: Sequence[UncertainParameter],
    metric: str,
    options: RunOptions = RunOptions(),
) -> tuple[float, list[Span]]:
    """The metric of a task with its chip's own numbers, and the span of each of `numbers`, the widest first.

    Raises what `Task.resolve` raises, and MemgrainError if the task fails.
    """
    nominal, points = task.resolve(), end_points(task, numbers)
    with options.folder() as folder:
        rows, failures = answers([nominal, *points.values()], folder, options)
    if nominal.id() not in rows:
        raise MemgrainError(failures[0])
    middle = value_of(rows[nominal.id()], metric)
    return middle, spans_of(numbers, points, rows, middle, metric)


def end_points(task: Task, numbers: Sequence[UncertainParameter]) -> dict[ParameterEnd, Point]:
    """The task with each number at each end of its range, all else as it is, where chip and workload admit it."""
    points: dict[ParameterEnd, Point] = {}
    for item in (known.item for known in numbers):
        for end in item.range or ():
            with suppress(*DOMAIN):
                points[item.path, end] = with_numbers(task, {item.path: end}).resolve()
    return points


def spans_of(
    numbers: Sequence[UncertainParameter],
    points: Mapping[ParameterEnd, Point],
    rows: Mapping[str, Row],
    nominal: float,
    metric: str,
) -> list[Span]:
    """The spans that the rows of `points` give, by id, the widest first; a point without a row was refused."""
    found = {key: value_of(rows[point.id()], metric) for key, point in points.items() if point.id() in rows}
    listed = [_span(known, found) for known in numbers]
    return sorted(listed, key=lambda span: span.reach(nominal)[0] - span.reach(nominal)[1])


def _span(known: UncertainParameter, found: Mapping[ParameterEnd, float]) -> Span:
    item = known.item
    low, high = item.range or (item.value, item.value)
    values = found.get((item.path, low)), found.get((item.path, high))
    return Span(item.path, item.value, item.kind, (low, high), values)
