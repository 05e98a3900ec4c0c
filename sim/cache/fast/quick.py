"""What happens to most lines, quickly: in caches whose ways are ordered by age and fill one vector, a read that finds
all it asks for in the partition it looks up first, or that finds nothing of the line anywhere.

`lines` is for how many lines an entry of the queue stands: 1, or those of a grain, see `cohorts`.
"""

import numpy as np

from memgrain.sim.cache import state as bk
from memgrain.sim.cache.expand import HOME, KEY, LINE, SET, SLICE, TO_HOME, entry
from memgrain.sim.cache.outgoing import append_read, count_known, evict, sectors_of
from memgrain.sim.cache.replacement import LRU
from memgrain.sim.cache.slices import reserve, reserve_grain
from memgrain.sim.cache.ways import (
    DIRTY,
    OWNER_SHIFT,
    SETTLED,
    STATE,
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
def unsettled_hit(at, word, mask, start, group, sets, arrivals, book):
    """When (ps) the sectors of `mask` of a line, whose slot has to be looked at, are at the core; -1: not all there."""
    slot = slot_of(word, group, book)
    valid = np.int64(sets[index(slot + STATE)]) & VALID
    if mask & ~valid:
        return -1
    then = arrival(slot, sets, arrivals) << TICK_BITS
    if settles(slot, valid, then, sets, book):
        sets[index(group * LANES + at)] = word | SETTLED
    return max(start + book[bk.LATENCY], then)


@inlined
def take_oldest(key, state, group, sets, out, book):
    """Let a line that this request fetches have the last way of a set."""
    base, last = group * LANES, book[bk.WAYS] - 1
    word = np.int64(sets[index(base + last)])
    slot = slot_of(word, group, book)
    evict(word, slot, state, group, sets, out, book)
    push(sets, base, last, key | word & WAY)
    fill_slot(slot, state, ~book[bk.WAIT], sets)


@inlined
def oldest_dirty(group, sets, book):
    """Whether the line that a set would give up is dirty."""
    word = np.int64(sets[index(group * LANES + book[bk.WAYS] - 1)])
    return sets[index(slot_of(word, group, book) + STATE)] & DIRTY != 0


@inlined
def quick_miss(k, lines, mask, tensor, to_home, sets, out, queue, book):
    """Fetch the sectors of `mask` of entry `k` of the queue, which is nowhere, into its set and, if `to_home` is not 0,
    that of its home partition too."""
    bits, width, counts = book[index(bk.GRANULES + mask)], population(mask), book[bk.COUNTS_AT] + tensor * bk.COUNTS
    group, key, state = entry(SET, k, queue), entry(KEY, k, queue), sectors_of(bits, book) | tensor << OWNER_SHIFT
    take_oldest(key, state, group, sets, out, book)
    if to_home:
        if lines > 1:
            start = reserve_grain(entry(LINE, k, queue), entry(HOME, k, queue), width, queue, book)
        else:
            away = (entry(HOME, k, queue) - book[bk.NEAR]) * book[bk.PARTITION_SLICES]
            start = reserve(entry(SLICE, k, queue) + away, width, book)
        book[bk.LATEST] = max(book[bk.LATEST], start)
        book[index(counts + bk.SECTOR_LOOKUPS)] += width * lines
        take_oldest(key, state, group + to_home, sets, out, book)
    missed = population(bits) * lines
    book[index(counts + bk.SECTOR_HITS)] -= width * lines
    book[index(counts + bk.READ_HITS)] -= missed
    book[index(counts + bk.MISSES)] += missed
    if book[bk.KNOWN]:
        book[index(counts + bk.FIRST_FETCHES)] += missed - count_known(entry(LINE, k, queue), bits, lines, book)
    book[bk.FETCHED] = 1
    address = (entry(LINE, k, queue) << book[bk.LINE_BITS]) + lowest(bits) * book[bk.SECTOR]
    append_read(address, missed * book[bk.GRANULE], tensor, out, book)


@inlined
def quick_read(k, lines, mask, tensor, start, apart, sets, arrivals, out, queue, book):
    """Read the sectors of `mask` of entry `k` of the queue, which its slice serves from `start` on. Returns when (ps)
    they are at the core, 0 if they are fetched, or -1 if it is nothing for the quick way; and whether a slot was
    needed."""
    group, key = entry(SET, k, queue), entry(KEY, k, queue)
    base = group * LANES
    found = match(sets, base, key, TAG)
    if found:
        at, done = lowest(found), start + book[bk.LATENCY]
        word = np.int64(sets[index(base + at)])
        unsettled = word & SETTLED == 0
        if unsettled:
            done = unsettled_hit(at, word, mask, start, group, sets, arrivals, book)
        if at and done >= 0 and book[bk.POLICY] == LRU:
            push(sets, base, at, np.int64(sets[index(base + at)]))
        return done, unsettled
    to_home = entry(TO_HOME, k, queue) if apart else 0
    if to_home and match(sets, (group + to_home) * LANES, key, TAG):
        return -1, True
    if lines > 1 and (oldest_dirty(group, sets, book) or (to_home and oldest_dirty(group + to_home, sets, book))):
        return -1, True
    quick_miss(k, lines, mask, tensor, to_home, sets, out, queue, book)
    return 0, True
