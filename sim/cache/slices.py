"""Reservations of a cache's slices: each line has one, which serves a sector after the other."""

from memgrain.sim.cache.expand import entry
from memgrain.sim.cache.ways import index, tick
from memgrain.sim.native.address import GOLDEN, middle, mix, scale
from memgrain.sim.native.jit import compiled, inlined


@inlined
def reserve(channel, sectors, config, state, busy):
    """Reserve the slice whose time is at `channel` for so many sectors; returns when it begins to serve them."""
    start = max(busy[index(channel)], state.now)
    busy[index(channel)] = start + sectors * config.sector_time
    return start


@inlined
def reserve_grain(line, part, sectors, queue, config, state, busy):
    """Reserve for each line of a grain its slice in a partition for so many sectors; returns when the last one begins
    to serve. Hashes are worked out apart from reservations, for the host's vectors."""
    slices, now, time = config.partition_slices, state.now, sectors * config.sector_time
    first, latest, grain = state.first_slice + part * slices, now, config.block_lines
    product, below = int(line) * GOLDEN, slices & 0x7FFFFFFF  # says to LLVM that products of 32 bits will do
    for i in range(grain):
        queue.scratch[index(i)] = scale(middle(product), below)
        product += GOLDEN
    for i in range(grain):
        channel = index(first + queue.scratch[index(i)])
        start = max(busy[channel], now)
        busy[channel] = start + time
        latest = max(latest, start)
    return latest


@compiled
def reserve_copies(line, part, sectors, then, queue, config, state, busy):
    """`reserve_grain` of lines that are copied from far away, there at `then` at the earliest; notes when (ticks) each
    of them is."""
    slices, far, latest = config.partition_slices, config.far_latency, state.now
    first = state.first_slice + part * slices
    for i in range(config.block_lines):
        start = reserve(first + scale(mix(line + i), slices), sectors, config, state, busy)
        queue.scratch[index(i)] = tick(max(start + far, then))
        latest = max(latest, start)
    return latest


@inlined
def reserve_of(k, part, sectors, then, queue, config, state, busy):
    """Reserve the slices in a partition of the lines that entry `k` of the queue stands for; returns when the last one
    begins to serve. Of what is copied, `then` is when it is there at the earliest, otherwise 0."""
    line = entry(queue.line, k)
    if state.lines > 1:
        if then:
            return reserve_copies(line, part, sectors, then, queue, config, state, busy)
        return reserve_grain(line, part, sectors, queue, config, state, busy)
    first = state.near if config.replicate else entry(queue.home, k)
    return reserve(entry(queue.slice, k) + (part - first) * config.partition_slices, sectors, config, state, busy)
