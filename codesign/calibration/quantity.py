"""Numbers of a chip that can be varied: read from the YAML's text with its range, and written as such a text again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codesign.errors import CodesignError
from hwmodels import Chip, ChipFile
from hwmodels.units import (
    format_bandwidth,
    format_duration,
    format_frequency,
    parse_bandwidth,
    parse_bytes,
    parse_duration,
    parse_frequency,
)

DIGITS = 4
"""Digits to which a fitted number is written."""
_CLOCKS = re.compile(r"^\s*([0-9]+)\s*nCK\s*$")


@dataclass(frozen=True)
class Quantity:
    """A number of a chip and the range that it may be fitted in, in base units."""

    key: str
    """Dotted name."""
    value: float
    """What the YAML says."""
    low: float
    """Lower end of its range."""
    high: float
    """Upper end of its range."""
    kind: str
    """What it is: count, share, size, bandwidth, duration or frequency."""

    @property
    def whole(self) -> bool:
        """Whether only whole numbers will do."""
        return self.kind in ("count", "size")

    def text(self, value: float) -> Any:
        """`value` as the YAML would have it, in not more digits than it is worth."""
        rounded = value if self.whole else float(f"{value:.{DIGITS}g}")
        return _FORMATS[self.kind](rounded)


def read_quantity(file: ChipFile, key: str) -> Quantity:
    """The number of that name with the range of its YAML; raises CodesignError if it has none or is no number."""
    item = file.provenance.get(key)
    if item is None:
        raise CodesignError(f"{file.chip.name} has no '{key}'")
    if item.range is None:
        raise CodesignError(f"{file.chip.name} gives no range for {key}; add one to its YAML")
    kind, value = _read(item.value, file.chip)
    (_, low), (_, high) = _read(item.range[0], file.chip), _read(item.range[1], file.chip)
    if not low < high:
        raise CodesignError(f"{file.chip.name} gives the range {list(item.range)} for {key}, which is empty; widen it")
    return Quantity(key, value, low, high, kind)


def _read(text: Any, chip: Chip) -> tuple[str, float]:
    """Kind and value of a number as the YAML has it."""
    if isinstance(text, int) and not isinstance(text, bool):
        return "count", text
    if isinstance(text, float):
        return "share", text
    clocks = _CLOCKS.match(str(text))
    if clocks:
        return "duration", int(clocks[1]) * chip.dram.standard.clock_period
    for kind, parse in _PARSERS.items():
        try:
            return kind, parse(text)
        except ValueError:
            continue
    raise CodesignError(f"{text!r} is no number that can be fitted; fit it by hand")


_PARSERS: dict[str, Callable[[Any], int]] = {
    "size": parse_bytes,
    "bandwidth": parse_bandwidth,
    "duration": parse_duration,
    "frequency": parse_frequency,
}
_FORMATS: dict[str, Callable[[float], Any]] = {
    "count": int,
    "share": float,
    "size": lambda value: f"{int(value)} B",
    "bandwidth": format_bandwidth,
    "duration": format_duration,
    "frequency": format_frequency,
}
