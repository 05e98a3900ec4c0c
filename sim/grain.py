"""How many lines of a kernel are worth looking up at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.compiled.cohorts import COARSEST
from workloads.trace import UNCACHED


def grain_of(runs: NDArray[np.void], line: int, times: NDArray[np.int64] | None = None) -> int:
    """The grain for `Cache.set_grain` at which runs need the fewest look-ups in a cache of lines of `line` bytes.

    `runs` are RUN records, each executed `times` (once). A run whose pieces are whole aligned grains at every repeat
    needs a look-up a grain, which takes about as long as three of single lines, any other one a look-up a line; reads
    past the caches need none. Any grain gives the same results.
    """
    base, size = runs["base"].astype(np.int64), runs["bytes"].astype(np.int64)
    stride, count, gathered = runs["stride"], runs["count"].astype(np.int64), runs["index"] >= 0
    whole = ~gathered & ((stride == size) | (count == 1))  # without a gap
    edges = base | np.where(whole, size * count, size | stride) | np.where(gathered, 0, runs["advance"])
    lines = size * count // line * (1 if times is None else times) * (runs["op"] != UNCACHED)
    costs = {}
    for grain in (1 << bits for bits in range(COARSEST.bit_length())):
        fits = edges & (grain * line - 1) == 0
        costs[grain] = int(lines[~fits].sum()) + int(lines[fits].sum()) * min(3, grain) // grain
    return min(costs, key=costs.__getitem__)
