"""The quick path for the most common cases: in caches whose ways are ordered by age and fill one vector, a read that
finds all its sectors in the partition looked up first, or finds the line nowhere.

`lines` is how many lines an entry of the queue stands for: 1, or those of a block, see `set_groups`.
"""

import numpy as np

from memgrain.sim.cache.expand import entry
from memgrain.sim.cache.outgoing import append_read, count_known, evict, sectors_of
from memgrain.sim.cache.replacement import LRU
from memgrain.sim.cache.slices import reserve, reserve_block
from memgrain.sim.cache.ways import (
    DIRTY,
    OWNER_SHIFT,
    SETTLED,
    STATUS,
    TAG,
    TICK_BITS,
    VALID,
    WAY,
    arrival,
    fill_slot,
    index,
    settles,
    slot_of,
)
from memgrain.sim.native.jit import inlined
from memgrain.sim.native.simd import LANES, lowest, match, population, push


@inlined
def unsettled_hit(at, word, mask, start, set_index, sets, arrivals, config, state):
    """When (ps) the sectors of `mask` of a line whose slot must be read are at the core; -1 if not all are present."""
    slot = slot_of(word, set_index, config)
    valid = np.int64(sets[index(slot + STATUS)]) & VALID
    if mask & ~valid:
        return -1
    then = arrival(slot, sets, arrivals) << TICK_BITS
    if settles(slot, valid, then, sets, config, state):
        sets[index(set_index * LANES + at)] = word | SETTLED
    return max(start + config.latency, then)


@inlined
def take_oldest(key, status, set_index, sets, out, config, state):
    """Give the last way of a set to a line that this request fetches."""
    base, last = set_index * LANES, config.ways - 1
    word = np.int64(sets[index(base + last)])
    slot = slot_of(word, set_index, config)
    evict(word, slot, status, set_index, sets, out, config, state)
    push(sets, base, last, key | word & WAY)
    fill_slot(slot, status, ~state.wait, sets)


@inlined
def oldest_dirty(set_index, sets, config):
    """Whether the line in the last way of a set is dirty."""
    word = np.int64(sets[index(set_index * LANES + config.ways - 1)])
    return sets[index(slot_of(word, set_index, config) + STATUS)] & DIRTY != 0


@inlined
def quick_miss(k, lines, mask, tensor, to_home, sets, out, queue, config, state, busy):
    """Fetch the sectors of `mask` of entry `k` of the queue, which no partition has, into its set and, if `to_home` is
    not 0, into that of its home partition too."""
    bits, width, row = config.granules[index(mask)], population(mask), state.counts[index(tensor)]
    set_index, key, status = (
        entry(queue.set_index, k),
        entry(queue.key, k),
        sectors_of(bits, config) | tensor << OWNER_SHIFT,
    )
    take_oldest(key, status, set_index, sets, out, config, state)
    if to_home:
        if lines > 1:
            start = reserve_block(entry(queue.line, k), entry(queue.home, k), width, queue, config, state, busy)
        else:
            away = (entry(queue.home, k) - state.near) * config.partition_slices
            start = reserve(entry(queue.slice, k) + away, width, config, state, busy)
        state.latest = max(state.latest, start)
        row.sector_lookups += width * lines
        take_oldest(key, status, set_index + to_home, sets, out, config, state)
    missed = population(bits) * lines
    row.sector_hits -= width * lines
    row.read_hits -= missed
    row.misses += missed
    if config.known_lines:
        row.first_fetches += missed - count_known(entry(queue.line, k), bits, lines, sets, config)
    state.fetched = 1
    address = (entry(queue.line, k) << config.line_bits) + lowest(bits) * config.sector
    append_read(address, missed * config.granule, tensor, out, state)


@inlined
def quick_read(k, lines, mask, tensor, start, partitioned, sets, arrivals, out, queue, config, state, busy):
    """Read the sectors of `mask` of entry `k` of the queue, which its slice serves from `start` on.

    Returns when (ps) they are at the core, 0 if they are fetched, or -1 if the general path must serve them; and
    whether a slot was read.
    """
    set_index, key = entry(queue.set_index, k), entry(queue.key, k)
    base = set_index * LANES
    found = match(sets, base, key, TAG)
    if found:
        at, done = lowest(found), start + config.latency
        word = np.int64(sets[index(base + at)])
        unsettled = word & SETTLED == 0
        if unsettled:
            done = unsettled_hit(at, word, mask, start, set_index, sets, arrivals, config, state)
        if at and done >= 0 and config.policy == LRU:
            push(sets, base, at, np.int64(sets[index(base + at)]))
        return done, unsettled
    to_home = entry(queue.to_home, k) if partitioned else 0
    if to_home and match(sets, (set_index + to_home) * LANES, key, TAG):
        return -1, True
    if lines > 1 and (
        oldest_dirty(set_index, sets, config) or (to_home and oldest_dirty(set_index + to_home, sets, config))
    ):
        return -1, True
    quick_miss(k, lines, mask, tensor, to_home, sets, out, queue, config, state, busy)
    return 0, True
