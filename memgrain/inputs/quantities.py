"""Numbers with units: texts such as "50 MiB", "3.35 TB/s", "200 ns" or "1.85 GHz" to base units, and back.

Base units are bytes, bytes per second, picoseconds and hertz, as integers: the same text gives the same bits on every
machine. A bare number is refused where a unit is due: "50" could be MiB or MB. Powers of two (KiB) and of ten (kB) have
different names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*((?:[A-Za-z%][A-Za-z/ ]*)?)")
_TOKENS = {"": 1, "k": 2**10, "m": 2**20}
_BITS = 63
"""Bits of a base-unit value, its sign aside."""


@dataclass(frozen=True)
class Dimension:
    """A kind of quantity with its units."""

    name: str
    """size, bandwidth, duration or frequency."""
    base: str
    """Its base unit."""
    example: str
    """A text that error messages show."""
    step: int
    """Smallest difference in base units that a search tells apart."""
    units: Mapping[str, int]
    """Base units in each unit that a text may have."""
    written: tuple[tuple[str, ...], ...]
    """Units in which values are written: the first group if the text reads back as the value, else the last one."""

    def parse(self, text: Any) -> int:
        """Base units of a text; raises ValueError if it is not a number with one of the units."""
        found = split(text)
        if found is None or found[1] not in self.units:
            raise ValueError(
                f"expected a {self.name} such as '{self.example}', got {text!r}; units: {', '.join(self.units)}"
            )
        value = found[0] * self.units[found[1]]
        if not value < 2**_BITS:
            raise ValueError(f"{text!r} does not fit into 64 bits; write a smaller number")
        return round(value)

    def format(self, value: float) -> str:
        """A value in the largest unit that is not larger than it, in six digits: 52428800 B are "50 MiB"."""
        for group in self.written[:-1]:
            text = self._in(group, value)
            if self.parse(text) == value:
                return text
        return self._in(self.written[-1], value)

    def text(self, value: float) -> str:
        """A value as a text that reads back as exactly that value."""
        short = self.format(value)
        if self.base == "B" and "i" not in short and not value % 2**10:
            return f"{int(value) // 2**10} KiB"
        return short if self.parse(short) == value else f"{round(value)} {self.base}"

    def _in(self, group: tuple[str, ...], value: float) -> str:
        name = next((unit for unit in group if value >= self.units[unit]), group[-1])
        return f"{value / self.units[name]:.6g} {name}"


SIZE = Dimension(
    "size",
    "B",
    "50 MiB",
    2**10,
    {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9},
    (("GiB", "MiB", "KiB", "B"), ("GB", "MB", "kB", "B")),
)
BANDWIDTH = Dimension(
    "bandwidth",
    "B/s",
    "3.35 TB/s",
    10**9,
    {"B/s": 1, "kB/s": 10**3, "MB/s": 10**6, "GB/s": 10**9, "TB/s": 10**12, "GiB/s": 2**30, "TiB/s": 2**40},
    (("TB/s", "GB/s", "MB/s", "kB/s", "B/s"),),
)
DURATION = Dimension(
    "duration",
    "ps",
    "200 ns",
    10**3,
    {"ps": 1, "ns": 10**3, "us": 10**6, "ms": 10**9, "s": 10**12},
    (("s", "ms", "us", "ns", "ps"),),
)
FREQUENCY = Dimension(
    "frequency",
    "Hz",
    "1.85 GHz",
    10**6,
    {"Hz": 1, "kHz": 10**3, "MHz": 10**6, "GHz": 10**9},
    (("GHz", "MHz", "kHz", "Hz"),),
)
DIMENSIONS = (SIZE, BANDWIDTH, DURATION, FREQUENCY)
_OF_UNIT = {unit: dimension for dimension in DIMENSIONS for unit in dimension.units}

format_bytes, format_bandwidth = SIZE.format, BANDWIDTH.format
format_duration, format_frequency = DURATION.format, FREQUENCY.format


def parse_bytes(text: Any) -> int:
    """Bytes of a size such as "50 MiB"."""
    return SIZE.parse(text)


def parse_bandwidth(text: Any) -> int:
    """Bytes per second of a bandwidth such as "3.35 TB/s"."""
    return BANDWIDTH.parse(text)


def parse_duration(text: Any) -> int:
    """Picoseconds of a duration such as "200 ns"."""
    return DURATION.parse(text)


def parse_frequency(text: Any) -> int:
    """Hertz of a frequency such as "1.85 GHz"."""
    return FREQUENCY.parse(text)


def split(text: Any) -> tuple[int | float, str] | None:
    """The number and the unit of a text, which may be empty: (50, "MiB"), (96, "%"), (4, "nCK"), (0.5, ""); None of
    anything else. Whole numbers stay integers."""
    found = _QUANTITY.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        return None
    number = found[1]
    return int(number) if number.isdigit() else float(number), found[2].strip()


def dimension_of(text: Any) -> Dimension | None:
    """Which of the four dimensions a text is a quantity of; None if of none."""
    found = split(text)
    return _OF_UNIT.get(found[1]) if found else None


def amount(text: Any, unit: str) -> float | None:
    """The number of a text in exactly that unit ("%", "nCK", "USD/h"), unconverted; None of any other text."""
    found = split(text)
    return float(found[0]) if found is not None and found[1] == unit else None


def parse_tokens(text: Any) -> int:
    """A number of tokens: 32768, "32K", "1M tokens". K and M are powers of two, as the lengths of contexts are.

    Raises ValueError unless it is whole and at least 1.
    """
    found = split(str(text))
    unit = found[1].lower().removesuffix("s").removesuffix("token").strip() if found else ""
    count = found[0] * _TOKENS.get(unit, 0) if found else 0
    if isinstance(text, bool) or count < 1 or count != int(count):
        raise ValueError(f"'{text}' is not a number of tokens; write one such as 32768, 32K or 1M")
    return int(count)
