"""The axes of a search space: lists of options, or ranges of numbers. The keys of a fixed product form one axis, so
that no proposal violates the product."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memgrain.errors import MemgrainError
from memgrain.explore.spec import FixedProduct, Search, ValueRange
from memgrain.inputs.quantities import Dimension
from memgrain.runs.quantities import Number, read, write

if TYPE_CHECKING:
    import optuna

MOST = 100_000
"""Maximum number of options of one axis."""
CHIP_AXIS = "chip"
"""Name of the chip's axis, if there are several chips."""
DIGITS = 6
"""Significant digits of a proposed real number."""


@dataclass(frozen=True)
class OptionAxis:
    """An axis of discrete options. A proposal is the index of an option."""

    name: str
    """The keys that the axis sets."""
    options: tuple[dict[str, Any], ...]
    """The values that each option sets, by key."""
    ordered: bool
    """Whether neighbouring options are similar, so that a sampler may interpolate between them."""

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Ask the trial's sampler for an option."""
        if self.ordered:
            return self.options[trial.suggest_int(self.name, 0, len(self.options) - 1)]
        return self.options[trial.suggest_categorical(self.name, range(len(self.options)))]


@dataclass(frozen=True)
class RangeAxis:
    """An axis of all numbers in a range."""

    name: str
    """The key that the axis sets."""
    low: Number
    """Smallest value, in units of `grain` if there is one."""
    high: Number
    """Largest value, in the same units."""
    log: bool
    """Whether proposals are uniform in the logarithm."""
    grain: int | None
    """Step of whole numbers in base units; None: real numbers."""
    unit: Dimension | None
    """Dimension of the values, if there is one."""

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Ask the trial's sampler for a value."""
        if self.grain is not None:
            whole = trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
            return {self.name: write(whole * self.grain, self.unit)}
        real = trial.suggest_float(self.name, self.low, self.high, log=self.log)
        return {self.name: float(f"{real:.{DIGITS}g}")}


SearchAxis = OptionAxis | RangeAxis


def axes(search: Search) -> list[SearchAxis]:
    """The axes of a search: the chip's, those of fixed products, then the others in the order of the file. Raises
    MemgrainError."""
    found: list[SearchAxis] = []
    if len(search.chips) > 1:
        found.append(OptionAxis(CHIP_AXIS, tuple({CHIP_AXIS: chip} for chip in search.chips), ordered=False))
    kept = {key for group in search.keep for key in group.keys}
    found += [_products(groups, search) for groups in _together(search.keep)]
    for key, values in search.space.items():
        if key not in kept:
            found.append(_stretch(key, values) if isinstance(values, ValueRange) else _list(key, values))
    return found


def size(found: Sequence[SearchAxis]) -> int | None:
    """Number of points in the space; None if an axis is a range."""
    lengths = [len(axis.options) for axis in found if isinstance(axis, OptionAxis)]
    return math.prod(lengths) if len(lengths) == len(found) else None


def index_of(found: Sequence[SearchAxis], params: Mapping[str, Any]) -> int:
    """The index of a point in a space of options, from its index on each axis."""
    number = 0
    for axis in found:
        assert isinstance(axis, OptionAxis)
        number = number * len(axis.options) + int(params[axis.name])
    return number


def params(found: Sequence[SearchAxis], number: int) -> dict[str, int]:
    """The index on each axis of the point with index `number`."""
    indices: dict[str, int] = {}
    for axis in reversed(found):
        assert isinstance(axis, OptionAxis)
        number, indices[axis.name] = divmod(number, len(axis.options))
    return indices


