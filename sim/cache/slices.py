"""Reservations of a cache's slices: each line has one, which serves a sector after the other."""

from memgrain.sim.cache import state as bk
from memgrain.sim.cache.expand import HOME, LINE, SLICE, entry
from memgrain.sim.cache.ways import index, tick
from memgrain.sim.native.address import GOLDEN, middle, mix, scale
from memgrain.sim.native.jit import compiled, inlined

SCRATCH = LINE + 64
"""Where in the queue, when a grain is all that it holds, there is room for a number for each line."""


@inlined
def reserve(channel, sectors, book):
    """Reserve the slice whose time is at `channel` for so many sectors; returns when it begins to serve them."""
    start = max(book[index(channel)], book[bk.NOW])
    book[index(channel)] = start + sectors * book[bk.SECTOR_TIME]
    return start


@inlined
def reserve_grain(line, part, sectors, queue, book):
    """Reserve for each line of a grain its slice in a partition for so many sectors; returns when the last one begins
    to serve. Hashes are worked out apart from reservations, for the host's vectors."""
    slices, now, time = book[bk.PARTITION_SLICES], book[bk.NOW], sectors * book[bk.SECTOR_TIME]
    first, latest, grain = book[bk.SLICES] + part * slices, now, book[bk.GRAIN]
    product, below = int(line) * GOLDEN, slices & 0x7FFFFFFF  # says to LLVM that products of 32 bits will do
    for i in range(grain):
        queue[index(SCRATCH + i)] = scale(middle(product), below)
        product += GOLDEN
    for i in range(grain):
        channel = index(first + queue[index(SCRATCH + i)])
        start = max(book[channel], now)
        book[channel] = start + time
        latest = max(latest, start)
    return latest


@compiled
def reserve_copies(line, part, sectors, then, queue, book):
    """`reserve_grain` of lines that are copied from far away, there at `then` at the earliest; notes when (ticks) each
    of them is."""
    slices, far, latest = book[bk.PARTITION_SLICES], book[bk.FAR_LATENCY], book[bk.NOW]
    first = book[bk.SLICES] + part * slices
    for i in range(book[bk.GRAIN]):
        start = reserve(first + scale(mix(line + i), slices), sectors, book)
        queue[index(SCRATCH + i)] = tick(max(start + far, then))
        latest = max(latest, start)
    return latest


@inlined
def reserve_of(k, part, sectors, then, queue, book):
    """Reserve the slices in a partition of the lines that entry `k` of the queue stands for; returns when the last one
    begins to serve. Of what is copied, `then` is when it is there at the earliest, otherwise 0."""
    line = entry(LINE, k, queue)
    if book[bk.LINES] > 1:
        if then:
            return reserve_copies(line, part, sectors, then, queue, book)
        return reserve_grain(line, part, sectors, queue, book)
    first = book[bk.NEAR] if book[bk.REPLICATE] else entry(HOME, k, queue)
    return reserve(entry(SLICE, k, queue) + (part - first) * book[bk.PARTITION_SLICES], sectors, book)
