"""Quantities: sizes, bandwidths, durations and frequencies with their units in one table; values with and without
units read as numbers, put in order, and written back."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from memgrain.errors import MemgrainError
from memgrain.hwmodels.units import (
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
    """A kind of quantity with its base unit."""

    name: str
    """size, bandwidth, duration or frequency."""
    base: str
    """Its base unit."""
    parse: Callable[[Any], int]
    """Reads a text into base units; raises ValueError for a text with another unit."""
    format: Callable[[float], str]
    """Writes base units as a text."""
    step: int
    """Smallest difference, in base units, that a search distinguishes."""

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

Number = int | float
TIMES = {"": 1, "K": 1 << 10, "M": 1 << 20}
"""Factor of a letter behind a number of tokens; contexts are powers of two."""
_TOKENS = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KkMm]?)(?: tokens?)?")
_OTHER = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(%|nCK)")
"""Shares and clocks of a DRAM, which have no base unit here but an order."""


def read(value: Any, where: str) -> tuple[Number, Unit | None]:
    """A number as it is, or a text with a unit in base units; raises MemgrainError that names `where` it stands."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value, None
    for unit in UNITS:
        try:
            return unit.parse(value), unit
        except ValueError:
            continue
    raise MemgrainError(f"{where}: {value!r} is no number and no quantity such as '32 MiB' or '200 ns'; write one")


def size_of(value: Any, where: str) -> int:
    """Bytes of a size such as '50 MiB', or of a whole number; raises MemgrainError that names `where` it stands."""
    return _of(value, where, parse_bytes)


def bandwidth_of(value: Any, where: str) -> int:
    """Bytes per second of a bandwidth such as '25 GB/s', or of a whole number; raises MemgrainError that names `where`
    it stands."""
    return _of(value, where, parse_bandwidth)


def _of(value: Any, where: str, parse: Callable[[Any], int]) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return parse(value)
    except ValueError as error:
        raise MemgrainError(f"{where}: {error}") from None


def plain(value: Any) -> float | None:
    """A value of a key as a number, quantities in base units; None for what is no number."""
    try:
        return float(read(value, "")[0])
    except MemgrainError:
        return None


def write(value: Number, unit: Unit | None) -> Any:
    """The value that a key is set to: the number, or a text with its unit."""
    return value if unit is None else unit.text(value)


def measure(value: Any) -> tuple[str, float] | None:
    """What a value measures and how much of it: ("size", 524288.0) of "512 KiB", ("", 96.0) of 96, ("", 32768.0) of
    "32K tokens"; None of a truth value and of a text that is no quantity. Values that measure alike have an order."""
    if isinstance(value, Real):
        return None if isinstance(value, bool) or math.isnan(float(value)) else ("", float(value))
    if not isinstance(value, str):
        return None
    for unit in UNITS:
        try:
            return unit.name, float(unit.parse(value))
        except ValueError:
            continue
    if tokens := _TOKENS.fullmatch(value.strip()):
        return "", float(tokens[1]) * TIMES[tokens[2].upper()]
    other = _OTHER.fullmatch(value.strip())
    return (other[2], float(other[1])) if other else None


def numbers(values: Sequence[Any]) -> list[float] | None:
    """The values as numbers, quantities in base units; None unless there are some and all measure alike."""
    found = [known for known in map(measure, values) if known is not None]
    alike = len(found) == len(values) > 0 and len({what for what, _ in found}) == 1
    return [number for _, number in found] if alike else None


def identity(value: Any) -> Hashable:
    """A hashable identity of a value: True is not 1, and a value that cannot be hashed is its text."""
    return isinstance(value, bool), value if isinstance(value, Hashable) else str(value)


def ordered(values: Iterable[Any]) -> list[Any]:
    """The distinct values in the order of an axis: numbers and quantities from small to large; after them choices that
    are no quantities (layouts, "auto") in the order given, False before True.

    Where values measure different things, such as sizes and durations, all stay in the order given.
    """
    distinct = list({identity(value): value for value in values}.values())
    if all(isinstance(value, bool) for value in distinct):
        return sorted(distinct)
    known = [measure(value) for value in distinct]
    if len({found[0] for found in known if found is not None}) > 1:
        return distinct
    places = [(0, found[1]) if found is not None else (1, float(place)) for place, found in enumerate(known)]
    return [distinct[place] for place in sorted(range(len(distinct)), key=places.__getitem__)]
