"""Runs that a cache serves whole: which are bundles, how they become one, and how they are read; see `bundles`."""

import numpy as np

from memgrain.sim.cache import state as bk
from memgrain.sim.cache.expand import (
    ASKED,
    BITS_31,
    BITS_32,
    KEY,
    LINE,
    MASK,
    QUEUE,
    SET,
    SLICE,
    entry,
    place,
    place_of,
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
    ROWS,
    SECTORS,
    SHARES,
    SIZE,
    STRIDE,
    WHOLE,
    join_bundle,
    place_in_table,
)
from memgrain.sim.cache.fast.set_groups import cohort_of
from memgrain.sim.cache.replacement import LRU
from memgrain.sim.cache.ways import ARRIVAL, SETTLED, STATE, TAG, TAG_BITS, TICK_BITS, WAY, arrival, index, slot_of
from memgrain.sim.native.address import mix
from memgrain.sim.native.host_prefetch import prefetch
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import LANES, lowest, match, population

TRIES = 4
"""Places in the table where a run may be, a power of two."""


@inlined
def may_be_whole(address, stride, size, rows, sets, book):
    """Whether a strided run that is read may be a bundle: it is long enough, and not too long."""
    lines, bits = book[bk.FEWEST], book[bk.LINE_BITS]
    return (
        lines > 0
        and rows * size >= lines << bits
        and rows * ((size >> bits) + 2) <= 1 << MOST_BITS
        and 0 <= stride < LATEST_CLOCK
        and (address + (rows - 1) * stride + size - 1) >> bits < book[bk.LIMIT]
        and sets[index(book[bk.BUNDLES])] < LATEST_CLOCK
    )


@inlined
def mark_of(address, stride, size, rows, book):
    """A hash of a run and the reader's partition, never 0."""
    return mix(mix(address) + mix(stride ^ (size << 13) ^ (rows << 26)) + book[bk.NEAR]) | 1


@inlined
def look_for(mark, address, stride, size, rows, sets, book):
    """The number of a run's bundle; 0: it has none."""
    for i in range(TRIES):
        number = place_of_try(mark, i, book)
        if sets[index(book[bk.MARKS] + number)] == mark:
            at = place_in_table(number, book)
            if (
                sets[index(at + LOW)] == address & BITS_31
                and sets[index(at + HIGH)] == address >> 31
                and sets[index(at + STRIDE)] == stride
                and sets[index(at + SIZE)] == size
                and sets[index(at + ROWS)] == rows
                and sets[index(at + PART)] == book[bk.NEAR]
            ):
                return number
    return np.int64(0)


@inlined
def look_for_room(mark, sets, book):
    """The number of a bundle of which no line is left, where another one may be put; 0: there is none."""
    for i in range(TRIES):
        number = place_of_try(mark, i, book)
        if sets[index(place_in_table(number, book) + LINES)] == 0:
            return number
    return np.int64(0)


@inlined
def place_of_try(mark, i, book):
    """The number of the bundle that is looked at as number `i`: neighbours, so that their marks lie together."""
    return ((((mark >> 8) & -TRIES) + i) & (book[bk.MOST_BUNDLES] - 1)) + 1


@inlined
def is_whole(number, sets, book):
    """Whether there is a bundle of this number, of which nothing has been lost."""
    return number > 0 and sets[index(place_in_table(number, book) + WHOLE)] != 0


@inlined
def is_there(line, sets, book):
    """Whether a line is in the partition near the reader, in a set of its own."""
    _, first, group, quotient = place_of(line, book)
    return find_apart(first * book[bk.SETS] + group, quotient << TAG_BITS, sets, book) >= 0


@inlined
def find_apart(group, key, sets, book):
    """The position of the word with `key` in a set whose cohort is apart, or -1."""
    if book[bk.GRAIN] > 1 and sets[cohort_of(group, book)] == 0:
        return -1
    found = match(sets, group * LANES, key, TAG)
    return lowest(found) if found else -1


