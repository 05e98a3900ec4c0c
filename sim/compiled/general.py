"""One line read or written: the cases of every policy and shape; `lookup` has a quicker way for the most usual ones."""

import numpy as np

from sim.compiled import book as bk
from sim.compiled.expand import ASKED, HOME, KEY, LINE, MASK, PART, SET, SLICE, TENSOR, TO_HOME, entry
from sim.compiled.jit import compiled, inlined
from sim.compiled.lanes import population
from sim.compiled.outgoing import evict, fetch, send, write_back
from sim.compiled.replacement import fill, hit, ordered, victim
from sim.compiled.ways import (
    DIRTY,
    DIRTY_SHIFT,
    EMPTY,
    OWNER_SHIFT,
    SETTLED,
    STATE,
    TAG_BITS,
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


@inlined
def reserve(channel, sectors, book):
    """Reserve the slice whose time is at `channel` for so many sectors; returns when it begins to serve them."""
    start = max(book[index(channel)], book[bk.NOW])
    book[index(channel)] = start + sectors * book[bk.SECTOR_TIME]
    return start


@inlined
def count_granules(mask, book):
    """In how many granules `mask` has a sector."""
    return population(book[bk.GRANULES + mask])


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
    evict(word, slot, group, sets, out, book)
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
    asked, channel = entry(ASKED, k, queue), entry(SLICE, k, queue)
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
        book[counts + bk.SECTOR_HITS] -= population(missing)
        if slot < 0:
            slot = take_way(key, tensor << OWNER_SHIFT, group, sets, out, book)
        if first == home:
            fetch_into(slot, line, missing, tensor, sets, arrivals, out, book)
        else:
            group += entry(TO_HOME, k, queue)
            channel += (home - near) * book[bk.PARTITION_SLICES]
            copy(slot, line, missing, tensor, group, key, channel, sets, arrivals, out, book)


@inlined
def copy(slot, line, mask, tensor, group, key, channel, sets, arrivals, out, book):
    """The reader's partition asks the home partition, where the line belongs into set `group`, for the sectors of
    `mask`, and keeps a copy of what comes in `slot`."""
    counts, have = book[bk.COUNTS_AT] + tensor * bk.COUNTS, 0
    book[counts + bk.SECTOR_LOOKUPS] += population(mask)
    start = reserve(channel, population(mask), book)
    book[bk.LATEST] = max(book[bk.LATEST], start)
    at = find(key, group, sets, book)
    if at >= 0:
        source, have, done = present(at, mask, start, book[bk.FAR_LATENCY], group, sets, arrivals, book)
        book[bk.DONE] = max(book[bk.DONE], done)
        if have:
            arrive(slot, tick(done), sets, arrivals, book)
    else:
        source = take_way(key, tensor << OWNER_SHIFT, group, sets, out, book)
    missing = mask & ~have
    book[counts + bk.FAR_HITS] += count_granules(mask, book) - count_granules(missing, book)
    book[counts + bk.SECTOR_HITS] += population(have)
    if missing:
        have |= fetch_into(source, line, missing, tensor, sets, arrivals, out, book)
        await_fetch(slot, sets, arrivals, book)
    sets[slot + STATE] |= have


@compiled
def write_line(k, sets, arrivals, out, queue, book):
    """Write line `k` of the queue."""
    line, home, key, asked = entry(LINE, k, queue), entry(HOME, k, queue), entry(KEY, k, queue), entry(ASKED, k, queue)
    mask, part, tensor = asked & MASK, (asked >> PART) & MASK, (asked >> TENSOR) & 0xFF
    counts, to_home = book[bk.COUNTS_AT] + tensor * bk.COUNTS, entry(TO_HOME, k, queue)
    group, channel = entry(SET, k, queue) + to_home, entry(SLICE, k, queue)
    if to_home:
        channel += (home - book[bk.NEAR]) * book[bk.PARTITION_SLICES]
    if book[bk.REPLICATE]:
        for other in range(book[bk.PARTITIONS]):
            if other != home:
                invalidate(mask, key, group + (other - home) * book[bk.SETS], sets, book)
    start = reserve(channel, population(mask), book)
    book[bk.LATEST] = max(book[bk.LATEST], start)
    book[bk.DONE] = max(book[bk.DONE], start + (book[bk.LATENCY] if home == book[bk.NEAR] else book[bk.FAR_LATENCY]))
    slot, touched = -1, count_granules(mask, book)
    lacking = touched
    at = find(key, group, sets, book)
    if at >= 0:
        base = group * book[bk.POSITIONS]
        at = hit(at, base, notes_of(group, book), book[bk.POLICY], book[bk.WAYS], sets)
        slot = slot_of(np.int64(sets[base + at]), group, book)
        lacking = count_granules(mask & ~np.int64(sets[slot + STATE]), book)
    elif book[bk.WRITE_ALLOCATE]:
        slot = take_way(key, 0, group, sets, out, book)
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
        sets[at] = word & ~SETTLED
        sets[slot_of(word, group, book) + STATE] &= ~mask


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
