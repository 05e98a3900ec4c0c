"""Tables without lines, and formats of numbers, sizes and times."""

from __future__ import annotations

from rich.table import Table


def table(*columns: str) -> Table:
    """A table without lines; columns whose titles begin with > are right-aligned."""
    found = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        right = column.startswith(">")
        found.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return found


def number_text(value: float) -> str:
    """A number with four digits, without an exponent up to twelve digits before the point; whole numbers exactly."""
    if 1e4 <= abs(value) < 1e12 and float(value).is_integer():
        return f"{value:,.0f}"
    return f"{float(f'{value:.4g}'):,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def size_text(count: int) -> str:
    """Bytes in decimal units, three digits."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}" if count < 1000 * scale else f"{count / scale:,.0f} {unit}"
    return f"{count} B"


def time_text(picoseconds: int) -> str:
    """A time in us, ms or s, four digits."""
    for unit, scale in (("s", 10**12), ("ms", 10**9)):
        if picoseconds >= scale:
            return f"{picoseconds / scale:,.4g} {unit}"
    return f"{picoseconds / 1e6:,.4g} us"
