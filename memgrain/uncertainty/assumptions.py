"""Effect of assumed parameters on a result: the same run with each at the ends of its range, and with all together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from memgrain.errors import MemgrainError
from memgrain.hwmodels import read_chip
from memgrain.runs.execute import DOMAIN
from memgrain.runs.options import RunOptions
from memgrain.runs.task import Task
from memgrain.uncertainty.ends import Span, spans
from memgrain.uncertainty.parameters import uncertain_parameters
from memgrain.uncertainty.sampling import with_numbers


@dataclass(frozen=True)
class AssumptionInterval:
    """A time, and its range over the chip's assumed parameters."""

    time_us: float
    """Time with the nominal parameters."""
    numbers: tuple[Span, ...]
    """Time with each assumed parameter at each end of its range, the largest effect first."""
    fastest_us: float
    """Time with every parameter at the end that is faster on its own."""
    slowest_us: float
    """Time with every parameter at the end that is slower on its own."""


def over_assumptions(task: Task, options: RunOptions = RunOptions()) -> AssumptionInterval:
    """The interval of a task's time over the chip's assumed parameters. Overridden parameters stay fixed.

    Raises MemgrainError if the chip has no assumed parameter, and the errors of `Task.resolve` and the simulation.
    """
    known = uncertain_parameters(read_chip(task.chip, task.chip_set), task.chip_set)
    assumed = [parameter for parameter in known if parameter.item.kind == "assumed"]
    if not assumed:
        raise MemgrainError(f"{task.chip} has no assumed number with a range; run it without assumptions")
    nominal, numbers = spans(task, assumed, "time_us", options)
    return AssumptionInterval(
        nominal, tuple(numbers), _joint(task, numbers, nominal, min), _joint(task, numbers, nominal, max)
    )


def _joint(task: Task, numbers: list[Span], nominal: float, best: Callable[..., float]) -> float:
    """The time with every parameter at its best (or worst) end. A parameter that contradicts the others keeps its
    nominal value."""
    changes: dict[str, Any] = {}
    found = nominal
    for item in numbers:
        for end, alone in zip(item.ends, item.values, strict=True):
            if (
                alone is None
                or alone == nominal
                or best(alone, nominal) != alone
                or best(*item.reach(nominal)) != alone
            ):
                continue
            together = _tried(task, {**changes, item.path: end})
            if together is not None:
                changes, found = {**changes, item.path: end}, together
    return found


def _tried(task: Task, changes: dict[str, Any]) -> float | None:
    try:
        return with_numbers(task, changes).resolve().simulate().time / 1e6
    except DOMAIN:
        return None
