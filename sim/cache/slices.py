"""Reservations of a cache's slices: each line has one slice, which serves one sector after the other."""

from memgrain.sim.cache.expand import entry
from memgrain.sim.cache.ways import index, tick
from memgrain.sim.native.address import GOLDEN, middle, mix, scale
from memgrain.sim.native.jit import compiled, inlined


@inlined
def reserve(channel, sectors, config, state, busy):
    """Reserve the slice `channel` for so many sectors; returns when it begins to serve them."""
    start = max(busy[index(channel)], state.now)
    busy[index(channel)] = start + sectors * config.sector_time
    return start


@inlined
def reserve_block(line, part, sectors, queue, config, state, busy):
    """Reserve, for each line of a block, its slice in a partition for so many sectors; returns when the last line
    begins to be served. The hashes have a loop of their own, which the host's vectors run."""
    slices, now, time = config.partition_slices, state.now, sectors * config.sector_time
    first, latest, block = state.first_slice + part * slices, now, config.block_lines
    product, below = int(line) * GOLDEN, slices & 0x7FFFFFFF  # says to LLVM that products of 32 bits will do
    for i in range(block):
        queue.scratch[index(i)] = scale(middle(product), below)
        product += GOLDEN
    for i in range(block):
        channel = index(first + queue.scratch[index(i)])
        start = max(busy[channel], now)
        busy[channel] = start + time
        latest = max(latest, start)
    return latest


@compiled
def reserve_copies(line, part, sectors, then, queue, config, state, busy):
    """`reserve_block` for lines that are copied from a far partition, where they are present at `then` at the earliest.
    Leaves the arrival of each (ticks) in the queue's `scratch`."""
    slices, far, latest = config.partition_slices, config.far_latency, state.now
    first = state.first_slice + part * slices
    for i in range(config.block_lines):
        start = reserve(first + scale(mix(line + i), slices), sectors, config, state, busy)
        queue.scratch[index(i)] = tick(max(start + far, then))
        latest = max(latest, start)
    return latest


@inlined
def reserve_of(k, part, sectors, then, queue, config, state, busy):
    """Reserve the slices in a partition for the lines of entry `k` of the queue; returns when the last one begins to be
    served. For copies, `then` is when their source is present at the earliest; otherwise 0."""
    line = entry(queue.line, k)
    if state.lines > 1:
        if then:
            return reserve_copies(line, part, sectors, then, queue, config, state, busy)
        return reserve_block(line, part, sectors, queue, config, state, busy)
    first = state.near if config.replicate else entry(queue.home, k)
    return reserve(entry(queue.slice, k) + (part - first) * config.partition_slices, sectors, config, state, busy)
