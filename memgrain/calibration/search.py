"""The search: one number after another, each within its bounds on an objective of its own, until none moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.optimize import brentq, minimize_scalar

PASSES = 8
"""Passes over all numbers at most."""
SETTLED = 0.01
"""Share of its bounds' distance by which a number may still move when it counts as found."""
AGAIN = 0.15
"""From the second pass on a number is sought within this share of its bounds' distance of where it stands."""
STIRRED = 0.02
"""It is sought again only if the other numbers have changed its objective by this share, and by more than FLOOR."""
STEPS = 15
"""Evaluations of one search at most."""
RISE, FLOOR = 0.1, 0.001
"""By how much the objective may rise within the interval: this share of itself, and no less than this."""
WORTH, SHARE = 0.0002, 0.05
"""A number stays where it is, or goes to its bound, if the objective is better elsewhere by no more than this, or by no
more than that share of itself."""
ENDS = 8
"""Evaluations for one end of an interval at most."""

Objective = Callable[[Mapping[str, float]], float]
"""A mean absolute error that numbers give, by name."""
OnSettled = Callable[["Found"], None]
"""Hears of each number as it is settled in a pass."""


@dataclass(frozen=True)
class SearchVariable:
    """A number to be found."""

    name: str
    """Its name."""
    start: float
    """Where it stands."""
    low: float
    """Its lower bound."""
    high: float
    """Its upper bound."""
    whole: bool
    """Whether it must be a whole number."""
    objective: Objective
    """What is to be small, given all numbers."""

    @property
    def width(self) -> float:
        """Distance of the bounds."""
        return self.high - self.low

    def clip(self, value: float) -> float:
        """`value` within the bounds, whole where it must be."""
        inside = min(max(value, self.low), self.high)
        return float(round(inside)) if self.whole else inside


@dataclass(frozen=True)
class Found:
    """What is known of a number after a pass."""

    name: str
    """Its name."""
    value: float
    """Where it stands now."""
    error: float
    """The objective there."""
    bound: Literal["low", "high"] | None
    """The bound that it stopped at."""
    interval: tuple[float, float] | None = None
    """Where the objective ends to be as good as `error`, with all else as found; None until it is known."""
    open_low: bool = False
    """Whether the interval ends at the lower bound without the objective having risen."""
    open_high: bool = False
    """The same at the upper bound."""

    @property
    def idle(self) -> bool:
        """Whether the objective hardly depends on the number."""
        return self.open_low and self.open_high


def search(unknowns: Sequence[SearchVariable], told: OnSettled) -> dict[str, Found]:
    """Find every number with all others held, again and again; then say how far each may move.

    Coordinate descent: a number that alone decides its objective is found in one pass, others by turns.
    """
    values = {unknown.name: unknown.clip(unknown.start) for unknown in unknowns}
    found: dict[str, Found] = {}
    for number in range(PASSES):
        moved = False
        for unknown in unknowns:
            before = values[unknown.name]
            if number and not _stirred(unknown, values, found[unknown.name].error):
                continue
            value, error = _minimum(unknown, values, first=number == 0)
            values[unknown.name] = value
            found[unknown.name] = Found(unknown.name, value, error, _bound(unknown, value))
            told(found[unknown.name])
            moved |= abs(value - before) > SETTLED * unknown.width
        if not moved:
            break
    for unknown in unknowns:
        found[unknown.name] = _with_interval(unknown, values)
        values[unknown.name] = found[unknown.name].value
        told(found[unknown.name])
    return found


def _minimum(unknown: SearchVariable, values: Mapping[str, float], first: bool) -> tuple[float, float]:
    """Where the objective is least, and what it is there."""
    here = values[unknown.name]
    if first:
        return _minimum_between(unknown, values, unknown.low, unknown.high)
    reach, near = AGAIN * unknown.width, 2 * SETTLED * unknown.width
    low, high = max(unknown.low, here - reach), min(unknown.high, here + reach)
    value, error = _minimum_between(unknown, values, low, high)
    if unknown.low < value < low + near or high - near < value < unknown.high:
        return _minimum_between(unknown, values, unknown.low, unknown.high)
    return value, error


def _minimum_between(
    unknown: SearchVariable, values: Mapping[str, float], low: float, high: float
) -> tuple[float, float]:
    """The same between two values; the number stays where it is if nothing there is worth a move."""
    here = values[unknown.name]
    if unknown.whole and high - low < STEPS:
        tried = [float(value) for value in range(int(low), int(high) + 1)]
    else:
        result = minimize_scalar(
            lambda value: _at(unknown, values, value),
            bounds=(low, high),
            method="bounded",
            options={"xatol": SETTLED * unknown.width / 2, "maxiter": STEPS},
        )
        value = float(result.x)
        tried = [*(end for end in (low, high) if abs(end - value) < 2 * SETTLED * unknown.width), value]
    best, error = here, _at(unknown, values, here)
    for value in tried:
        new = _at(unknown, values, value)
        if new < error - max(WORTH, SHARE * error):
            best, error = unknown.clip(value), new
    return best, error


def _stirred(unknown: SearchVariable, values: Mapping[str, float], error: float) -> bool:
    """Whether the objective where the number stands is another than `error`, since other numbers have moved."""
    change = abs(_at(unknown, values, values[unknown.name]) - error)
    return change > max(STIRRED * error, FLOOR)


def _with_interval(unknown: SearchVariable, values: Mapping[str, float]) -> Found:
    """What is found of a number, with the interval in which its objective hardly rises.

    No end is nearer than the search's own step. A number whose objective rises at neither bound is put back where it
    began: the rows say nothing of it.
    """
    value = values[unknown.name]
    error = _at(unknown, values, value)
    limit = error + max(RISE * error, FLOOR)
    ends, stay = [], []
    for bound in (unknown.low, unknown.high):
        stay.append(_at(unknown, values, bound) <= limit)
        if stay[-1]:
            ends.append(bound)
            continue
        end = brentq(
            lambda x: _at(unknown, values, x) - limit,
            value,
            bound,
            xtol=SETTLED * unknown.width / 10,
            maxiter=ENDS,
            disp=False,
        )
        step = math.copysign(SETTLED / 2 * unknown.width, bound - value)
        ends.append(unknown.clip(max(float(end), value + step) if step > 0 else min(float(end), value + step)))
    if all(stay):
        value = unknown.clip(unknown.start)
        error = _at(unknown, values, value)
    return Found(unknown.name, value, error, _bound(unknown, value), (ends[0], ends[1]), stay[0], stay[1])


def _at(unknown: SearchVariable, values: Mapping[str, float], value: float) -> float:
    return unknown.objective({**values, unknown.name: unknown.clip(value)})


def _bound(unknown: SearchVariable, value: float) -> Literal["low", "high"] | None:
    if value - unknown.low < SETTLED * unknown.width:
        return "low"
    return "high" if unknown.high - value < SETTLED * unknown.width else None