@compiled
def adopt(known, mark, address, stride, size, rows, sets, arrivals, queue, book):
    """Make a run a bundle, which was number `known` before (0: it was none), if all it asks for is there. Returns its
    number, or 0 if it is none; the queue is used meanwhile."""
    number = known if known else look_for_room(mark, sets, book)
    if number == 0:
        return number
    at, k, position, last_line = place_in_table(number, book), np.int64(0), np.int64(0), np.int64(-1)
    if sets[index(at + LINES)] == 0:
        sets[index(book[bk.READ_AT] + number)] = 0
    sets[index(book[bk.MARKS] + number)] = mark
    sets[index(at + LOW)], sets[index(at + HIGH)] = address & BITS_31, address >> 31
    sets[index(at + STRIDE)], sets[index(at + SIZE)], sets[index(at + ROWS)] = stride, size, rows
    sets[index(at + PART)], sets[index(at + WHOLE)] = book[bk.NEAR], 0
    sets[index(book[bk.BUNDLES])] = max(sets[index(book[bk.BUNDLES])], 1)
    for i in range(ARRIVED, SHARES + book[bk.PARTITION_SLICES]):
        sets[index(at + i)] = 0
    for row in range(rows):
        low = address + row * stride
        _, sectors, granules, before, after, _, _ = shape_of(low, low + size, book)
        sets[index(at + SECTORS)] += sectors
        sets[index(at + GRANULES)] += granules
        line, last_line = low >> book[bk.LINE_BITS], (low + size - 1) >> book[bk.LINE_BITS]
        mask = book[bk.SECTORS] & ~before
        while line <= last_line:
            if k == QUEUE:
                if not take_in(number, k, position, sets, arrivals, queue, book):
                    return np.int64(0)
                position, k = position + k, np.int64(0)
            queue[index(LINE + k)] = line
            queue[index(ASKED + k)] = mask & ~after if line == last_line else mask
            mask, line, k = book[bk.SECTORS], line + 1, k + 1
    if not take_in(number, k, position, sets, arrivals, queue, book):
        return np.int64(0)
    sets[index(at + WHOLE)] = 1
    return number


@inlined
def take_in(number, count, position, sets, arrivals, queue, book):
    """Let the first `count` lines of the queue be those of a bundle from `position` on; returns whether all that is
    asked of them is there."""
    place(count, queue, book)
    for k in range(count):
        prefetch(sets, entry(SET, k, queue) * LANES)
    at, latest = place_in_table(number, book), np.int64(0)
    for k in range(count):
        group, mask = entry(SET, k, queue), entry(ASKED, k, queue) & MASK
        found = find_apart(group, entry(KEY, k, queue), sets, book)
        if found < 0:
            return False
        word = np.int64(sets[index(group * LANES + found)])
        if word & SETTLED == 0:
            slot = slot_of(word, group, book)
            if mask & ~np.int64(sets[index(slot + STATE)]) or ~sets[index(slot + ARRIVAL)] >= book[bk.WAIT]:
                return False
            latest = max(latest, np.int64(arrival(slot, sets, arrivals)))
        queue[index(KEY + k)] = word & WAY
        prefetch(sets, book[bk.MEMBERS] + group * book[bk.WAYS])
    sets[index(at + ARRIVED)] = max(sets[index(at + ARRIVED)], latest)
    first = at + SHARES - book[bk.SLICES] - book[bk.NEAR] * book[bk.PARTITION_SLICES]
    for k in range(count):
        join_bundle(number, position + k, entry(KEY, k, queue), entry(SET, k, queue), sets, book)
        share, sectors = index(first + entry(SLICE, k, queue)), population(entry(ASKED, k, queue) & MASK)
        sets[share] = ((sets[share] >> LAST_BITS) + sectors) << LAST_BITS | sectors
    return True


@inlined
def reserve_shares(shares, sets, book):
    """Reserve the slices of the near partition for what is at `shares`; returns when the last line's slice begins to
    serve it. Nothing is stored under a condition, and products are of 32 bits, for the host's vectors."""
    slices, now, time = book[bk.PARTITION_SLICES], book[bk.NOW], book[bk.SECTOR_TIME] & BITS_32
    channel, latest = book[bk.SLICES] + book[bk.NEAR] * slices, now
    for i in range(slices):
        share, then = np.int64(sets[index(shares + i)]) & BITS_32, book[index(channel + i)]
        sectors, last = share >> LAST_BITS, share & ((1 << LAST_BITS) - 1)
        start = max(then, now if share else 0)
        book[index(channel + i)] = start + sectors * time
        latest = max(latest, start + (sectors - last) * time if share else 0)
    return latest


@compiled
def read_whole(number, tensor, sets, book):
    """Read a bundle that is whole."""
    at = place_in_table(number, book)
    clock = sets[index(book[bk.BUNDLES])] + 1
    sets[index(book[bk.BUNDLES])] = clock
    if book[bk.POLICY] == LRU:
        sets[index(book[bk.READ_AT] + number)] = clock
    latest = reserve_shares(at + SHARES, sets, book)
    book[bk.LAST_END], book[bk.LATEST] = -1, max(book[bk.LATEST], latest)
    arrived = np.int64(sets[index(at + ARRIVED)]) << TICK_BITS
    book[bk.DONE] = max(book[bk.DONE], latest + book[bk.LATENCY], arrived)
    counts, sectors = book[bk.COUNTS_AT] + tensor * bk.COUNTS, np.int64(sets[index(at + SECTORS)])
    book[index(counts + bk.SECTOR_LOOKUPS)] += sectors
    book[index(counts + bk.SECTOR_HITS)] += sectors
    book[index(counts + bk.READ_HITS)] += np.int64(sets[index(at + GRANULES)])
