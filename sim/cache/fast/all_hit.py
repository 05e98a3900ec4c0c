"""All-hit runs: how a run becomes resident, is found in the table, and is read; see `resident_runs`."""

import numpy as np

from memgrain.sim.cache.expand import (
    BITS_31,
    BITS_32,
    MASK,
    entry,
    locate,
    locate_line,
    shape_of,
)
from memgrain.sim.cache.fast.resident_runs import (
    ARRIVED,
    GRANULES,
    HIGH,
    LAST_BITS,
    LATEST_CLOCK,
    LINES,
    LOW,
    MOST_BITS,
    PART,
    RESIDENT,
    ROWS,
    SECTORS,
    SHARES,
    SIZE,
    STRIDE,
    add_line,
    run_offset,
)
from memgrain.sim.cache.fast.set_groups import lockstep_flag
from memgrain.sim.cache.replacement import LRU
from memgrain.sim.cache.state import QUEUE_LINES
from memgrain.sim.cache.ways import (
    ARRIVAL,
    SETTLED,
    STATUS,
    TAG,
    TAG_BITS,
    TICK_BITS,
    WAY,
    arrival,
    index,
    slot_of,
)
from memgrain.sim.native.address import mix
from memgrain.sim.native.host_prefetch import host_prefetch
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import LANES, lowest, match, population

TRIES = 4
"""Entries of the table where a run may be, a power of two."""


@inlined
def may_be_resident(address, stride, size, rows, sets, config):
    """Whether a strided read can be a resident run: it is long enough, and not too long."""
    lines, bits = config.min_run_lines, config.line_bits
    return (
        lines > 0
        and rows * size >= lines << bits
        and rows * ((size >> bits) + 2) <= 1 << MOST_BITS
        and 0 <= stride < LATEST_CLOCK
        and (address + (rows - 1) * stride + size - 1) >> bits < config.line_limit
        and sets[index(config.clock_at)] < LATEST_CLOCK
    )


@inlined
def run_hash_of(address, stride, size, rows, state):
    """A hash of a run and the reader's partition, never 0."""
    return mix(mix(address) + mix(stride ^ (size << 13) ^ (rows << 26)) + state.near) | 1


@inlined
def find_run(run_hash, address, stride, size, rows, sets, config, state):
    """The number of a run in the table, or 0."""
    for i in range(TRIES):
        number = candidate(run_hash, i, config)
        if sets[index(config.hashes_at + number)] == run_hash:
            at = run_offset(number, config)
            if (
                sets[index(at + LOW)] == address & BITS_31
                and sets[index(at + HIGH)] == address >> 31
                and sets[index(at + STRIDE)] == stride
                and sets[index(at + SIZE)] == size
                and sets[index(at + ROWS)] == rows
                and sets[index(at + PART)] == state.near
            ):
                return number
    return np.int64(0)


@inlined
def find_free_entry(run_hash, sets, config):
    """The number of an entry of the table for a new run, of which no line is left; 0: there is none."""
    for i in range(TRIES):
        number = candidate(run_hash, i, config)
        if sets[index(run_offset(number, config) + LINES)] == 0:
            return number
    return np.int64(0)


@inlined
def candidate(run_hash, i, config):
    """The number of the entry that try `i` looks at. The tries are neighbours, so that their hashes lie together."""
    return ((((run_hash >> 8) & -TRIES) + i) & (config.max_runs - 1)) + 1


@inlined
def is_resident(number, sets, config):
    """Whether the run of this number is resident."""
    return number > 0 and sets[index(run_offset(number, config) + RESIDENT)] != 0


@inlined
def has_line(line, sets, config, state):
    """Whether the partition near the reader has a line, in a set whose group is split."""
    _, first, set_index, quotient = locate_line(line, config, state)
    return find_in_split_set(first * config.set_count + set_index, quotient << TAG_BITS, sets, config) >= 0


@inlined
def find_in_split_set(set_index, key, sets, config):
    """The position of the word with `key` in a set whose group is split, or -1."""
    if config.block_lines > 1 and sets[lockstep_flag(set_index, config)] == 0:
        return -1
    found = match(sets, set_index * LANES, key, TAG)
    return lowest(found) if found else -1


