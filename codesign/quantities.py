"""The quantities that a YAML writes with a unit: sizes, bandwidths, durations and frequencies, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hwmodels.units import (
    format_bandwidth,
    format_bytes,
    format_duration,
    format_frequency,
    parse_bandwidth,
    parse_bytes,
    parse_duration,
    parse_frequency,
)


@dataclass(frozen=True)
class Unit:
    """What a quantity is measured in."""

    name: str
    """What it is: a size, a bandwidth, a duration, a frequency."""
    base: str
    """Its base unit."""
    parse: Callable[[Any], int]
    """From text to base units; raises ValueError of a text in another unit."""
    format: Callable[[float], str]
    """From base units to text, as people write it."""
    step: int
    """Base units between two values that are worth telling apart."""

    def text(self, value: float) -> str:
        """A value as a text that reads back as that value."""
        short = self.format(value)
        if self.base == "B" and "i" not in short and not value % 2**10:
            return f"{int(value) // 2**10} KiB"
        return short if self.parse(short) == value else f"{round(value)} {self.base}"


UNITS = (
    Unit("size", "B", parse_bytes, format_bytes, 2**10),
    Unit("bandwidth", "B/s", parse_bandwidth, format_bandwidth, 10**9),
    Unit("duration", "ps", parse_duration, format_duration, 10**3),
    Unit("frequency", "Hz", parse_frequency, format_frequency, 10**6),
)
