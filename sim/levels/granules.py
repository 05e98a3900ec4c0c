"""Over-fetch by access granularity: a memory fetches whole granules at addresses that are multiples of them.

A row that begins or ends within a granule fetches bytes that it does not need. How many depends on where rows begin,
so the figure is the mean over the repeat period. With rows `stride` bytes apart, their begins modulo a granule g take
every multiple of d = gcd(stride, g) equally often, and a row of b bytes fetches b rounded up to d, plus g - d. Where
neighbouring rows are read too, a cache fetches a shared granule once; then the expected number of distinct granules
counts.
"""

from __future__ import annotations

import math

from memgrain.hwmodels import Chip


def fetched(size: int, stride: int, granule: int, density: float = 0.0, cached: bool = True) -> float:
    """Mean bytes fetched for a piece of `size` bytes, its own included, of pieces `stride` bytes apart, the first at a
    multiple of every granule.

    `density` is the share of all pieces that is read: 0 for one whose neighbours are not, 1 for a stream; between, at
    random. With `cached`, granules that neighbours share are fetched once. Exact over the repeat period, at a random
    density in expectation.
    """
    if not density or not cached:
        step = math.gcd(stride, granule)
        return float(-(-size // step) * step + granule - step)
    period = math.lcm(stride, granule)
    touched = (((at + granule - 1) // stride - (at - size) // stride) for at in range(0, period, granule))
    distinct = sum(1 - (1 - density) ** rows for rows in touched)
    return granule * distinct / (density * (period // stride))


def granule_of(chip: Chip) -> tuple[str, int]:
    """Dotted name and bytes of the granularity at which the chip fetches from DRAM: the fill granule of the last cache,
    or without a cache the smallest access of the DRAM."""
    if chip.cache is not None:
        return f"{chip.cache.name}.fill_granule", chip.cache.fill_granule
    return f"{chip.dram.name}.smallest_access", chip.dram.smallest_access
