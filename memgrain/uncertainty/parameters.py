"""Numbers of a chip as they can be varied: read from the texts of its YAML, drawn from their ranges, written again.

A file gives three figures of a number: its value, which is what its author thinks likeliest, and the lowest and highest
that it may be. The law that has these three and no other feature is the triangle over the range with its peak at the
value, as in any three-point estimate:

- A quantity has that law, or its logarithm has where the range is above 0 and its ends differ by more than a factor of
  2: then not even the order of magnitude is known, and "10 to 500 ns" would otherwise mean "above 150 ns".
- A whole number stays one: a multiple of what its ends and its value have in common (80 to 96 slices: 80 or 96), which
  chips whose counts must divide one another admit.
- Where ends and value are one number times powers of two (a line of 64 to 512 B, 8 to 32 ways), it is one of those
  powers, as hardware is built so; their shares fall off in even steps on either side of the value.
- A text or truth value is the file's own twice as often as each of its alternatives.

Numbers are drawn independently. Two that are one quantity in truth (the clock of a core and that of its scratchpad) may
therefore differ in a draw.
"""

from __future__ import annotations

import bisect
import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip, ChipFile, Provenance
from memgrain.hwmodels.units import format_bytes, parse_bytes
from memgrain.runs.quantities import UNITS

WHOLE = ("count", "size")
"""Kinds of which only whole numbers exist."""
CHOICE = "choice"
"""Kind of a text or truth value."""
WIDE = 2.0
"""Ratio of the ends beyond which a range is drawn from by its logarithm."""
_CLOCKS = re.compile(r"^\s*([0-9]+)\s*nCK\s*$")


@dataclass(frozen=True)
class UncertainParameter:
    """A number with a range, and what it is at each quantile."""

    item: Provenance
    """The number as its file gives it, range included."""
    kind: str
    """count, real, size, bandwidth, duration, frequency or choice."""
    low: float = 0.0
    """Lower end in base units; of no meaning where there are `choices`."""
    high: float = 0.0
    """Upper end."""
    own: float = 0.0
    """The file's value, where the law has its peak."""
    step: int = 0
    """It is a multiple of this; 0 if it need not be whole."""
    choices: tuple[Any, ...] = ()
    """Its values, as the YAML writes them; empty if it is drawn from low to high."""
    shares: tuple[float, ...] = ()
    """How often each of `choices` is drawn, the most frequent being 1."""

    def at(self, quantile: float) -> Any:
        """Its value, as the YAML writes it, that a share `quantile` (0 to 1) of draws stay below."""
        if self.choices:
            upper = list(itertools.accumulate(self.shares))
            return self.choices[min(bisect.bisect_right(upper, quantile * upper[-1]), len(self.choices) - 1)]
        # a whole number stands for half a step to either side of it
        low, high = self.low - self.step / 2, self.high + self.step / 2
        if low > 0 and self.high > WIDE * self.low:
            value = low * (high / low) ** _triangle(quantile, 0, math.log(self.own / low, high / low), 1)
        else:
            value = _triangle(quantile, low, self.own, high)
        value = min(max(value, self.low), self.high)
        return write_amount(self.kind, round(value / self.step) * self.step if self.step else value)


def uncertain_parameters(file: ChipFile, chip_set: Mapping[str, Any], links: bool = False) -> list[UncertainParameter]:
    """The numbers of a chip with a range of more than one value, those of links to other chips only if `links`.

    What `chip_set` sets is known, and so is all inside a mapping that it sets. Raises MemgrainError where a range is
    not in the unit of its value.
    """
    settled = tuple(f"{key}." for key, value in chip_set.items() if isinstance(value, Mapping))
    items = file.provenance.values() if links else alone(file)
    found = (_unknown(item, file.chip) for item in items if item.range and not item.path.startswith(settled))
    return [unknown for unknown in found if unknown is not None]


def alone(file: ChipFile) -> Iterable[Provenance]:
    """The numbers of a chip, links to other chips aside."""
    return (item for item in file.provenance.values() if not item.path.startswith("interconnect."))


def read_amount(text: Any, chip: Chip) -> tuple[str, float] | None:
    """Kind and value, in base units, of a number as the YAML has it; None if it is a text or truth value.

    Clocks of the DRAM ("4 nCK") are durations, at the chip's own clock period.
    """
    if isinstance(text, bool):
        return None
    if isinstance(text, int | float):
        return ("real" if isinstance(text, float) else "count"), text
    clocks = _CLOCKS.match(str(text))
    if clocks:
        return "duration", int(clocks[1]) * chip.dram.at_rate.clock_period
    for unit in UNITS:
        try:
            return unit.name, unit.parse(text)
        except ValueError:
            continue
    return None


def write_amount(kind: str, value: float) -> Any:
    """A number in base units as the YAML has it, unit included: whole ones exactly, others in six digits."""
    return _WRITERS[kind](value)


def _unknown(item: Provenance, chip: Chip) -> UncertainParameter | None:
    """The number with its law; None if its range holds one value."""
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
    """The quantile of the triangular law from low to high with that peak."""
    if quantile * (high - low) < peak - low:
        return low + math.sqrt(quantile * (high - low) * (peak - low))
    return high - math.sqrt((1 - quantile) * (high - low) * (high - peak))


def _falling(peak: int, last: int) -> tuple[float, ...]:
    """Shares of places 0 to `last` that fall in even steps from 1 at `peak` to what would be 0 beyond either end."""
    up = [(place + 1) / (peak + 1) for place in range(peak)]
    return (*up, *((last + 1 - place) / (last + 1 - peak) for place in range(peak, last + 1)))


def _doublings(first: int, last: int) -> int | None:
    """How often `first` has to be doubled to give `last`; None if that never does."""
    ratio, rest = divmod(last, first)
    return ratio.bit_length() - 1 if rest == 0 and ratio > 0 and ratio & (ratio - 1) == 0 else None


def _size(value: float) -> str:
    text = format_bytes(value)
    return text if parse_bytes(text) == value else f"{round(value)} B"


_WRITERS: dict[str, Callable[[float], Any]] = {
    **{unit.name: unit.format for unit in UNITS},
    "count": round,
    "real": lambda value: float(f"{value:.6g}"),
    "size": lambda value: _size(round(value)),
}
