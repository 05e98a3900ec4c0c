"""Sensitivity of a metric to each parameter of a chip: elasticities, and the effect of each parameter's range.

The elasticity of a metric with respect to a parameter is d log(metric) / d log(parameter): 0.5 means that the metric
grows by 0.5 % if the parameter grows by 1 %. It is a central difference over steps of 5 % in both directions. A
simulator counts in whole lines, tiles and cores, so a smaller step may fall on a plateau and a larger one is not a
derivative. Whole numbers are rounded. If a chip or a run refuses a step (a line of 134 B), the next of 10, 25, 50 and,
upward, 100 % is taken. If no step is accepted on one side (a share of 1, a count of 1), the difference is one-sided.

Over its range a parameter may have effects that no derivative shows: a cliff, a plateau, another policy. So the effect
over the range is simulated at both ends, all other parameters nominal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memgrain.errors import MemgrainError
from memgrain.hwmodels import ChipFile, Provenance, read_chip
from memgrain.runs.execute import DOMAIN
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import Row
from memgrain.runs.task import Files, Point, Task
from memgrain.uncertainty.ends import Span, end_points, spans_of
from memgrain.uncertainty.parameters import WHOLE, alone, read_amount, uncertain_parameters, write_amount
from memgrain.uncertainty.sampling import answers, check_figure, value_of, with_numbers

UP = (1.05, 1.1, 1.25, 1.5, 2.0)
DOWN = (0.95, 0.9, 0.75, 0.5)
"""Factors of a step, tried in this order until one is accepted."""


@dataclass(frozen=True)
class Effect:
    """A parameter of the chip and its effect on the metric."""

    path: str
    """Dotted name."""
    value: Any
    """Value in the chip's file, or the user's override."""
    kind: str
    """Kind of its source: measured, vendor, derived, assumed, override or unsourced."""
    range: tuple[Any, Any] | None
    """Lowest and highest value; None: no range."""
    elasticity: float | None
    """d log(metric) / d log(parameter); None if the parameter is not a quantity, or no step is accepted."""
    steps: tuple[Any, ...]
    """The two values of the difference; one of them is the nominal value if it is one-sided."""
    effect: float | None
    """Half of the metric's span over the range, as a fraction of the nominal metric; None without a range."""
    source: str
    """Source of the parameter, or the reason of an assumption."""


@dataclass(frozen=True)
class Sensitivity:
    """Effects of a chip's parameters on one metric of one task."""

    metric: str
    """The metric."""
    nominal: float
    """Value of the metric with nominal parameters."""
    effects: tuple[Effect, ...]
    """Parameters with a range, the largest effect first, then those without one, the largest elasticity first."""
    fixed: tuple[tuple[str, Any, str], ...]
    """Name, value and reason of each parameter that could not be varied."""


@dataclass
class _Side:
    """Steps of one parameter to one side; the first accepted one is used."""

    task: Task
    path: str
    left: Iterator[Any]
    """Remaining values, nearest first."""
    value: Any = None
    """The value under trial or accepted; None if there is none."""
    point: Point | None = None
    """The task with that value."""
    refusal: str = ""
    """Message of the last refusal."""

    def advance(self, files: Files) -> None:
        """Advance to the next value that the chip and the workload accept."""
        for value in self.left:
            try:
                self.value, self.point = value, with_numbers(self.task, {self.path: value}).resolve(files)
                return
            except DOMAIN as error:
                self.refusal = str(error)
        self.value, self.point = None, None


@dataclass
class _Number:
    """A parameter that can be varied in steps."""

    item: Provenance
    amount: float
    """Its value in base units."""
    sides: tuple[_Side, _Side] = field(repr=False)
    """Steps below and above."""


