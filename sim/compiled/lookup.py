"""The lookup loop: runs against a sectored set-associative cache in partitions; misses and write-backs come out as
runs.

A *request* is the part of an access that lies in one fill granule; hits and misses count requests, so that fills are
misses and bytes from below are misses x granule. Sector lookups count 32-byte (or whatever the sector is) pieces over
both partitions, as the hardware counters of GPUs do. See `sim.cache.Cache` for the arrays.

`general` has all that can happen to a line. Here is a quick way for what happens to most, in caches whose ways are
ordered by age and fill one vector: a read that finds all it asks for in the partition it looks up first, or that finds
nothing of the line anywhere.
"""

import numpy as np

from sim.compiled import book as bk
from sim.compiled.expand import (
    ASKED,
    FAR,
    FIRST,
    HOME,
    KEY,
    LINE,
    MASK,
    QUEUE,
    SET,
    SLICE,
    TENSOR,
    TO_HOME,
    WRITES,
    add,
    entry,
    place,
    shape_of,
)
from sim.compiled.general import read_line, reserve, write_line
from sim.compiled.jit import compiled, inlined
from sim.compiled.lanes import LANES, lowest, match, population, push
from sim.compiled.outgoing import append_read, evict, sectors_of
from sim.compiled.prefetch import prefetch
from sim.compiled.replacement import LRU
from sim.compiled.ways import (
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
    tick,
)

AHEAD = 16
"""Lines ahead for which the host is asked for their sets."""


@inlined
def expect(k, slots_too, apart, sets, queue, book):
    """Have the host fetch what it will need of the sets of line `k` of the queue."""
    group = entry(SET, k, queue)
    expect_set(group, slots_too, sets, book)
    if apart:
        to_home = entry(TO_HOME, k, queue)
        if to_home:
            expect_set(group + to_home, slots_too, sets, book)


@inlined
def expect_set(group, slots_too, sets, book):
    """Have the host fetch what it will need of a set."""
    prefetch(sets, group * book[bk.POSITIONS])
    if slots_too:
        slots = book[bk.SLOTS] + group * book[bk.WIDTH]
        prefetch(sets, slots)
        prefetch(sets, slots + LANES)


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
    evict(word, slot, group, sets, out, book)
    push(sets, base, last, key | word & WAY)
    fill_slot(slot, state, ~book[bk.WAIT], sets)


@inlined
def quick_miss(k, mask, tensor, to_home, sets, out, queue, book):
    """Fetch the sectors of `mask` of line `k` of the queue, which is nowhere, into its set and, if `to_home` is not 0,
    that of its home partition too."""
    bits, width, counts = book[index(bk.GRANULES + mask)], population(mask), book[bk.COUNTS_AT] + tensor * bk.COUNTS
    group, key, state = entry(SET, k, queue), entry(KEY, k, queue), sectors_of(bits, book) | tensor << OWNER_SHIFT
    take_oldest(key, state, group, sets, out, book)
    if to_home:
        away = (entry(HOME, k, queue) - book[bk.NEAR]) * book[bk.PARTITION_SLICES]
        book[bk.LATEST] = max(book[bk.LATEST], reserve(entry(SLICE, k, queue) + away, width, book))
        book[index(counts + bk.SECTOR_LOOKUPS)] += width
        take_oldest(key, state, group + to_home, sets, out, book)
    missed = population(bits)
    book[index(counts + bk.SECTOR_HITS)] -= width
    book[index(counts + bk.READ_HITS)] -= missed
    book[index(counts + bk.MISSES)] += missed
    book[bk.FETCHED] = 1
    address = (entry(LINE, k, queue) << book[bk.LINE_BITS]) + lowest(bits) * book[bk.SECTOR]
    append_read(address, missed * book[bk.GRANULE], tensor, out, book)


