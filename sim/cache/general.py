"""One line read or written, for every policy and shape; `fast/quick.py` has a faster path for the most common cases."""

import numpy as np

from memgrain.sim.cache.expand import MASK, PART, TENSOR, entry
from memgrain.sim.cache.fast.resident_runs import invalidate_run
from memgrain.sim.cache.fast.set_groups import group_arrivals, representative
from memgrain.sim.cache.outgoing import evict, fetch, send, write_back
from memgrain.sim.cache.replacement import fill, hit, ordered, victim
from memgrain.sim.cache.slices import reserve_of
from memgrain.sim.cache.ways import (
    DIRTY,
    DIRTY_SHIFT,
    EMPTY,
    OWNER_SHIFT,
    SETTLED,
    STATUS,
    TAG_BITS,
    UNLIKE,
    VALID,
    WAY,
    arrive,
    await_fetch,
    fill_slot,
    find,
    index,
    notes_of,
    present,
    slot_of,
    tick,
)
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import population


@inlined
def count_granules(mask, config, state):
    """In how many granules of the lines of an entry `mask` has a sector."""
    return population(config.granules[index(mask)]) * state.lines


@compiled
def take_way(key, status, set_index, sets, out, config, state):
    """Give a line a way of a set, evicting a line if the set is full; returns the way's slot."""
    ways, policy = config.ways, config.policy
    base, notes = set_index * config.positions, notes_of(set_index, config)
    at = -1 if ordered(policy) else find(EMPTY << TAG_BITS, set_index, sets, config)
    if at < 0:
        at = victim(notes, policy, ways, sets, state)
    word = np.int64(sets[base + at])
    slot = slot_of(word, set_index, config)
    evict(word, slot, status, set_index, sets, out, config, state)
    fill(key | word & WAY, at, base, notes, policy, ways, sets)
    fill_slot(slot, status, 0, sets)
    return slot


@compiled
def fetch_into(slot, line, mask, tensor, sets, arrivals, out, config, state):
    """Fetch the granules that have an invalid sector of `mask`; returns the sectors that come in."""
    status = np.int64(sets[slot + STATUS])
    fetched = fetch(line, mask & ~status, tensor, sets, out, config, state)
    sets[slot + STATUS] = status | fetched
    await_fetch(slot, sets, arrivals, state)
    return fetched


@compiled
def read_line(k, start, sets, arrivals, out, queue, config, state, busy):
    """Read line `k` of the queue; its slice serves it from `start` on. Its sectors have been counted as near hits; what
    misses is subtracted."""
    line, home, set_index, key = (
        entry(queue.line, k),
        entry(queue.home, k),
        entry(queue.set_index, k),
        entry(queue.key, k),
    )
    request = entry(queue.request, k)
    mask, tensor = request & MASK, (request >> TENSOR) & 0xFF
    near, row = state.near, state.counts[index(tensor)]
    first = near if config.replicate else home
    slot, have = -1, 0
    at = find(key, set_index, sets, config)
    if at >= 0:
        latency = config.latency if first == near else config.far_latency
        slot, have, done = present(at, mask, start, latency, set_index, sets, arrivals, config, state)
        state.done = max(state.done, done)
    if first != near:
        row.read_hits -= count_granules(mask, config, state)
        row.far_hits += count_granules(mask, config, state)
    missing = mask & ~have
    if missing:
        if first == near:
            row.read_hits -= count_granules(missing, config, state)
        else:
            row.far_hits -= count_granules(missing, config, state)
        row.sector_hits -= population(missing) * state.lines
        if slot < 0:
            slot = take_way(key, tensor << OWNER_SHIFT, set_index, sets, out, config, state)
        else:
            invalidate_run(slot, set_index, sets, config)
        if first == home:
            fetch_into(slot, line, missing, tensor, sets, arrivals, out, config, state)
        else:
            copy_from_home(k, slot, missing, sets, arrivals, out, queue, config, state, busy)


@inlined
def copy_from_home(k, slot, mask, sets, arrivals, out, queue, config, state, busy):
    """Copy the sectors of `mask` of line `k` of the queue from its home partition into `slot` of the reader's
    partition."""
    home, key, near_set = entry(queue.home, k), entry(queue.key, k), entry(queue.set_index, k)
    tensor, set_index = (entry(queue.request, k) >> TENSOR) & 0xFF, near_set + entry(queue.to_home, k)
    row, have, done = state.counts[index(tensor)], 0, 0
    row.sector_lookups += population(mask) * state.lines
    at = find(key, set_index, sets, config)
    if at >= 0:
        source, have, done = present(at, mask, state.now, config.far_latency, set_index, sets, arrivals, config, state)
    else:
        source = take_way(key, tensor << OWNER_SHIFT, set_index, sets, out, config, state)
    start = reserve_of(k, home, population(mask), done, queue, config, state, busy)
    state.latest = max(state.latest, start)
    missing = mask & ~have
    if have:
        done = max(done, start + config.far_latency)
        state.done = max(state.done, done)
        arrive(slot, tick(done), sets, arrivals, state)
        if state.lines > 1:
            note_arrivals(slot, near_set, done, sets, queue, config, state)
    row.far_hits += count_granules(mask, config, state) - count_granules(missing, config, state)
    row.sector_hits += population(have) * state.lines
    if missing:
        invalidate_run(source, set_index, sets, config)
        have |= fetch_into(source, entry(queue.line, k), missing, tensor, sets, arrivals, out, config, state)
        await_fetch(slot, sets, arrivals, state)
    sets[slot + STATUS] |= have


