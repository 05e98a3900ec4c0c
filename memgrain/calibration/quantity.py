"""Parameters of a chip that can be fitted: read from the YAML with their ranges, and written as YAML values again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip, ChipFile
from memgrain.uncertainty.parameters import read_amount, write_amount

DIGITS = 4
"""Significant digits of a fitted number."""


@dataclass(frozen=True)
class Quantity:
    """A parameter of a chip and its range, in base units."""

    key: str
    """Dotted name."""
    value: float
    """Value in the YAML."""
    low: float
    """Lower end of its range."""
    high: float
    """Upper end of its range."""
    kind: str
    """Kind: count, real, size, bandwidth, duration or frequency."""

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are allowed."""
        return self.kind in ("count", "size")

    def text(self, value: float) -> Any:
        """`value` as the YAML writes it, rounded to DIGITS."""
        rounded = value if self.whole else float(f"{value:.{DIGITS}g}")
        return f"{int(rounded)} B" if self.kind == "size" else write_amount(self.kind, rounded)


def read_quantity(file: ChipFile, key: str) -> Quantity:
    """Read the parameter of that name with its range. Raises MemgrainError if it has no range or is not a number."""
    item = file.provenance.get(key)
    if item is None:
        raise MemgrainError(f"{file.chip.name} has no '{key}'")
    if item.range is None:
        raise MemgrainError(f"{file.chip.name} gives no range for {key}; add one to its YAML")
    kind, value = _read(item.value, file.chip)
    (_, low), (_, high) = _read(item.range[0], file.chip), _read(item.range[1], file.chip)
    if not low < high:
        raise MemgrainError(f"{file.chip.name} gives the range {list(item.range)} for {key}, which is empty; widen it")
    return Quantity(key, value, low, high, kind)


def _read(text: Any, chip: Chip) -> tuple[str, float]:
    """Kind and value of a number as the YAML writes it."""
    found = read_amount(text, chip)
    if found is None:
        raise MemgrainError(f"{text!r} is not a number that can be fitted; fit it by hand")
    return found
