"""What happens to most lines, quickly: in caches whose ways are ordered by age and fill one vector, a read that finds
all it asks for in the partition it looks up first, or that finds nothing of the line anywhere.

`lines` is for how many lines an entry of the queue stands: 1, or those of a grain, see `cohorts`.
"""

import numpy as np

from memgrain.sim.cache.expand import entry
from memgrain.sim.cache.outgoing import append_read, count_known, evict, sectors_of
from memgrain.sim.cache.replacement import LRU
from memgrain.sim.cache.slices import reserve, reserve_grain
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
def unsettled_hit(at, word, mask, start, group, sets, arrivals, config, state):
    """When (ps) the sectors of `mask` of a line, whose slot has to be looked at, are at the core; -1: not all there."""
    slot = slot_of(word, group, config)
    valid = np.int64(sets[index(slot + STATUS)]) & VALID
    if mask & ~valid:
        return -1
    then = arrival(slot, sets, arrivals) << TICK_BITS
    if settles(slot, valid, then, sets, config, state):
        sets[index(group * LANES + at)] = word | SETTLED
    return max(start + config.latency, then)


@inlined
def take_oldest(key, status, group, sets, out, config, state):
    """Let a line that this request fetches have the last way of a set."""
    base, last = group * LANES, config.ways - 1
    word = np.int64(sets[index(base + last)])
    slot = slot_of(word, group, config)
    evict(word, slot, status, group, sets, out, config, state)
    push(sets, base, last, key | word & WAY)
    fill_slot(slot, status, ~state.wait, sets)


@inlined
def oldest_dirty(group, sets, config):
    """Whether the line that a set would give up is dirty."""
    word = np.int64(sets[index(group * LANES + config.ways - 1)])
    return sets[index(slot_of(word, group, config) + STATUS)] & DIRTY != 0


@inlined
def quick_miss(k, lines, mask, tensor, to_home, sets, out, queue, config, state, busy):
    """Fetch the sectors of `mask` of entry `k` of the queue, which is nowhere, into its set and, if `to_home` is not 0,
    that of its home partition too."""
    bits, width, row = config.granules[index(mask)], population(mask), state.counts[index(tensor)]
    group, key, status = (
        entry(queue.set_index, k),
        entry(queue.key, k),
        sectors_of(bits, config) | tensor << OWNER_SHIFT,
    )
    take_oldest(key, status, group, sets, out, config, state)
    if to_home:
        if lines > 1:
            start = reserve_grain(entry(queue.line, k), entry(queue.home, k), width, queue, config, state, busy)
        else:
            away = (entry(queue.home, k) - state.near) * config.partition_slices
            start = reserve(entry(queue.slice, k) + away, width, config, state, busy)
        state.latest = max(state.latest, start)
        row.sector_lookups += width * lines
        take_oldest(key, status, group + to_home, sets, out, config, state)
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
def quick_read(k, lines, mask, tensor, start, apart, sets, arrivals, out, queue, config, state, busy):
    """Read the sectors of `mask` of entry `k` of the queue, which its slice serves from `start` on. Returns when (ps)
    they are at the core, 0 if they are fetched, or -1 if it is nothing for the quick way; and whether a slot was
    needed."""
    group, key = entry(queue.set_index, k), entry(queue.key, k)
    base = group * LANES
    found = match(sets, base, key, TAG)
    if found:
        at, done = lowest(found), start + config.latency
        word = np.int64(sets[index(base + at)])
        unsettled = word & SETTLED == 0
        if unsettled:
            done = unsettled_hit(at, word, mask, start, group, sets, arrivals, config, state)
        if at and done >= 0 and config.policy == LRU:
            push(sets, base, at, np.int64(sets[index(base + at)]))
        return done, unsettled
    to_home = entry(queue.to_home, k) if apart else 0
    if to_home and match(sets, (group + to_home) * LANES, key, TAG):
        return -1, True
    if lines > 1 and (oldest_dirty(group, sets, config) or (to_home and oldest_dirty(group + to_home, sets, config))):
        return -1, True
    quick_miss(k, lines, mask, tensor, to_home, sets, out, queue, config, state, busy)
    return 0, True
