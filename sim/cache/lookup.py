"""The lookup loop: runs against a sectored set-associative cache in partitions; misses and write-backs come out as
runs.

A *request* is the part of an access that lies in one fill granule; hits and misses count requests, so that fills are
misses and bytes from below are misses x granule. Sector lookups count 32-byte (or whatever the sector is) pieces over
both partitions, as the hardware counters of GPUs do. See `memgrain.sim.cache.cache.Cache` for the arrays.

`general` has all that can happen to a line, `quick` what happens to most. Whole grains of lines are looked up at once
where their sets are in step, see `cohorts` and `grains`.
"""

import numpy as np

from memgrain.sim.cache import state as bk
from memgrain.sim.cache.expand import (
    ASKED,
    FAR,
    FIRST,
    KEY,
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
    place_of,
    shape_of,
)
from memgrain.sim.cache.fast.all_hit import adopt, is_there, is_whole, look_for, mark_of, may_be_whole, read_whole
from memgrain.sim.cache.fast.line_blocks import enter_grain, serve_grain
from memgrain.sim.cache.fast.quick import quick_read
from memgrain.sim.cache.fast.resident_runs import in_use, order
from memgrain.sim.cache.fast.set_groups import any_in_step, in_step, part
from memgrain.sim.cache.general import read_line, write_line
from memgrain.sim.cache.slices import reserve
from memgrain.sim.cache.ways import TAG, index, slot_of, tick
from memgrain.sim.native.host_prefetch import prefetch
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import LANES, lowest, match, population

AHEAD, SOON = 20, 8
"""Lines ahead for which the host is asked for their words, and, where it takes a slot too, for that."""


@inlined
def expect(k, apart, bundles, sets, queue, book):
    """Have the host fetch the words of the sets of line `k` of the queue, and what is known of their bundles."""
    group = entry(SET, k, queue)
    expect_set(group, bundles, sets, book)
    if apart:
        expect_set(group + entry(TO_HOME, k, queue), bundles, sets, book)


@inlined
def expect_set(group, bundles, sets, book):
    """Have the host fetch the words of a set, and what is known of their bundles."""
    prefetch(sets, group * book[bk.POSITIONS])
    if bundles:
        prefetch(sets, book[bk.MEMBERS] + group * book[bk.WAYS])
        prefetch(sets, book[bk.SEEN] + group)


@inlined
def expect_slots(k, quick, apart, sets, queue, book):
    """Have the host fetch the slots that line `k` of the queue will need, whose words are there."""
    group, key = entry(SET, k, queue), entry(KEY, k, queue)
    expect_slot(group, key, quick, sets, book)
    if apart:
        expect_slot(group + entry(TO_HOME, k, queue), key, quick, sets, book)


@inlined
def expect_slot(group, key, quick, sets, book):
    """Have the host fetch the slot of the line of `key` in a set, or that which will make room for it."""
    if quick:
        found = match(sets, group * LANES, key, TAG)
        at = lowest(found) if found else book[bk.WAYS] - 1
        prefetch(sets, slot_of(np.int64(sets[index(group * LANES + at)]), group, book))
    else:
        slots = book[bk.SLOTS] + group * book[bk.WIDTH]
        prefetch(sets, slots)
        prefetch(sets, slots + LANES)


@inlined
def bring_in_order(k, apart, sets, queue, book):
    """Let the words of the sets of line `k` of the queue lie in order of age, now that they will be needed. No bundle
    is read before they are."""
    group = entry(SET, k, queue)
    order(group, sets, book)
    if apart:
        order(group + entry(TO_HOME, k, queue), sets, book)


@inlined
def serve_lines(count, apart, sets, arrivals, out, queue, book):
    """Read or write the first `count` lines of the queue. `apart` (whether there are partitions) is a constant where
    this is called, so that it is compiled once for either."""
    done, latest, slot_needed, quick = book[bk.DONE], book[bk.LATEST], 0, book[bk.QUICK]
    bundles = in_use(sets, book)
    for k in range(-AHEAD, count):
        if k + AHEAD < count:
            expect(k + AHEAD, apart, bundles, sets, queue, book)
        if 0 <= k + SOON < count:
            if bundles:
                bring_in_order(k + SOON, apart, sets, queue, book)
            if k - slot_needed < AHEAD:
                expect_slots(k + SOON, quick, apart, sets, queue, book)
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
        if quick and asked < FAR:
            found, slot_too = quick_read(k, 1, mask, tensor, start, apart, sets, arrivals, out, queue, book)
            if slot_too:
                slot_needed = k
            if found >= 0:
                done = max(done, found)
                continue
        read_line(k, start, sets, arrivals, out, queue, book)
    book[bk.DONE], book[bk.LATEST] = max(done, book[bk.DONE]), max(latest, book[bk.LATEST])


