"""Quantities as sentences have them: three digits and a unit."""

from __future__ import annotations

from memgrain.inputs.quantities import format_bandwidth, format_duration

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")


def span(picoseconds: float) -> str:
    """A duration."""
    return format_duration(float(f"{picoseconds:.3g}"))


def rate(bytes_per_second: float) -> str:
    """A bandwidth."""
    return format_bandwidth(float(f"{bytes_per_second:.3g}"))


def size(number: int) -> str:
    """Bytes in binary units; below 1 KiB, and multiples of it, to the last one."""
    power = min(max(number.bit_length() - 1, 0) // 10, len(_BINARY) - 1)
    return f"{number / 2 ** (10 * power):.4g} {_BINARY[power]}"


def many(number: int, thing: str) -> str:
    """So many of a thing."""
    return f"{number:,} {thing}{'s' * (number != 1)}"
