"""Coordinate descent: one variable after another, each within its bounds on its own objective, until none moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.optimize import brentq, minimize_scalar

PASSES = 8
"""Maximum number of passes over all variables."""
SETTLED = 0.01
"""A variable has converged if it moves by at most this fraction of its bounds' width."""
AGAIN = 0.15
"""From the second pass on, the search is limited to this fraction of the bounds' width around the present value."""
STIRRED = 0.02
"""A variable is searched again only if the others have changed its objective by this fraction and by more than
FLOOR."""
STEPS = 15
"""Maximum number of evaluations per search."""
RISE, FLOOR = 0.1, 0.001
"""Allowed rise of the objective within the interval: this fraction, but at least FLOOR."""
WORTH, SHARE = 0.0002, 0.05
"""A variable keeps its value, or moves to its bound, if the objective elsewhere is better by no more than WORTH or by
no more than the fraction SHARE."""
ENDS = 8
"""Maximum number of evaluations per end of an interval."""

Objective = Callable[[Mapping[str, float]], float]
"""The mean absolute error as a function of the variables by name."""
OnSettled = Callable[["Found"], None]
"""Called with each variable's result in a pass."""


@dataclass(frozen=True)
class SearchVariable:
    """A variable of the search."""

    name: str
    """Name of the variable."""
    start: float
    """Start value."""
    low: float
    """Lower bound."""
    high: float
    """Upper bound."""
    whole: bool
    """Whether it must be a whole number."""
    objective: Objective
    """Objective to minimise, as a function of all variables."""

    @property
    def width(self) -> float:
        """Width of the bounds."""
        return self.high - self.low

    def clip(self, value: float) -> float:
        """`value` clipped to the bounds, and rounded if it must be whole."""
        inside = min(max(value, self.low), self.high)
        return float(round(inside)) if self.whole else inside


@dataclass(frozen=True)
class Found:
    """The result of a variable after a pass."""

    name: str
    """Name of the variable."""
    value: float
    """Present value."""
    error: float
    """Objective at that value."""
    bound: Literal["low", "high"] | None
    """The bound at which it stopped, if any."""
    interval: tuple[float, float] | None = None
    """Interval in which the objective is about as good as `error`, all other variables fixed; None until it is
    known."""
    open_low: bool = False
    """Whether the objective does not rise up to the lower bound."""
    open_high: bool = False
    """Whether the objective does not rise up to the upper bound."""

    @property
    def idle(self) -> bool:
        """Whether the objective hardly depends on the variable."""
        return self.open_low and self.open_high


def search(variables: Sequence[SearchVariable], settled: OnSettled) -> dict[str, Found]:
    """Minimise over each variable in turn with all others fixed, repeatedly; then determine the interval of each.

    A variable that alone determines its objective is found in one pass, others by alternation.
    """
    values = {variable.name: variable.clip(variable.start) for variable in variables}
    found: dict[str, Found] = {}
    for number in range(PASSES):
        moved = False
        for variable in variables:
            before = values[variable.name]
            if number and not _stirred(variable, values, found[variable.name].error):
                continue
            value, error = _minimum(variable, values, first=number == 0)
            values[variable.name] = value
            found[variable.name] = Found(variable.name, value, error, _bound(variable, value))
            settled(found[variable.name])
            moved |= abs(value - before) > SETTLED * variable.width
        if not moved:
            break
    for variable in variables:
        found[variable.name] = _with_interval(variable, values)
        values[variable.name] = found[variable.name].value
        settled(found[variable.name])
    return found


def _minimum(variable: SearchVariable, values: Mapping[str, float], first: bool) -> tuple[float, float]:
    """The minimum of the objective and its value there."""
    here = values[variable.name]
    if first:
        return _minimum_between(variable, values, variable.low, variable.high)
    reach, near = AGAIN * variable.width, 2 * SETTLED * variable.width
    low, high = max(variable.low, here - reach), min(variable.high, here + reach)
    value, error = _minimum_between(variable, values, low, high)
    if variable.low < value < low + near or high - near < value < variable.high:
        return _minimum_between(variable, values, variable.low, variable.high)
    return value, error


def _minimum_between(
    variable: SearchVariable, values: Mapping[str, float], low: float, high: float
) -> tuple[float, float]:
    """The minimum between two values. The variable keeps its value if no other is sufficiently better."""
    here = values[variable.name]
    if variable.whole and high - low < STEPS:
        tried = [float(value) for value in range(int(low), int(high) + 1)]
    else:
        result = minimize_scalar(
            lambda value: _at(variable, values, value),
            bounds=(low, high),
            method="bounded",
            options={"xatol": SETTLED * variable.width / 2, "maxiter": STEPS},
        )
        value = float(result.x)
        tried = [*(end for end in (low, high) if abs(end - value) < 2 * SETTLED * variable.width), value]
    best, error = here, _at(variable, values, here)
    for value in tried:
        new = _at(variable, values, value)
        if new < error - max(WORTH, SHARE * error):
            best, error = variable.clip(value), new
    return best, error


def _stirred(variable: SearchVariable, values: Mapping[str, float], error: float) -> bool:
    """Whether the objective at the present value differs from `error`, because other variables have moved."""
    change = abs(_at(variable, values, values[variable.name]) - error)
    return change > max(STIRRED * error, FLOOR)


def _with_interval(variable: SearchVariable, values: Mapping[str, float]) -> Found:
    """The result of a variable, with the interval in which its objective hardly rises.

    No end is closer than the step of the search. A variable whose objective rises at neither bound is reset to its
    start value, because the rows do not determine it.
    """
    value = values[variable.name]
    error = _at(variable, values, value)
    limit = error + max(RISE * error, FLOOR)
    ends, stay = [], []
    for bound in (variable.low, variable.high):
        stay.append(_at(variable, values, bound) <= limit)
        if stay[-1]:
            ends.append(bound)
            continue
        end = brentq(
            lambda x: _at(variable, values, x) - limit,
            value,
            bound,
            xtol=SETTLED * variable.width / 10,
            maxiter=ENDS,
            disp=False,
        )
        step = math.copysign(SETTLED / 2 * variable.width, bound - value)
        ends.append(variable.clip(max(float(end), value + step) if step > 0 else min(float(end), value + step)))
    if all(stay):
        value = variable.clip(variable.start)
        error = _at(variable, values, value)
    return Found(variable.name, value, error, _bound(variable, value), (ends[0], ends[1]), stay[0], stay[1])


def _at(variable: SearchVariable, values: Mapping[str, float], value: float) -> float:
    return variable.objective({**values, variable.name: variable.clip(value)})


def _bound(variable: SearchVariable, value: float) -> Literal["low", "high"] | None:
    if value - variable.low < SETTLED * variable.width:
        return "low"
    return "high" if variable.high - value < SETTLED * variable.width else None