@compiled
def register(known, run_hash, address, stride, size, rows, sets, arrivals, queue, config, state):
    """Register a run, which had number `known` before (0: none), if all that it requests is present. Returns its
    number, or 0 if it is not resident. Overwrites the queue."""
    number = known if known else find_free_entry(run_hash, sets, config)
    if number == 0:
        return number
    at, k, position, last_line = run_offset(number, config), np.int64(0), np.int64(0), np.int64(-1)
    if sets[index(at + LINES)] == 0:
        sets[index(config.read_at + number)] = 0
    sets[index(config.hashes_at + number)] = run_hash
    sets[index(at + LOW)], sets[index(at + HIGH)] = address & BITS_31, address >> 31
    sets[index(at + STRIDE)], sets[index(at + SIZE)], sets[index(at + ROWS)] = stride, size, rows
    sets[index(at + PART)], sets[index(at + RESIDENT)] = state.near, 0
    sets[index(config.clock_at)] = max(sets[index(config.clock_at)], 1)
    for i in range(ARRIVED, SHARES + config.partition_slices):
        sets[index(at + i)] = 0
    for row in range(rows):
        low = address + row * stride
        _, sectors, granules, before, after, _, _ = shape_of(low, low + size, config)
        sets[index(at + SECTORS)] += sectors
        sets[index(at + GRANULES)] += granules
        line, last_line = low >> config.line_bits, (low + size - 1) >> config.line_bits
        mask = config.all_sectors & ~before
        while line <= last_line:
            if k == QUEUE_LINES:
                if not register_lines(number, k, position, sets, arrivals, queue, config, state):
                    return np.int64(0)
                position, k = position + k, np.int64(0)
            queue.line[index(k)] = line
            queue.request[index(k)] = mask & ~after if line == last_line else mask
            mask, line, k = config.all_sectors, line + 1, k + 1
    if not register_lines(number, k, position, sets, arrivals, queue, config, state):
        return np.int64(0)
    sets[index(at + RESIDENT)] = 1
    return number


@inlined
def register_lines(number, count, position, sets, arrivals, queue, config, state):
    """Register the first `count` lines of the queue as those of a run from `position` on; returns whether all that is
    requested of them is present."""
    locate(count, queue, config, state)
    for k in range(count):
        host_prefetch(sets, entry(queue.set_index, k) * LANES)
    at, latest = run_offset(number, config), np.int64(0)
    for k in range(count):
        set_index, mask = entry(queue.set_index, k), entry(queue.request, k) & MASK
        found = find_in_split_set(set_index, entry(queue.key, k), sets, config)
        if found < 0:
            return False
        word = np.int64(sets[index(set_index * LANES + found)])
        if word & SETTLED == 0:
            slot = slot_of(word, set_index, config)
            if mask & ~np.int64(sets[index(slot + STATUS)]) or ~sets[index(slot + ARRIVAL)] >= state.wait:
                return False
            latest = max(latest, np.int64(arrival(slot, sets, arrivals)))
        queue.key[index(k)] = word & WAY
        host_prefetch(sets, config.members_at + set_index * config.ways)
    sets[index(at + ARRIVED)] = max(sets[index(at + ARRIVED)], latest)
    first = at + SHARES - state.first_slice - state.near * config.partition_slices
    for k in range(count):
        add_line(number, position + k, entry(queue.key, k), entry(queue.set_index, k), sets, config)
        share, sectors = index(first + entry(queue.slice, k)), population(entry(queue.request, k) & MASK)
        sets[share] = ((sets[share] >> LAST_BITS) + sectors) << LAST_BITS | sectors
    return True


@inlined
def reserve_shares(shares, sets, config, state, busy):
    """Reserve the slices of the near partition for the sectors at `shares`; returns when the last line begins to be
    served. No store has a condition and products have 32 bits, for the host's vectors."""
    slices, now, time = config.partition_slices, state.now, config.sector_time & BITS_32
    channel, latest = state.first_slice + state.near * slices, now
    for i in range(slices):
        share, then = np.int64(sets[index(shares + i)]) & BITS_32, busy[index(channel + i)]
        sectors, last = share >> LAST_BITS, share & ((1 << LAST_BITS) - 1)
        start = max(then, now if share else 0)
        busy[index(channel + i)] = start + sectors * time
        latest = max(latest, start + (sectors - last) * time if share else 0)
    return latest


@compiled
def read_resident_run(number, tensor, sets, config, state, busy):
    """Read a resident run."""
    at = run_offset(number, config)
    clock = sets[index(config.clock_at)] + 1
    sets[index(config.clock_at)] = clock
    if config.policy == LRU:
        sets[index(config.read_at + number)] = clock
    latest = reserve_shares(at + SHARES, sets, config, state, busy)
    state.last_end, state.latest = -1, max(state.latest, latest)
    arrived = np.int64(sets[index(at + ARRIVED)]) << TICK_BITS
    state.done = max(state.done, latest + config.latency, arrived)
    row, sectors = state.counts[index(tensor)], np.int64(sets[index(at + SECTORS)])
    row.sector_lookups += sectors
    row.sector_hits += sectors
    row.read_hits += np.int64(sets[index(at + GRANULES)])
