"""An interval: a value with the lowest and the highest that it may be, and what follows for a formula of such."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from memgrain.errors import MemgrainError

MOST_CORNERS = 16
"""Uncertain numbers that a formula may have: it is worked out at every combination of their ends."""


@dataclass(frozen=True)
class ValueInterval:
    """A value and how far it may be off."""

    low: float
    """Lowest."""
    value: float
    """What is taken where one number is needed."""
    high: float
    """Highest."""

    @classmethod
    def of(cls, value: float, ends: tuple[float, float] | None = None) -> ValueInterval:
        """A value between its ends in any order, or one that is certain; the value widens ends that miss it."""
        low, high = (value, value) if ends is None else (min(ends), max(ends))
        return cls(min(low, value), value, max(high, value))

    @property
    def certain(self) -> bool:
        """Whether it is one number."""
        return self.low == self.high


def interval_of_formula(
    formula: Callable[[Mapping[str, float]], float], numbers: Mapping[str, ValueInterval]
) -> ValueInterval:
    """A formula of independent numbers: its value, and its extremes over all combinations of their ends, which are its
    extremes everywhere if it rises or falls throughout in each of them.

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
