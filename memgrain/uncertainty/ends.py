"""One parameter at a time at the ends of its range, all others nominal: the bars of a tornado plot."""

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
"""Name of a parameter and one end of its range."""


@dataclass(frozen=True)
class Span:
    """A parameter, and a metric with the parameter at the ends of its range."""

    path: str
    """Dotted name."""
    value: Any
    """Nominal value."""
    kind: str
    """Kind of its source: measured, vendor, derived or assumed."""
    ends: tuple[Any, Any]
    """Lowest and highest value of the range."""
    values: tuple[float | None, float | None]
    """The metric at each end, all other parameters nominal; None if the chip or the run refuses the value."""

    def reach(self, nominal: float) -> tuple[float, float]:
        """Smallest and largest value of the metric over the ends, including the nominal one."""
        known = [nominal, *(value for value in self.values if value is not None)]
        return min(known), max(known)


def spans(
    task: Task,
    numbers: Sequence[UncertainParameter],
    metric: str,
    options: RunOptions = RunOptions(),
) -> tuple[float, list[Span]]:
    """The nominal metric of a task, and the span of each of `numbers`, the widest first.

    Raises the errors of `Task.resolve`, and MemgrainError if the task fails.
    """
    nominal, points = task.resolve(), end_points(task, numbers)
    with options.folder() as folder:
        rows, failures = answers([nominal, *points.values()], folder, options)
    if nominal.id() not in rows:
        raise MemgrainError(failures[0])
    middle = value_of(rows[nominal.id()], metric)
    return middle, spans_of(numbers, points, rows, middle, metric)


def end_points(task: Task, numbers: Sequence[UncertainParameter]) -> dict[ParameterEnd, Point]:
    """The task with each parameter at each end of its range, all others nominal; values that chip or workload refuse
    are omitted."""
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
    """The spans from the rows of `points` (by id), the widest first. A point without a row was refused."""
    found = {key: value_of(rows[point.id()], metric) for key, point in points.items() if point.id() in rows}
    listed = [_span(known, found) for known in numbers]
    return sorted(listed, key=lambda span: span.reach(nominal)[0] - span.reach(nominal)[1])


def _span(known: UncertainParameter, found: Mapping[ParameterEnd, float]) -> Span:
    item = known.item
    low, high = item.range or (item.value, item.value)
    values = found.get((item.path, low)), found.get((item.path, high))
    return Span(item.path, item.value, item.kind, (low, high), values)
