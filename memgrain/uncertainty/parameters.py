"""Uncertain parameters of a chip: read from its YAML, drawn from their ranges, and written as YAML values again.

A file states three figures of a parameter: its value, which is the author's best estimate, and the lowest and highest
possible value. The parameter then has a triangular distribution over the range with its peak at the value, as in a
three-point estimate:

- A quantity has that distribution. If the range is above 0 and its ends differ by more than a factor of 2, its
  logarithm has: then not even the order of magnitude is known, and "10 to 500 ns" would otherwise mean "above 150 ns".
- A whole number is drawn as a multiple of the greatest common divisor of its ends and its value (80 to 96 slices: 80 or
  96), so that counts which must divide each other remain valid.
- If ends and value differ by powers of two (a line of 64 to 512 B, 8 to 32 ways), only these powers are drawn, as
  hardware is built so; their probabilities fall linearly on either side of the value.
- The nominal value of a text or truth value is drawn twice as often as each alternative.

Parameters are drawn independently. Two parameters that are physically one quantity (the clock of a core and that of its
scratchpad) may therefore differ in a draw.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip, ChipFile, Provenance
from memgrain.inputs.quantities import DIMENSIONS, amount, dimension_of, format_bytes, parse_bytes

WHOLE = ("count", "size")
"""Kinds with whole numbers only."""
CHOICE = "choice"
"""Kind of a text or truth value."""
WIDE = 2.0
"""Ratio of the ends above which the logarithm is drawn."""


@dataclass(frozen=True)
class UncertainParameter:
    """A parameter with a range and its distribution."""

    item: Provenance
    """The parameter with its source and range."""
    kind: str
    """count, real, size, bandwidth, duration, frequency or choice."""
    low: float = 0.0
    """Lower end in base units; unused if there are `choices`."""
    high: float = 0.0
    """Upper end."""
    own: float = 0.0
    """Nominal value, the peak of the distribution."""
    step: int = 0
    """Step of which values are multiples; 0 for real numbers."""
    choices: tuple[Any, ...] = ()
    """Discrete values as the YAML writes them; empty for a continuous range."""
    shares: tuple[float, ...] = ()
    """Relative probability of each of `choices`; the largest is 1."""

    def at(self, quantile: float) -> Any:
        """The value at a quantile (0 to 1) of the distribution, as the YAML writes it."""
        if self.choices:
            upper = list(itertools.accumulate(self.shares))
            return self.choices[min(bisect.bisect_right(upper, quantile * upper[-1]), len(self.choices) - 1)]
        # a whole number covers half a step on either side
        low, high = self.low - self.step / 2, self.high + self.step / 2
        if low > 0 and self.high > WIDE * self.low:
            value = low * (high / low) ** _triangle(quantile, 0, math.log(self.own / low, high / low), 1)
        else:
            value = _triangle(quantile, low, self.own, high)
        value = min(max(value, self.low), self.high)
        return write_amount(self.kind, round(value / self.step) * self.step if self.step else value)


def uncertain_parameters(file: ChipFile, chip_set: Mapping[str, Any], links: bool = False) -> list[UncertainParameter]:
    """The parameters of a chip with a range of more than one value; those of links to other chips only if `links`.

    Parameters that `chip_set` overrides are certain, including all those inside an overridden mapping. Raises
    MemgrainError if a range is not in the unit of its value.
    """
    settled = tuple(f"{key}." for key, value in chip_set.items() if isinstance(value, Mapping))
    items = file.provenance.values() if links else alone(file)
    found = (_unknown(item, file.chip) for item in items if item.range and not item.path.startswith(settled))
    return [parameter for parameter in found if parameter is not None]


def alone(file: ChipFile) -> Iterable[Provenance]:
    """The parameters of a chip without those of its links to other chips."""
    return (item for item in file.provenance.values() if not item.path.startswith("interconnect."))


def read_amount(text: Any, chip: Chip) -> tuple[str, float] | None:
    """Kind and value in base units of a number as the YAML writes it; None for a text or truth value.

    Clocks of the DRAM ("4 nCK") become durations at the chip's clock period.
    """
    if isinstance(text, bool):
        return None
    if isinstance(text, int | float):
        return ("real" if isinstance(text, float) else "count"), text
    clocks = amount(text, "nCK")
    if clocks is not None:
        return "duration", int(clocks) * chip.dram.at_rate.clock_period
    unit = dimension_of(text)
    return (unit.name, unit.parse(text)) if unit is not None else None


def write_amount(kind: str, value: float) -> Any:
    """A number in base units as the YAML writes it, with its unit: whole numbers exactly, others with six digits."""
    return _WRITERS[kind](value)


def _unknown(item: Provenance, chip: Chip) -> UncertainParameter | None:
    """The parameter with its distribution; None if its range has one value."""
    ends = item.range or (item.value, item.value)
    read = [read_amount(text, chip) for text in (ends[0], item.value, ends[1])]
    if None in read:
        choices = tuple(dict.fromkeys((*ends, item.value)))
        shares = tuple(1.0 if choice == item.value else 0.5 for choice in choices)
        return UncertainParameter(item, CHOICE, choices=choices, shares=shares) if len(choices) > 1 else None
    kinds = {kind for kind, _ in read if kind}  # type: ignore[misc]
    low, value, high = (amount for _, amount in read)  # type: ignore[misc]
    kind = "real" if kinds == {"count", "real"} else kinds.pop()
    if kind != "real" and kinds - {kind}:
        raise MemgrainError(f"{item.path}: {item.value} with the range {list(ends)}; write all three in one unit")
    if low == high:
        return None
    if kind not in WHOLE:
        return UncertainParameter(item, kind, low, high, value)
    first, own, last = int(low), int(value), int(high)
    peak, most = (_doublings(first, end) if first > 0 else None for end in (own, last))
    if peak is not None and most is not None:
        powers = tuple(write_amount(kind, first << power) for power in range(most + 1))
        return UncertainParameter(item, kind, low, high, value, choices=powers, shares=_falling(peak, most))
    return UncertainParameter(item, kind, low, high, value, math.gcd(first, own, last))


def _triangle(quantile: float, low: float, peak: float, high: float) -> float:
    """The quantile of the triangular distribution from `low` to `high` with that peak."""
    if quantile * (high - low) < peak - low:
        return low + math.sqrt(quantile * (high - low) * (peak - low))
    return high - math.sqrt((1 - quantile) * (high - low) * (high - peak))


def _falling(peak: int, last: int) -> tuple[float, ...]:
    """Relative probabilities of indices 0 to `last`: 1 at `peak`, falling linearly to 0 one step beyond either end."""
    up = [(index + 1) / (peak + 1) for index in range(peak)]
    return (*up, *((last + 1 - index) / (last + 1 - peak) for index in range(peak, last + 1)))


def _doublings(first: int, last: int) -> int | None:
    """How many doublings of `first` give `last`; None if none do."""
    ratio, rest = divmod(last, first)
    return ratio.bit_length() - 1 if rest == 0 and ratio > 0 and ratio & (ratio - 1) == 0 else None


def _size(value: float) -> str:
    text = format_bytes(value)
    return text if parse_bytes(text) == value else f"{round(value)} B"


_WRITERS: dict[str, Callable[[float], Any]] = {
    **{unit.name: unit.format for unit in DIMENSIONS},
    "count": round,
    "real": lambda value: float(f"{value:.6g}"),
    "size": lambda value: _size(round(value)),
}
