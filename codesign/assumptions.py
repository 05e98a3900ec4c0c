"""What a result owes to assumptions: the same run with assumed numbers at the ends of their ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.errors import CodesignError
from codesign.task import Task
from hwmodels import HardwareError, read_chip
from sim import SimulationError
from workloads import WorkloadError


@dataclass(frozen=True)
class Assumed:
    """An assumed number, and the times with it at the ends of its range."""

    path: str
    """Its dotted name."""
    value: Any
    """What the chip's file assumes."""
    ends: tuple[Any, Any]
    """Lowest and highest conceivable value."""
    times_us: tuple[float | None, float | None]
    """Time with it at each end, all else as it is; None where the chip or the run does not admit that."""


@dataclass(frozen=True)
class Interval:
    """A time and what the chip's assumptions may make of it."""

    time_us: float
    """With the numbers of the chip's file."""
    numbers: tuple[Assumed, ...]
    """Every assumed number, the most telling first."""
    fastest_us: float
    """With every number at the end that is faster by itself."""
    slowest_us: float
    """With every number at the end that is slower by itself."""


def interval(
    chip: str, chip_set: Mapping[str, Any], workload: str | Path | Mapping[str, Any], workload_set: Mapping[str, Any]
) -> Interval:
    """The interval of a workload's time on a chip, from cold caches; numbers that are set stay as they are set.

    Raises CodesignError if the chip assumes nothing, and what `Task.resolve` and the simulation raise.
    """
    found = read_chip(chip, chip_set).provenance.values()
    alone = (item for item in found if not item.path.startswith("interconnect."))
    assumed = [item for item in alone if item.kind == "assumed" and item.range]
    if not assumed:
        raise CodesignError(f"{chip} has no assumed number with a range; leave --assumptions out")

    def time(changes: Mapping[str, Any]) -> float:
        return Task(chip, {**chip_set, **changes}, workload, workload_set).resolve().simulate().time / 1e6

    usual, numbers = time({}), []
    for item in assumed:
        low, high = item.range or (None, None)
        times = tuple(usual if end == item.value else _tried(time, {item.path: end}) for end in (low, high))
        numbers.append(Assumed(item.path, item.value, (low, high), (times[0], times[1])))
    numbers.sort(key=lambda item: -_spread(item, usual))
    return Interval(usual, tuple(numbers), _joint(time, numbers, usual, min), _joint(time, numbers, usual, max))


def _tried(time: Callable[[Mapping[str, Any]], float], changes: Mapping[str, Any]) -> float | None:
    try:
        return time(changes)
    except (HardwareError, WorkloadError, SimulationError, CodesignError):
        return None


def _spread(item: Assumed, usual: float) -> float:
    times = _known(item, usual)
    return max(times) - min(times)


def _joint(
    time: Callable[[Mapping[str, Any]], float], numbers: list[Assumed], usual: float, best: Callable[..., float]
) -> float:
    """The time with every number at its best (or worst) end; numbers that do not go with the others stay as they
    are."""
    changes: dict[str, Any] = {}
    found = usual
    for item in numbers:
        for end, alone in zip(item.ends, item.times_us, strict=True):
            if alone is None or alone == usual or best(alone, usual) != alone or best(*_known(item, usual)) != alone:
                continue
            together = _tried(time, {**changes, item.path: end})
            if together is not None:
                changes, found = {**changes, item.path: end}, together
    return found


def _known(item: Assumed, usual: float) -> list[float]:
    return [usual, *(found for found in item.times_us if found is not None)]