@inlined
def note_arrivals(slot, set_index, latest, sets, queue, config, state):
    """After a block was copied into a slot of the representative `set_index`: store the arrival of each line, which
    `reserve_copies` left in `scratch`, if they differ from the `latest`."""
    base, within, same = group_arrivals(slot, set_index, config), state.within, True
    for i in range(config.block_lines):
        then = queue.scratch[index(i)]
        sets[index(base + (i ^ within))] = then
        same &= then == tick(latest)
    if not same:
        sets[slot + STATUS] |= UNLIKE


@compiled
def write_line(k, sets, arrivals, out, queue, config, state, busy):
    """Write line `k` of the queue."""
    line, home, key, request = entry(queue.line, k), entry(queue.home, k), entry(queue.key, k), entry(queue.request, k)
    mask, part, tensor = request & MASK, (request >> PART) & MASK, (request >> TENSOR) & 0xFF
    row, set_index = state.counts[index(tensor)], entry(queue.set_index, k) + entry(queue.to_home, k)
    if config.replicate:
        for other in range(config.partitions):
            if other != home:
                there = set_index + (other - home) * config.set_count
                invalidate_copy(mask, key, representative(there, config) if state.lines > 1 else there, sets, config)
    start = reserve_of(k, home, population(mask), 0, queue, config, state, busy)
    state.latest = max(state.latest, start)
    state.done = max(state.done, start + (config.latency if home == state.near else config.far_latency))
    slot, touched = -1, count_granules(mask, config, state)
    lacking = touched
    at = find(key, set_index, sets, config)
    if at >= 0:
        base = set_index * config.positions
        at = hit(at, base, notes_of(set_index, config), config.policy, config.ways, sets)
        slot = slot_of(np.int64(sets[base + at]), set_index, config)
        invalidate_run(slot, set_index, sets, config)
        lacking = count_granules(mask & ~np.int64(sets[slot + STATUS]), config, state)
    elif config.write_allocate:
        slot = take_way(key, tensor << OWNER_SHIFT, set_index, sets, out, config, state)
    row.write_hits += touched - lacking
    row.write_misses += lacking
    if slot >= 0:
        status = np.int64(sets[slot + STATUS]) & (VALID | DIRTY) | mask & ~part | tensor << OWNER_SHIFT
        sets[slot + STATUS] = status
        if part & ~status:
            fetch_into(slot, line, part, tensor, sets, arrivals, out, config, state)
        if config.write_back:
            sets[slot + STATUS] |= mask << DIRTY_SHIFT
            if config.dirty_ways < config.ways and status & DIRTY == 0:
                limit_dirty(slot, set_index, sets, out, config, state)
    if slot < 0 or not config.write_back:
        send(line, config.granules[index(mask)], 1, tensor, sets, out, config, state)


@inlined
def invalidate_copy(mask, key, set_index, sets, config):
    """Drop the sectors of `mask` of a copy, if a set has one."""
    at = find(key, set_index, sets, config)
    if at >= 0:
        at += set_index * config.positions
        word = np.int64(sets[at])
        slot = slot_of(word, set_index, config)
        invalidate_run(slot, set_index, sets, config)
        sets[at] = word & ~SETTLED
        sets[slot + STATUS] &= ~mask


@compiled
def limit_dirty(slot, set_index, sets, out, config, state):
    """The line of `slot` has become dirty. If its set has one dirty line too many, write the oldest other one back (by
    age where position is age, else the last one); it stays, clean."""
    base, dirty, oldest = set_index * config.positions, 0, -1
    for at in range(base, base + config.ways):
        there = slot_of(np.int64(sets[at]), set_index, config)
        if sets[there + STATUS] & DIRTY:
            dirty += 1
            if there != slot or oldest < 0:
                oldest = at
    if dirty > config.dirty_ways:
        word = np.int64(sets[oldest])
        there = slot_of(word, set_index, config)
        write_back(word, np.int64(sets[there + STATUS]), set_index, sets, out, config, state)
        sets[there + STATUS] &= ~DIRTY
