"""A value with its lowest and highest possible value, and the interval of a formula of such values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from memgrain.errors import MemgrainError

MOST_CORNERS = 16
"""Maximum number of uncertain numbers in a formula, which is evaluated at every combination of their ends."""


@dataclass(frozen=True)
class ValueInterval:
    """A value and the interval that contains it."""

    low: float
    """Lowest."""
    value: float
    """The nominal value."""
    high: float
    """Highest."""

    @classmethod
    def of(cls, value: float, ends: tuple[float, float] | None = None) -> ValueInterval:
        """A value with `ends` in any order, or a certain value if there are none. Ends that exclude the value are
        widened."""
        low, high = (value, value) if ends is None else (min(ends), max(ends))
        return cls(min(low, value), value, max(high, value))

    @property
    def certain(self) -> bool:
        """Whether the interval has no width."""
        return self.low == self.high


def interval_of_formula(
    formula: Callable[[Mapping[str, float]], float], numbers: Mapping[str, ValueInterval]
) -> ValueInterval:
    """The value of a formula of independent numbers, with its extremes over all combinations of their ends. If the
    formula is monotone in each number, these are its extremes over the whole ranges.

    Raises MemgrainError for more than MOST_CORNERS uncertain numbers.
    """
    unsure = [name for name, number in numbers.items() if not number.certain]
    if len(unsure) > MOST_CORNERS:
        raise MemgrainError(f"{len(unsure)} uncertain numbers in one formula, {MOST_CORNERS} at most; split it")
    nominal = {name: number.value for name, number in numbers.items()}
    found = [
        formula({**nominal, **dict(zip(unsure, ends, strict=True))})
        for ends in itertools.product(*((numbers[name].low, numbers[name].high) for name in unsure))
    ]
    value = formula(nominal)
    return ValueInterval(min([value, *found]), value, max([value, *found]))