def _list(key: str, values: Sequence[Any]) -> OptionAxis:
    """A list as an axis. It is ordered if its values are increasing numbers."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        try:
            numbers = [read(value, key)[0] for value in values if isinstance(value, str)]
        except MemgrainError:
            numbers = []
    grows = len(numbers) == len(values) and all(a < b for a, b in itertools.pairwise(numbers))
    return OptionAxis(key, tuple({key: value} for value in values), ordered=grows)


def _stretch(key: str, values: ValueRange) -> SearchAxis:
    """A range as an axis, of options if it has a step."""
    low, high, unit, whole = _ends(key, values)
    if values.step is not None:
        return OptionAxis(key, tuple({key: write(v, unit)} for v in _steps(key, values, low, high, unit)), ordered=True)
    if values.log and low <= 0:
        raise MemgrainError(f"{key}: log needs low above 0, got {values.low!r}; raise low or leave log out")
    if not whole:
        return RangeAxis(key, low, high, values.log, None, None)
    grain = unit.step if unit is not None and low >= unit.step else 1
    return RangeAxis(key, int(low) // grain, int(high) // grain, values.log, grain, unit)


def _ends(key: str, values: ValueRange) -> tuple[Number, Number, Dimension | None, bool]:
    low, unit = read(values.low, f"{key}.low")
    high, other = read(values.high, f"{key}.high")
    if unit is not other:
        raise MemgrainError(f"{key}: low is {values.low!r} and high is {values.high!r}; give both the same unit")
    if not low < high:
        raise MemgrainError(f"{key}: low {values.low!r} must be below high {values.high!r}; exchange or correct them")
    return low, high, unit, isinstance(low, int) and isinstance(high, int)


def _steps(key: str, values: ValueRange, low: Number, high: Number, unit: Dimension | None) -> list[Number]:
    step, other = read(values.step, f"{key}.step")
    if unit is not other or step <= 0:
        raise MemgrainError(f"{key}: step {values.step!r} must be above 0 and have the unit of low; correct it")
    if values.log:
        raise MemgrainError(f"{key}: step and log exclude each other; leave one out, or write a list")
    count = int((high - low) / step + 1e-9) + 1
    if count > MOST:
        raise MemgrainError(f"{key}: {count} values, at most {MOST}; make step larger or leave it out")
    if isinstance(low, int) and isinstance(step, int):
        return [low + i * step for i in range(count)]
    return [float(f"{low + i * step:.12g}") for i in range(count)]


def _together(kept: Sequence[FixedProduct]) -> list[list[FixedProduct]]:
    """Group fixed products that have keys in common."""
    found: list[list[FixedProduct]] = []
    for group in kept:
        touched = [others for others in found if any(set(group.keys) & set(other.keys) for other in others)]
        found = [others for others in found if others not in touched]
        found.append([*itertools.chain(*touched), group])
    return found


def _products(groups: Sequence[FixedProduct], search: Search) -> OptionAxis:
    """One axis with all combinations of values for which every product of the groups is met."""
    keys = list(dict.fromkeys(key for group in groups for key in group.keys))
    given = [key for key in keys if key in search.space or key in search.set]
    for group in groups:
        if sum(key not in given for key in group.keys) > 1:
            raise MemgrainError(
                f"of the product {' x '.join(group.keys)} only one key may be missing in space; add others"
            )
    found: list[dict[str, int]] = []
    for values in itertools.product(*(_whole(key, search) for key in given)):
        chosen = dict(zip(given, values, strict=True))
        if all(_completed(group, chosen) for group in groups):
            found.append({key: chosen[key] for key in keys if key not in search.set})
    if not found:
        wanted = " and ".join(f"{' x '.join(group.keys)} = {group.product}" for group in groups)
        raise MemgrainError(f"no values in space make {wanted}; correct product or the values")
    found.sort(key=lambda option: list(option.values()))
    alone = len({next(iter(option.values())) for option in found}) == len(found)
    return OptionAxis(" x ".join(keys), tuple(found), ordered=alone)


def _completed(group: FixedProduct, chosen: dict[str, int]) -> bool:
    """Whether the product can be met; a single missing value is computed and added to `chosen`."""
    missing = [key for key in group.keys if key not in chosen]
    rest, odd = divmod(group.product, math.prod(chosen[key] for key in group.keys if key in chosen))
    if odd or rest < 1 or (not missing and rest != 1):
        return False
    chosen.update(dict.fromkeys(missing, rest))
    return True


def _whole(key: str, search: Search) -> list[int]:
    """The whole numbers that a factor may take."""
    if key in search.set:
        values = [search.set[key]]
    else:
        given = search.space[key]
        if isinstance(given, ValueRange):
            low, high, unit, _ = _ends(key, given)
            if given.log:
                raise MemgrainError(f"{key}: a factor of a product cannot have log; write a list")
            step = ValueRange(low=given.low, high=given.high, step=1 if given.step is None else given.step)
            values = list(_steps(key, step, low, high, unit))
        else:
            values = given
    if not all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values):
        raise MemgrainError(f"{key}: a factor of a product must be whole numbers above 0, got {values!r}; correct it")
    return values