@inlined
def part_cohorts(count, sets, queue, book):
    """Take the cohorts of the first `count` lines of the queue apart."""
    for k in range(count):
        group = entry(SET, k, queue)
        if book[bk.REPLICATE] and entry(ASKED, k, queue) & WRITES:
            for other in range(book[bk.PARTITIONS]):
                part(group % book[bk.SETS] + other * book[bk.SETS], sets, book)
        else:
            part(group, sets, book)
            part(group + entry(TO_HOME, k, queue), sets, book)


@compiled
def serve_queue(count, sets, arrivals, out, queue, book):
    """Read or write the first `count` lines of the queue."""
    place(count, queue, book)
    if any_in_step(sets, book):
        part_cohorts(count, sets, queue, book)
    if book[bk.PARTITIONS] > 1:
        serve_lines(count, True, sets, arrivals, out, queue, book)
    else:
        serve_lines(count, False, sets, arrivals, out, queue, book)


@inlined
def enter(line, lines, asked, whole, k, sets, arrivals, out, queue, book):
    """Enter lines into the queue from `k` on, serving it whenever it is full; returns how many are left in it. Of the
    first line is asked what `asked` says, of the others `whole`."""
    while lines:
        if k == QUEUE:
            serve_queue(k, sets, arrivals, out, queue, book)
            k = np.int64(0)
        some = min(lines, QUEUE - k)
        add(line, some, whole, k, queue)
        queue[index(ASKED + k)] = asked
        asked = whole
        line, lines, k = line + some, lines - some, k + some
    return k


@inlined
def together(home, first, group, writes, sets, arrivals, book):
    """Whether all cohorts that a whole grain concerns are in step."""
    size = book[bk.SETS]
    if not in_step(first * size + group, sets, arrivals, book):
        return False
    if writes and book[bk.REPLICATE]:
        for other in range(book[bk.PARTITIONS]):
            if other != first and not in_step(other * size + group, sets, arrivals, book):
                return False
        return True
    return home == first or in_step(home * size + group, sets, arrivals, book)


@compiled
def serve_grains(begin, grains, asked, whole, k, sets, arrivals, out, queue, book):
    """Serve whole grains of lines at once where that is possible, otherwise enter their lines into the queue; returns
    how many are left in it."""
    grain, writes = book[bk.GRAIN], whole & WRITES
    for number in range(grains):
        line = begin + number * grain
        home, first, group, quotient = place_of(line, book)
        at_once = together(home, first, group, writes, sets, arrivals, book)
        if at_once and k:
            serve_queue(k, sets, arrivals, out, queue, book)
            k = np.int64(0)
            at_once = together(home, first, group, writes, sets, arrivals, book)
        if at_once:
            enter_grain(line, asked, home, first, group, quotient, queue, book)
            at_once = serve_grain(sets, arrivals, out, queue, book)
        if not at_once:
            k = enter(line, grain, asked, whole, k, sets, arrivals, out, queue, book)
        asked = whole
    return k


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
    if not writes and source < 0 and may_be_whole(address, stride, size, rows, sets, book):
        mark = mark_of(address, stride, size, rows, book)
        number = look_for(mark, address, stride, size, rows, sets, book)
        if is_whole(number, sets, book) or is_there(address >> book[bk.LINE_BITS], sets, book):
            if k:
                serve_queue(k, sets, arrivals, out, queue, book)
                k = np.int64(0)
            if not is_whole(number, sets, book):
                number = adopt(number, mark, address, stride, size, rows, sets, arrivals, queue, book)
            if number:
                read_whole(number, tensor, sets, book)
                return k
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
        grain = book[bk.GRAIN]
        if grain > 1:
            # lines before the first whole grain, which those that are asked for in part are no part of
            head = min(lines, (-(line + (before | begin != 0)) & (grain - 1)) + (before | begin != 0))
            grains = max(0, lines - head - (after | end != 0)) >> book[bk.GRAIN_BITS]
            if grains:
                if head:
                    k = enter(line, head, asked, whole, k, sets, arrivals, out, queue, book)
                    asked = whole
                k = serve_grains(line + head, grains, asked, whole, k, sets, arrivals, out, queue, book)
                asked = whole
                head += grains * grain
                line, lines = line + head, lines - head
        if lines:
            k = enter(line, lines, asked, whole, k, sets, arrivals, out, queue, book)
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
    k = np.int64(0)
    for r in range(first, first + count):
        k = serve_run(runs[r], indices, repeat, k, sets, arrivals, out, queue, book)
    if k:
        serve_queue(k, sets, arrivals, out, queue, book)
    if not book[bk.FETCHED]:
        book[bk.NEXT] = book[bk.WAIT]
    return book[bk.DONE], book[bk.LATEST] - now, -1 if book[bk.BEYOND] else book[bk.OUT], book[bk.NEXT] - book[bk.WAIT]
