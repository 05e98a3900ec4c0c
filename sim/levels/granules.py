"""What a memory moves that nobody asked for: it fetches whole granules at addresses that are multiples of them.

A row that begins or ends within a granule brings along what it did not want. How much depends on where rows begin, so
the figure is the mean over the repeat period: at rows `stride` bytes apart, begins modulo a granule g take every
multiple of d = gcd(stride, g) equally often, and a row of b bytes brings b rounded up to d, plus g - d. Of rows that
are read beside their neighbours, a cache fetches a shared granule once; then the expected number of distinct granules
counts.
"""

from __future__ import annotations

import math

from memgrain.hwmodels import Chip


def fetched(size: int, stride: int, granule: int, density: float = 0.0, cached: bool = True) -> float:
    """Mean bytes that a piece of `size` bytes brings along, its own included, of pieces `stride` bytes apart, the first
    at a multiple of every granule.

    `density` is the share of all pieces that is read: 0 for one whose neighbours are not, 1 for a stream; between, at
    random. `cached` says that what neighbours share is fetched once. Exact over the repeat period, at a random density
    in expectation.
    """
    if not density or not cached:
        step = math.gcd(stride, granule)
        return float(-(-size // step) * step + granule - step)
    period = math.lcm(stride, granule)
    touched = (((at + granule - 1) // stride - (at - size) // stride) for at in range(0, period, granule))
    distinct = sum(1 - (1 - density) ** rows for rows in touched)
    return granule * distinct / (density * (period // stride))


def granule_of(chip: Chip) -> tuple[str, int]:
    """What decides how much the chip fetches from DRAM at a time, by its dotted name, and its bytes: what the last
    cache fills, or without one the smallest access of the DRAM."""
    if chip.cache is not None:
        return f"{chip.cache.name}.fill_granule", chip.cache.fill_granule
    return f"{chip.dram.name}.smallest_access", chip.dram.smallest_access
