"""One line read or written: the cases of every policy and shape; `lookup` has a quicker way for the most usual ones."""

import numpy as np

from memgrain.sim.cache import state as bk
from memgrain.sim.cache.expand import ASKED, HOME, KEY, LINE, MASK, PART, SET, TENSOR, TO_HOME, entry
from memgrain.sim.cache.fast.resident_runs import loosen
from memgrain.sim.cache.fast.set_groups import arrivals_of, leader
from memgrain.sim.cache.outgoing import evict, fetch, send, write_back
from memgrain.sim.cache.replacement import fill, hit, ordered, victim
from memgrain.sim.cache.slices import SCRATCH, reserve_of
from memgrain.sim.cache.ways import (
    DIRTY,
    DIRTY_SHIFT,
    EMPTY,
    OWNER_SHIFT,
    SETTLED,
    STATE,
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
def count_granules(mask, book):
    """In how many granules of the lines that an entry stands for `mask` has a sector."""
    return population(book[bk.GRANULES + mask]) * book[bk.LINES]


@compiled
def take_way(key, state, group, sets, out, book):
    """Give a line a way of a set, evicting if it is full; returns its slot."""
    ways, policy = book[bk.WAYS], book[bk.POLICY]
    base, notes = group * book[bk.POSITIONS], notes_of(group, book)
    at = -1 if ordered(policy) else find(EMPTY << TAG_BITS, group, sets, book)
    if at < 0:
        at = victim(notes, policy, ways, sets, book)
    word = np.int64(sets[base + at])
    slot = slot_of(word, group, book)
    evict(word, slot, state, group, sets, out, book)
    fill(key | word & WAY, at, base, notes, policy, ways, sets)
    fill_slot(slot, state, 0, sets)
    return slot


@compiled
def fetch_into(slot, line, mask, tensor, sets, arrivals, out, book):
    """Fetch the granules in which a sector of `mask` is not valid; returns the sectors that come in."""
    state = np.int64(sets[slot + STATE])
    fetched = fetch(line, mask & ~state, tensor, out, book)
    sets[slot + STATE] = state | fetched
    await_fetch(slot, sets, arrivals, book)
    return fetched


@compiled
def read_line(k, start, sets, arrivals, out, queue, book):
    """Read line `k` of the queue, which its slice serves from `start` on. Its sectors have been counted as found near;
    what was not is taken off."""
    line, home, group, key = entry(LINE, k, queue), entry(HOME, k, queue), entry(SET, k, queue), entry(KEY, k, queue)
    asked = entry(ASKED, k, queue)
    mask, tensor = asked & MASK, (asked >> TENSOR) & 0xFF
    near, counts = book[bk.NEAR], book[bk.COUNTS_AT] + tensor * bk.COUNTS
    first = near if book[bk.REPLICATE] else home
    slot, have = -1, 0
    at = find(key, group, sets, book)
    if at >= 0:
        latency = book[bk.LATENCY] if first == near else book[bk.FAR_LATENCY]
        slot, have, done = present(at, mask, start, latency, group, sets, arrivals, book)
        book[bk.DONE] = max(book[bk.DONE], done)
    hits = bk.READ_HITS
    if first != near:
        hits = bk.FAR_HITS
        book[counts + bk.READ_HITS] -= count_granules(mask, book)
        book[counts + bk.FAR_HITS] += count_granules(mask, book)
    missing = mask & ~have
    if missing:
        book[counts + hits] -= count_granules(missing, book)
        book[counts + bk.SECTOR_HITS] -= population(missing) * book[bk.LINES]
        if slot < 0:
            slot = take_way(key, tensor << OWNER_SHIFT, group, sets, out, book)
        else:
            loosen(slot, group, sets, book)
        if first == home:
            fetch_into(slot, line, missing, tensor, sets, arrivals, out, book)
        else:
            copy(k, slot, missing, sets, arrivals, out, queue, book)


@inlined
def copy(k, slot, mask, sets, arrivals, out, queue, book):
    """The reader's partition asks the home partition of line `k` of the queue for the sectors of `mask`, and keeps a
    copy of what comes in `slot`."""
    home, key, near_group = entry(HOME, k, queue), entry(KEY, k, queue), entry(SET, k, queue)
    tensor, group = (entry(ASKED, k, queue) >> TENSOR) & 0xFF, near_group + entry(TO_HOME, k, queue)
    counts, have, done = book[bk.COUNTS_AT] + tensor * bk.COUNTS, 0, 0
    book[counts + bk.SECTOR_LOOKUPS] += population(mask) * book[bk.LINES]
    at = find(key, group, sets, book)
    if at >= 0:
        source, have, done = present(at, mask, book[bk.NOW], book[bk.FAR_LATENCY], group, sets, arrivals, book)
    else:
        source = take_way(key, tensor << OWNER_SHIFT, group, sets, out, book)
    start = reserve_of(k, home, population(mask), done, queue, book)
    book[bk.LATEST] = max(book[bk.LATEST], start)
    missing = mask & ~have
    if have:
        done = max(done, start + book[bk.FAR_LATENCY])
        book[bk.DONE] = max(book[bk.DONE], done)
        arrive(slot, tick(done), sets, arrivals, book)
        if book[bk.LINES] > 1:
            note_arrivals(slot, near_group, done, sets, queue, book)
    book[counts + bk.FAR_HITS] += count_granules(mask, book) - count_granules(missing, book)
    book[counts + bk.SECTOR_HITS] += population(have) * book[bk.LINES]
    if missing:
        loosen(source, group, sets, book)
        have |= fetch_into(source, entry(LINE, k, queue), missing, tensor, sets, arrivals, out, book)
        await_fetch(slot, sets, arrivals, book)
    sets[slot + STATE] |= have


@inlined
def note_arrivals(slot, group, latest, sets, queue, book):
    """A grain is copied into a slot of the leader `group`: if its lines are not all there at the time of the `latest`,
    note when each is, as `reserve_grain` left it."""
    base, within, same = arrivals_of(slot, group, book), book[bk.WITHIN], True
    for i in range(book[bk.GRAIN]):
        then = queue[index(SCRATCH + i)]
        sets[index(base + (i ^ within))] = then
        same &= then == tick(latest)
    if not same:
        sets[slot + STATE] |= UNLIKE


@compiled
def write_line(k, sets, arrivals, out, queue, book):
    """Write line `k` of the queue."""
    line, home, key, asked = entry(LINE, k, queue), entry(HOME, k, queue), entry(KEY, k, queue), entry(ASKED, k, queue)
    mask, part, tensor = asked & MASK, (asked >> PART) & MASK, (asked >> TENSOR) & 0xFF
    counts, group = book[bk.COUNTS_AT] + tensor * bk.COUNTS, entry(SET, k, queue) + entry(TO_HOME, k, queue)
    if book[bk.REPLICATE]:
        for other in range(book[bk.PARTITIONS]):
            if other != home:
                there = group + (other - home) * book[bk.SETS]
                invalidate(mask, key, leader(there, book) if book[bk.LINES] > 1 else there, sets, book)
    start = reserve_of(k, home, population(mask), 0, queue, book)
    book[bk.LATEST] = max(book[bk.LATEST], start)
    book[bk.DONE] = max(book[bk.DONE], start + (book[bk.LATENCY] if home == book[bk.NEAR] else book[bk.FAR_LATENCY]))
    slot, touched = -1, count_granules(mask, book)
    lacking = touched
    at = find(key, group, sets, book)
    if at >= 0:
        base = group * book[bk.POSITIONS]
        at = hit(at, base, notes_of(group, book), book[bk.POLICY], book[bk.WAYS], sets)
        slot = slot_of(np.int64(sets[base + at]), group, book)
        loosen(slot, group, sets, book)
        lacking = count_granules(mask & ~np.int64(sets[slot + STATE]), book)
    elif book[bk.WRITE_ALLOCATE]:
        slot = take_way(key, tensor << OWNER_SHIFT, group, sets, out, book)
    book[counts + bk.WRITE_HITS] += touched - lacking
    book[counts + bk.WRITE_MISSES] += lacking
    if slot >= 0:
        state = np.int64(sets[slot + STATE]) & (VALID | DIRTY) | mask & ~part | tensor << OWNER_SHIFT
        sets[slot + STATE] = state
        if part & ~state:
            fetch_into(slot, line, part, tensor, sets, arrivals, out, book)
        if book[bk.WRITE_BACK]:
            sets[slot + STATE] |= mask << DIRTY_SHIFT
            if book[bk.DIRTY_WAYS] < book[bk.WAYS] and state & DIRTY == 0:
                limit_dirty(slot, group, sets, out, book)
    if slot < 0 or not book[bk.WRITE_BACK]:
        send(line, book[bk.GRANULES + mask], 1, tensor, out, book)


@inlined
def invalidate(mask, key, group, sets, book):
    """Drop the sectors of `mask` of a copy, if there is one in a set."""
    at = find(key, group, sets, book)
    if at >= 0:
        at += group * book[bk.POSITIONS]
        word = np.int64(sets[at])
        slot = slot_of(word, group, book)
        loosen(slot, group, sets, book)
        sets[at] = word & ~SETTLED
        sets[slot + STATE] &= ~mask


@compiled
def limit_dirty(slot, group, sets, out, book):
    """The line of `slot` has become dirty: if that is one too many for its set, write the oldest of the others back
    (by age where position is age, else the last one), which stays, clean."""
    base, dirty, oldest = group * book[bk.POSITIONS], 0, -1
    for at in range(base, base + book[bk.WAYS]):
        there = slot_of(np.int64(sets[at]), group, book)
        if sets[there + STATE] & DIRTY:
            dirty += 1
            if there != slot or oldest < 0:
                oldest = at
    if dirty > book[bk.DIRTY_WAYS]:
        word = np.int64(sets[oldest])
        there = slot_of(word, group, book)
        write_back(word, np.int64(sets[there + STATE]), group, out, book)
        sets[there + STATE] &= ~DIRTY