def sensitivity(
    task: Task,
    metric: str = "time_us",
    options: RunOptions = RunOptions(),
) -> Sensitivity:
    """The effect of every parameter of the task's chip, except its links to other chips, on a metric of its row.

    Raises MemgrainError if the metric is 0 or not a number.
    """
    check_figure(metric)
    file = read_chip(task.chip, task.chip_set)
    numbers, reasons = _numbers(task, file)
    ranged = uncertain_parameters(file, task.chip_set)
    own, at_ends = task.resolve(), end_points(task, ranged)
    with options.folder() as folder:
        rows, failures = _settle(numbers, [own, *at_ends.values()], folder, options)
    if own.id() not in rows:
        raise MemgrainError(next((line for line in failures if line.startswith(f"{own}: ")), f"{own}: no answer"))
    nominal = value_of(rows[own.id()], metric)
    if nominal <= 0:
        raise MemgrainError(f"{metric} is {nominal:g} here, so relative effects are undefined; choose another metric")
    elasticities = {number.item.path: _elasticity(number, file, metric, nominal, rows) for number in numbers}
    for number in numbers:
        refusals = [side.refusal for side in number.sides if side.refusal]
        reasons[number.item.path] = refusals[0] if refusals else f"{metric} falls to 0"
    effects = _half_spans(spans_of(ranged, at_ends, rows, nominal, metric), nominal)
    found, fixed = [], []
    for item in alone(file):
        elasticity, steps = elasticities.get(item.path, (None, ()))
        if elasticity is None and item.path not in effects:
            fixed.append((item.path, item.value, reasons[item.path]))
        else:
            source = item.reason if item.kind == "assumed" else item.source
            fields = (item.path, item.value, item.kind, item.range)
            found.append(Effect(*fields, elasticity, steps, effects.get(item.path), source))
    found.sort(key=lambda item: (item.effect is None, -(item.effect or 0.0), -abs(item.elasticity or 0.0)))
    return Sensitivity(metric, nominal, tuple(found), tuple(fixed))


def _numbers(task: Task, file: ChipFile) -> tuple[list[_Number], dict[str, str]]:
    """The parameters that can be varied in steps, and the reason for each other one by its name."""
    found: list[_Number] = []
    reasons: dict[str, str] = {}
    for item in alone(file):
        read = read_amount(item.value, file.chip)
        if read is None:
            reasons[item.path] = "a choice, without a range that names the alternatives"
        elif read[1] == 0:
            reasons[item.path] = "is 0, of which no step is a share"
        else:
            below, above = (_Side(task, item.path, _steps(read[0], read[1], factors)) for factors in (DOWN, UP))
            found.append(_Number(item, read[1], (below, above)))
    return found, reasons


def _half_spans(spans: list[Span], nominal: float) -> dict[str, float]:
    """Half of the metric's span over each range, as a fraction of the nominal metric, by parameter name.

    A parameter with both ends refused is omitted, since its effect is unknown.
    """
    known = [span for span in spans if span.values != (None, None)]
    return {span.path: (span.reach(nominal)[1] - span.reach(nominal)[0]) / 2 / nominal for span in known}


def _steps(kind: str, amount: float, factors: tuple[float, ...]) -> Iterator[Any]:
    """Distinct values to one side, nearest first, as the YAML writes them, without the value itself."""
    values = [round(amount * factor) if kind in WHOLE else amount * factor for factor in factors]
    return (write_amount(kind, value) for value in dict.fromkeys(values) if value not in (0, amount))


def _settle(
    numbers: list[_Number], others: list[Point], folder: Path, options: RunOptions
) -> tuple[dict[str, Row], list[str]]:
    """Rows by id of `others` and of the nearest steps that chip, workload and simulator accept, and the refusals."""
    files: Files = {}
    rows: dict[str, Row] = {}
    refusals: list[str] = []
    left = [side for number in numbers for side in number.sides]
    pending = others
    while left:
        for side in left:
            side.advance(files)
        left = [side for side in left if side.point is not None]
        found, failures = answers([*pending, *(side.point for side in left if side.point)], folder, options)
        rows, refusals, pending = rows | found, refusals + failures, []
        left = [side for side in left if side.point is not None and side.point.id() not in rows]
        for side in left:
            side.refusal = next((line for line in failures if line.startswith(f"{side.point}: ")), side.refusal)
    return rows, refusals


def _elasticity(
    number: _Number, file: ChipFile, metric: str, nominal: float, rows: dict[str, Row]
) -> tuple[float | None, tuple[Any, ...]]:
    """The elasticity and the two values of the difference; None if neither side has a positive metric."""
    at: list[tuple[float, float, Any]] = [(number.amount, nominal, number.item.value)]
    for side in number.sides:
        read = read_amount(side.value, file.chip)
        if side.point is not None and read is not None:
            value = value_of(rows[side.point.id()], metric)
            if value > 0:
                at.append((read[1], value, side.value))
    at.sort(key=lambda entry: entry[0])
    (low, first, below), (high, last, above) = at[0], at[-1]
    if low == high:
        return None, ()
    return math.log(last / first) / math.log(high / low), (below, above)
