"""The grid of values that a key may take in a range: whole sets of a cache, whole numbers, even steps, or a list."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from memgrain.errors import MemgrainError
from memgrain.hwmodels import load_chip, read_chip
from memgrain.hwmodels.spec import Cache
from memgrain.inputs.quantities import Dimension
from memgrain.runs.labels import words
from memgrain.runs.overrides import CHIP, split
from memgrain.runs.quantities import Number, read, write
from memgrain.workloads import AnyWorkload

SPAN = 16
"""Default range: from the present value divided by this factor to the present value times this factor."""
FINE = 1000
"""Number of steps of a real number per leading power of ten of its range."""
DIGITS = 9
"""Significant digits of a real number."""


@dataclass(frozen=True)
class GridBounds:
    """The user's restrictions of the values; None or empty: no restriction."""

    low: Any = None
    """Smallest value."""
    high: Any = None
    """Largest value."""
    step: Any = None
    """Distance between neighbouring values."""
    values: tuple[Any, ...] = ()
    """All values in order; the other fields are then ignored."""


@dataclass(frozen=True)
class CandidateGrid:
    """Values by index: those of a list, or low + index x step."""

    key: str
    """The key whose values these are."""
    size: int
    """Number of values."""
    low: Number
    """First value in base units."""
    step: Number
    """Distance between neighbouring values in base units."""
    unit: Dimension | None
    """Dimension of the values; None: plain numbers."""
    values: tuple[Any, ...] = ()
    """The values of a list; empty for a range."""

    def value(self, index: int) -> Any:
        """The value at index `index`, as an override."""
        if self.values:
            return self.values[index]
        number = self.low + index * self.step
        return write(number if isinstance(number, int) else float(f"{number:.{DIGITS}g}"), self.unit)

    def text(self, index: int) -> str:
        """The value at index `index` as text."""
        return words(self.key, self.value(index))

    def spread(self, count: int) -> list[int]:
        """At most `count` indices from the first to the last, evenly spaced, for positive ranges in the logarithm of
        the value."""
        if self.size <= count:
            return list(range(self.size))
        if self.values or self.low <= 0:
            return sorted({round(index) for index in np.linspace(0, self.size - 1, count).tolist()})
        numbers = np.geomspace(self.low, self.low + (self.size - 1) * self.step, count)
        return sorted({round((number - self.low) / self.step) for number in numbers.tolist()})


def candidate_grid(
    key: str, bounds: GridBounds, chip: str, chip_set: Mapping[str, Any], workload: AnyWorkload
) -> CandidateGrid:
    """The grid of `key`, which belongs to a chip with the overrides `chip_set` or to a workload. Raises
    MemgrainError."""
    if bounds.values:
        if len(set(map(str, bounds.values))) < len(bounds.values):
            raise MemgrainError(f"{key}: a value is listed twice; drop one")
        return CandidateGrid(key, len(bounds.values), 0, 1, None, bounds.values)
    low, high, unit = _ends(key, _present(key, chip, chip_set, workload), bounds)
    whole = isinstance(low, int) and isinstance(high, int)
    step = _step(key, low, high, unit, bounds.step, _sets(key, chip, chip_set))
    if whole and unit is not None:
        low, high = -(-low // step) * step, high // step * step
    if not whole:
        low = math.ceil(low / step - 1e-9) * step
    size = int((high - low) / step + 1e-9) + 1
    if high < low or size < 2:
        raise MemgrainError(
            f"{key}: fewer than two values from {words(key, write(low, unit))} to {words(key, write(high, unit))} in "
            f"steps of {words(key, write(step, unit))}; widen low and high, or give a smaller step"
        )
    return CandidateGrid(key, size, low, step, unit)


def _present(key: str, chip: str, chip_set: Mapping[str, Any], workload: AnyWorkload) -> Any:
    """The present value of the key as written; None if it has none."""
    on_chip, _ = split({key: None}, chip)
    if on_chip:
        dotted = key.removeprefix(CHIP)
        known = read_chip(chip).provenance.get(dotted)
        return chip_set.get(dotted, known.value if known is not None else None)
    node: Any = workload
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else getattr(node, part, None)
    return node


def _sets(key: str, chip: str, chip_set: Mapping[str, Any]) -> int | None:
    """Bytes of one set in all partitions, of which a cache's capacity is a multiple; None if the key is no such
    capacity."""
    level, _, field = key.removeprefix(CHIP).rpartition(".")
    caches = (item for item in load_chip(chip).levels if isinstance(item, Cache))
    cache = next((item for item in caches if item.name == level and field == "capacity"), None)
    if cache is None:
        return None
    line, ways, partitions = (
        int(read(chip_set[f"{level}.{name}"], name)[0]) if f"{level}.{name}" in chip_set else getattr(cache, name)
        for name in ("line", "ways", "partitions")
    )
    return int(line * ways * partitions)


def _ends(key: str, present: Any, bounds: GridBounds) -> tuple[Number, Number, Dimension | None]:
    try:
        own, unit = read(present, key)
    except MemgrainError:
        own, unit = 0, None
    missing = [name for name in ("low", "high") if getattr(bounds, name) is None]
    if missing and own <= 0:
        raise MemgrainError(f"{key} is {present!r} now, which gives no range; give {missing[0]}")
    low: Number
    high: Number
    if isinstance(own, int):
        low, high = max(1, own // SPAN), own * SPAN
    else:
        low, high = own / SPAN, min(own * SPAN, 1.0) if own <= 1 else own * SPAN
    if bounds.low is not None:
        low, given = read(bounds.low, "low")
        unit = given if own <= 0 else _same(key, unit, given, "low")
    if bounds.high is not None:
        high, given = read(bounds.high, "high")
        _same(key, unit, given, "high")
    if not low < high:
        raise MemgrainError(f"{key}: the lowest value, {low}, must be below the highest, {high}; correct low or high")
    return low, high, unit


def _same(key: str, unit: Dimension | None, given: Dimension | None, option: str) -> Dimension | None:
    if unit is not given:
        wanted = f"a {unit.name} such as '{unit.format(unit.step)}'" if unit else "a number without a unit"
        raise MemgrainError(f"{option}: {key} is {wanted}; write one")
    return unit


def _step(key: str, low: Number, high: Number, unit: Dimension | None, requested: Any, sets: int | None) -> Any:
    """Distance between values: as requested, or whole sets of a cache, or a resolution that fits the range."""
    if requested is not None:
        step, given = read(requested, "step")
        _same(key, unit, given, "step")
        if step <= 0:
            raise MemgrainError(f"step {requested} must be above 0; correct it")
        return step
    if sets is not None:
        return sets
    if unit is not None:
        return unit.step if low >= unit.step else 1
    if isinstance(low, int) and isinstance(high, int):
        return 1
    return 10.0 ** math.floor(math.log10(high - low)) / FINE
