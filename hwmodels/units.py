"""Quantities with units: "50 MiB", "3.35 TB/s", "200 ns", "1.85 GHz" to base units, and back.

Base units are bytes (int), bytes per second (int), picoseconds (int) and hertz (int): integers, so that the same YAML
gives the same bits everywhere. A bare number where a unit is due is refused: "50" could be MiB or MB, and nobody
notices for a year.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

_SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_RATES = {"B/s": 1, "kB/s": 10**3, "MB/s": 10**6, "GB/s": 10**9, "TB/s": 10**12, "GiB/s": 2**30, "TiB/s": 2**40}
_TIMES = {"ps": 1, "ns": 10**3, "us": 10**6, "ms": 10**9, "s": 10**12}
_FREQUENCIES = {"Hz": 1, "kHz": 10**3, "MHz": 10**6, "GHz": 10**9}

_QUANTITY = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z/]+)\s*$")


def _parse(text: Any, units: dict[str, int], what: str, example: str) -> int:
    match = _QUANTITY.match(text) if isinstance(text, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"expected {what} such as '{example}', got {text!r}; units: {', '.join(units)}")
    number, scale = match[1], units[match[2]]
    value = int(number) * scale if number.isdigit() else float(number) * scale
    if not value < 2**63:
        raise ValueError(f"{text!r} does not fit into 64 bits; write a smaller number")
    return round(value)


def parse_bytes(text: Any) -> int:
    """Bytes of a size such as "50 MiB"; powers of two and of ten have different names, so nothing is guessed."""
    return _parse(text, _SIZES, "a size", "50 MiB")


def parse_bandwidth(text: Any) -> int:
    """Bytes per second of a bandwidth such as "3.35 TB/s"."""
    return _parse(text, _RATES, "a bandwidth", "3.35 TB/s")


def parse_duration(text: Any) -> int:
    """Picoseconds of a duration such as "200 ns"."""
    return _parse(text, _TIMES, "a duration", "200 ns")


def parse_frequency(text: Any) -> int:
    """Hertz of a frequency such as "1.85 GHz"."""
    return _parse(text, _FREQUENCIES, "a frequency", "1.85 GHz")


def _format(value: float, units: dict[str, int]) -> str:
    ordered = sorted(units.items(), key=lambda item: -item[1])
    name, scale = next((unit for unit in ordered if value >= unit[1]), ordered[-1])
    return f"{value / scale:.6g} {name}"


def format_bytes(value: float) -> str:
    """A size as people write it: 52428800 -> "50 MiB"; binary units where they divide evenly, else decimal ones."""
    binary = {name: scale for name, scale in _SIZES.items() if name in ("B", "KiB", "MiB", "GiB")}
    decimal = {name: scale for name, scale in _SIZES.items() if name in ("B", "kB", "MB", "GB")}
    even = _format(value, binary)
    return even if parse_bytes(even) == value else _format(value, decimal)


def format_bandwidth(value: float) -> str:
    """A bandwidth as people write it: 3.35e12 -> "3.35 TB/s"."""
    return _format(value, {name: scale for name, scale in _RATES.items() if "i" not in name})


def format_duration(value: float) -> str:
    """A duration in picoseconds as people write it: 200000 -> "200 ns"."""
    return _format(value, _TIMES)


def format_frequency(value: float) -> str:
    """A frequency in hertz as people write it: 1.85e9 -> "1.85 GHz"."""
    return _format(value, _FREQUENCIES)


def _text(units: dict[str, int], example: str) -> WithJsonSchema:
    names = "|".join(re.escape(name) for name in units)
    return WithJsonSchema({"type": "string", "pattern": rf"^\s*[0-9.eE+-]+\s*({names})\s*$", "examples": [example]})


def _within(low: int, high: int, write: Callable[[float], str]) -> AfterValidator:
    """Refuses what no chip has and what would overflow 64 bits or take for ever to simulate."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"{write(value)} is outside {write(low)} to {write(high)}; correct the value")
        return value

    return AfterValidator(check)


Bytes = Annotated[int, BeforeValidator(parse_bytes), _within(1, 2**50, format_bytes), _text(_SIZES, "50 MiB")]
Bandwidth = Annotated[
    int, BeforeValidator(parse_bandwidth), _within(10**6, 10**17, format_bandwidth), _text(_RATES, "3.35 TB/s")
]
Duration = Annotated[int, BeforeValidator(parse_duration), _within(0, 10**13, format_duration), _text(_TIMES, "200 ns")]
Latency = Annotated[int, BeforeValidator(parse_duration), _within(0, 10**9, format_duration), _text(_TIMES, "200 ns")]
Frequency = Annotated[
    int, BeforeValidator(parse_frequency), _within(10**3, 10**12, format_frequency), _text(_FREQUENCIES, "1.85 GHz")
]
Count = Annotated[int, Field(gt=0, le=10**6, strict=True)]
Rate = Annotated[float, Field(ge=1e-3, le=1e9, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]
