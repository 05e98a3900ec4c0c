"""Quantities: sizes, bandwidths, durations and frequencies with their units in one table; values with and without
units read as numbers, put in order, and written back."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from numbers import Real
from typing import Any

from memgrain.errors import MemgrainError
from memgrain.inputs.quantities import Dimension, dimension_of, parse_bandwidth, parse_bytes, parse_tokens, split

Number = int | float


def read(value: Any, where: str) -> tuple[Number, Dimension | None]:
    """A number as it is, or a text with a unit in base units; raises MemgrainError that names `where` it stands."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value, None
    unit = dimension_of(value)
    if unit is not None:
        return unit.parse(value), unit
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


def write(value: Number, unit: Dimension | None) -> Any:
    """The value that a key is set to: the number, or a text with its unit."""
    return value if unit is None else unit.text(value)


def measure(value: Any) -> tuple[str, float] | None:
    """What a value measures and how much of it: ("size", 524288.0) of "512 KiB", ("", 96.0) of 96, ("", 32768.0) of
    "32K tokens"; None of a truth value and of a text that is no quantity. Values that measure alike have an order."""
    if isinstance(value, Real):
        return None if isinstance(value, bool) or math.isnan(float(value)) else ("", float(value))
    if not isinstance(value, str):
        return None
    unit, found = dimension_of(value), split(value)
    if unit is not None:
        return unit.name, float(unit.parse(value))
    if found is None or found[1] in ("", "%", "nCK"):
        return None if found is None else (found[1], float(found[0]))
    try:
        return "", float(parse_tokens(value))
    except ValueError:
        return None


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