@inlined
def quick_read(k, mask, tensor, start, apart, sets, arrivals, out, queue, book):
    """Read the sectors of `mask` of line `k` of the queue, which its slice serves from `start` on. Returns when (ps)
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
    quick_miss(k, mask, tensor, to_home, sets, out, queue, book)
    return 0, True


@inlined
def serve_lines(count, apart, sets, arrivals, out, queue, book):
    """Read or write the first `count` lines of the queue. `apart` (whether there are partitions) is a constant where
    this is called, so that it is compiled once for either."""
    done, latest, slot_needed = book[bk.DONE], book[bk.LATEST], 0
    for k in range(-AHEAD, count):
        if k + AHEAD < count:
            expect(k + AHEAD, k - slot_needed < AHEAD, apart, sets, queue, book)
        if k < 0:
            continue
        asked = entry(ASKED, k, queue)
        mask, tensor = asked & MASK, (asked >> TENSOR) & 0xFF
        if asked >= FIRST:
            if asked & FIRST:
                book[bk.LAST_END] = -1
            if asked & WRITES:
                write_line(k, sets, arrivals, out, queue, book)
                continue
        start = reserve(entry(SLICE, k, queue), population(mask), book)
        latest = max(latest, start)
        if book[bk.QUICK] and asked < FAR:
            found, slot_too = quick_read(k, mask, tensor, start, apart, sets, arrivals, out, queue, book)
            if slot_too:
                slot_needed = k
            if found >= 0:
                done = max(done, found)
                continue
        read_line(k, start, sets, arrivals, out, queue, book)
    book[bk.DONE], book[bk.LATEST] = max(done, book[bk.DONE]), max(latest, book[bk.LATEST])


@compiled
def serve_queue(count, sets, arrivals, out, queue, book):
    """Read or write the first `count` lines of the queue."""
    place(count, queue, book)
    if book[bk.PARTITIONS] > 1:
        serve_lines(count, True, sets, arrivals, out, queue, book)
    else:
        serve_lines(count, False, sets, arrivals, out, queue, book)


@inlined
def serve_run(run, indices, repeat, k, sets, arrivals, out, queue, book):
    """Enter the lines of a run into the queue from `k` on, serving the queue whenever it is full; returns how many are
    left in it."""
    address, stride, size = np.int64(run["base"]), np.int64(run["stride"]), np.int64(run["bytes"])
    source, rows, tensor = np.int64(run["index"]), np.int64(run["count"]), np.int64(run["tensor"])
    writes = run["op"] == 1
    if source < 0:
        address += repeat * np.int64(run["advance"])
    else:
        source += repeat * np.int64(run["advance"])
    counts, within = book[bk.COUNTS_AT] + tensor * bk.COUNTS, (1 << book[bk.LINE_BITS]) - 1
    book[counts + (bk.WRITE_BYTES if writes else bk.READ_BYTES)] += size * rows
    if source < 0 and stride == size and (address | size) & within == 0:
        size, rows = size * rows, np.int64(1)  # whole lines without a gap
    whole, first = book[bk.SECTORS] | tensor << TENSOR | (WRITES if writes else 0), FIRST
    shape, alike = shape_of(address, address + size, book), stride & within == 0
    sectors, granules = 0, 0
    for i in range(rows):
        low = address + (indices[index(source + i)] if source >= 0 else i) * stride
        if not alike:
            shape = shape_of(low, low + size, book)
        lines, sectors_here, granules_here, before, after, begin, end = shape
        line = low >> book[bk.LINE_BITS]
        if line + lines > book[bk.LIMIT]:
            book[bk.BEYOND] = line + lines - 1
            continue
        sectors += sectors_here
        granules += granules_here
        asked = whole & ~before | begin | first
        first = 0
        while lines:
            if k == QUEUE:
                serve_queue(k, sets, arrivals, out, queue, book)
                k = 0
            some = min(lines, QUEUE - k)
            add(line, some, whole, k, queue)
            queue[index(ASKED + k)] = asked
            asked = whole
            line, lines, k = line + some, lines - some, k + some
        queue[index(ASKED + k - 1)] = queue[index(ASKED + k - 1)] & ~after | end
    if not writes:
        book[counts + bk.SECTOR_LOOKUPS] += sectors
        book[counts + bk.SECTOR_HITS] += sectors
        book[counts + bk.READ_HITS] += granules
    return k


@compiled
def serve_runs(runs, indices, first, count, repeat, near, now, slices, arrived, sets, arrivals, out, queue, book):
    """Serve `count` runs from `first` on, asked for at `now` by a core beside partition `near`, through the slices
    whose times begin at `slices` of the book; what the request before fetched has `arrived`. Returns when the last hit
    is at the core, the longest wait for a slice, the number of runs for below in `out` (-1 if a line lies beyond the
    limit), and how many entries of `arrivals` wait for what these fetch."""
    for wait in range(book[bk.WAIT], book[bk.NEXT]):
        arrivals[wait] = max(arrivals[wait], tick(arrived))
    book[bk.NOW] = book[bk.DONE] = book[bk.LATEST] = now
    book[bk.NEAR], book[bk.SLICES] = near, slices
    book[bk.OUT] = book[bk.FETCHED] = 0
    book[bk.WAIT] = book[bk.NEXT]
    arrivals[book[bk.WAIT]] = 0
    book[bk.NEXT] += 1
    k = 0
    for r in range(first, first + count):
        k = serve_run(runs[r], indices, repeat, k, sets, arrivals, out, queue, book)
    if k:
        serve_queue(k, sets, arrivals, out, queue, book)
    if not book[bk.FETCHED]:
        book[bk.NEXT] = book[bk.WAIT]
    return book[bk.DONE], book[bk.LATEST] - now, -1 if book[bk.BEYOND] else book[bk.OUT], book[bk.NEXT] - book[bk.WAIT]
