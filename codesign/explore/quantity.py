"""Numbers with and without units as one kind of thing: 16, 0.05, "32 MiB"; read into base units and written back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codesign.errors import CodesignError
from codesign.labels import value_text
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

Number = int | float


@dataclass(frozen=True)
class Unit:
    """What a quantity is measured in."""

    name: str
    """What it is: a size, a bandwidth, a duration, a frequency."""
    base: str
    """Its base unit."""
    parse: Callable[[Any], int]
    """From text to base units."""
    format: Callable[[float], str]
    """From base units to text, as people write it."""
    step: int
    """Base units between two values that are worth telling apart."""

    def text(self, value: Number) -> str:
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


def read(value: Any, where: str) -> tuple[Number, Unit | None]:
    """A number as it is, or a text with a unit in base units; raises CodesignError that names `where` it stands."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value, None
    for unit in UNITS:
        try:
            return unit.parse(value), unit
        except ValueError:
            continue
    raise CodesignError(f"{where}: {value!r} is no number and no quantity such as '32 MiB' or '200 ns'; write one")


def plain(value: Any) -> float | None:
    """A value of a key as a number, quantities in base units; None for what is no number."""
    try:
        return float(read(value, "")[0])
    except CodesignError:
        return None


def words(key: str, value: Any) -> str:
    """A value of a key as a person reads it; of a mapping, its values."""
    if isinstance(value, Mapping):
        return " ".join(words(f"{key}.{name}", item) for name, item in value.items())
    return value_text(key, value)


def write(value: Number, unit: Unit | None) -> Any:
    """What a key is set to: the number itself, or a text with its unit."""
    return value if unit is None else unit.text(value)
