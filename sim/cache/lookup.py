"""The lookup loop: runs against a sectored set-associative cache in partitions; misses and write-backs come out as
runs.

A *request* is the part of an access that lies in one fill granule; hits and misses count requests, so that fills are
misses and bytes from below are misses x granule. Sector lookups count 32-byte (or whatever the sector is) pieces over
both partitions, as the hardware counters of GPUs do. See `memgrain.sim.cache.cache.Cache` for the arrays.

`general` has all that can happen to a line, `quick` what happens to most. Whole grains of lines are looked up at once
where their sets are in step, see `cohorts` and `grains`.
"""

import numpy as np

from memgrain.sim.cache.expand import (
    FAR,
    FIRST,
    MASK,
    TENSOR,
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
from memgrain.sim.cache.state import QUEUE_LINES
from memgrain.sim.cache.ways import TAG, index, notes_of, slot_of, tick
from memgrain.sim.native.host_prefetch import prefetch
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import LANES, lowest, match, population

AHEAD, SOON = 20, 8
"""Lines ahead for which the host is asked for their words, and, where it takes a slot too, for that."""


@inlined
def expect(k, apart, bundles, sets, queue, config):
    """Have the host fetch the words of the sets of line `k` of the queue, and what is known of their bundles."""
    group = entry(queue.set_index, k)
    expect_set(group, bundles, sets, config)
    if apart:
        expect_set(group + entry(queue.to_home, k), bundles, sets, config)


@inlined
def expect_set(group, bundles, sets, config):
    """Have the host fetch the words of a set, and what is known of their bundles."""
    prefetch(sets, group * config.positions)
    if bundles:
        prefetch(sets, config.members_at + group * config.ways)
        prefetch(sets, config.sorted_at + group)


@inlined
def expect_slots(k, quick, apart, sets, queue, config):
    """Have the host fetch the slots that line `k` of the queue will need, whose words are there."""
    group, key = entry(queue.set_index, k), entry(queue.key, k)
    expect_slot(group, key, quick, sets, config)
    if apart:
        expect_slot(group + entry(queue.to_home, k), key, quick, sets, config)


@inlined
def expect_slot(group, key, quick, sets, config):
    """Have the host fetch the slot of the line of `key` in a set, or that which will make room for it."""
    if quick:
        found = match(sets, group * LANES, key, TAG)
        at = lowest(found) if found else config.ways - 1
        prefetch(sets, slot_of(np.int64(sets[index(group * LANES + at)]), group, config))
    else:
        slots = config.slots_at + group * config.width
        prefetch(sets, slots)
        prefetch(sets, slots + LANES)
        prefetch(sets, notes_of(group, config))


@inlined
def bring_in_order(k, apart, sets, queue, config):
    """Let the words of the sets of line `k` of the queue lie in order of age, now that they will be needed. No bundle
    is read before they are."""
    group = entry(queue.set_index, k)
    order(group, sets, config)
    if apart:
        order(group + entry(queue.to_home, k), sets, config)


@inlined
def serve_lines(count, apart, sets, arrivals, out, queue, config, state, busy):
    """Read or write the first `count` lines of the queue. `apart` (whether there are partitions) is a constant where
    this is called, so that it is compiled once for either."""
    done, latest, slot_needed, quick = state.done, state.latest, 0, config.quick
    bundles = in_use(sets, config)
    for k in range(-AHEAD, count):
        if k + AHEAD < count:
            expect(k + AHEAD, apart, bundles, sets, queue, config)
        if 0 <= k + SOON < count:
            if bundles:
                bring_in_order(k + SOON, apart, sets, queue, config)
            if k - slot_needed < AHEAD:
                expect_slots(k + SOON, quick, apart, sets, queue, config)
        if k < 0:
            continue
        asked = entry(queue.request, k)
        mask, tensor = asked & MASK, (asked >> TENSOR) & 0xFF
        if asked >= FIRST:
            if asked & FIRST:
                state.last_end = -1
            if asked & WRITES:
                slot_needed = k
                write_line(k, sets, arrivals, out, queue, config, state, busy)
                continue
        start = reserve(entry(queue.slice, k), population(mask), config, state, busy)
        latest = max(latest, start)
        if quick and asked < FAR:
            found, slot_too = quick_read(
                k, 1, mask, tensor, start, apart, sets, arrivals, out, queue, config, state, busy
            )
            if slot_too:
                slot_needed = k
            if found >= 0:
                done = max(done, found)
                continue
        slot_needed = k
        read_line(k, start, sets, arrivals, out, queue, config, state, busy)
    state.done, state.latest = max(done, state.done), max(latest, state.latest)


@inlined
def part_cohorts(count, sets, queue, config):
    """Take the cohorts of the first `count` lines of the queue apart."""
    for k in range(count):
        group = entry(queue.set_index, k)
        if config.replicate and entry(queue.request, k) & WRITES:
            for other in range(config.partitions):
                part(group % config.set_count + other * config.set_count, sets, config)
        else:
            part(group, sets, config)
            part(group + entry(queue.to_home, k), sets, config)


@compiled
def serve_queue(count, sets, arrivals, out, queue, config, state, busy):
    """Read or write the first `count` lines of the queue."""
    place(count, queue, config, state)
    if any_in_step(sets, config):
        part_cohorts(count, sets, queue, config)
    if config.partitions > 1:
        serve_lines(count, True, sets, arrivals, out, queue, config, state, busy)
    else:
        serve_lines(count, False, sets, arrivals, out, queue, config, state, busy)


@inlined
def enter(line, lines, asked, whole, k, sets, arrivals, out, queue, config, state, busy):
    """Enter lines into the queue from `k` on, serving it whenever it is full; returns how many are left in it. Of the
    first line is asked what `asked` says, of the others `whole`."""
    while lines:
        if k == QUEUE_LINES:
            serve_queue(k, sets, arrivals, out, queue, config, state, busy)
            k = np.int64(0)
        some = min(lines, QUEUE_LINES - k)
        add(line, some, whole, k, queue)
        queue.request[index(k)] = asked
        asked = whole
        line, lines, k = line + some, lines - some, k + some
    return k


@inlined
def together(home, first, group, writes, sets, arrivals, config, state):
    """Whether all cohorts that a whole grain concerns are in step."""
    size = config.set_count
    if not in_step(first * size + group, sets, arrivals, config, state):
        return False
    if writes and config.replicate:
        for other in range(config.partitions):
            if other != first and not in_step(other * size + group, sets, arrivals, config, state):
                return False
        return True
    return home == first or in_step(home * size + group, sets, arrivals, config, state)


@compiled
def serve_grains(begin, grains, asked, whole, k, sets, arrivals, out, queue, config, state, busy):
    """Serve whole grains of lines at once where that is possible, otherwise enter their lines into the queue; returns
    how many are left in it."""
    grain, writes = config.block_lines, whole & WRITES
    for number in range(grains):
        line = begin + number * grain
        home, first, group, quotient = place_of(line, config, state)
        at_once = together(home, first, group, writes, sets, arrivals, config, state)
        if at_once and k:
            serve_queue(k, sets, arrivals, out, queue, config, state, busy)
            k = np.int64(0)
            at_once = together(home, first, group, writes, sets, arrivals, config, state)
        if at_once:
            enter_grain(line, asked, home, first, group, quotient, queue, config, state)
            at_once = serve_grain(sets, arrivals, out, queue, config, state, busy)
        if not at_once:
            k = enter(line, grain, asked, whole, k, sets, arrivals, out, queue, config, state, busy)
        asked = whole
    return k


@inlined
def serve_run(run, indices, repeat, k, sets, arrivals, out, queue, config, state, busy):
    """Enter the lines of a run into the queue from `k` on, serving the queue whenever it is full; returns how many are
    left in it."""
    address, stride, size = np.int64(run["base"]), np.int64(run["stride"]), np.int64(run["bytes"])
    source, rows, tensor = np.int64(run["index"]), np.int64(run["count"]), np.int64(run["tensor"])
    writes = run["op"] == 1
    if source < 0:
        address += repeat * np.int64(run["advance"])
    else:
        source += repeat * np.int64(run["advance"])
    row, within = state.counts[index(tensor)], (1 << config.line_bits) - 1
    if writes:
        row.write_bytes += size * rows
    else:
        row.read_bytes += size * rows
    if source < 0 and stride == size and (address | size) & within == 0:
        size, rows = size * rows, np.int64(1)  # whole lines without a gap
    if not writes and source < 0 and may_be_whole(address, stride, size, rows, sets, config):
        mark = mark_of(address, stride, size, rows, state)
        number = look_for(mark, address, stride, size, rows, sets, config, state)
        if is_whole(number, sets, config) or is_there(address >> config.line_bits, sets, config, state):
            if k:
                serve_queue(k, sets, arrivals, out, queue, config, state, busy)
                k = np.int64(0)
            if not is_whole(number, sets, config):
                number = adopt(number, mark, address, stride, size, rows, sets, arrivals, queue, config, state)
            if number:
                read_whole(number, tensor, sets, config, state, busy)
                return k
    whole, first = config.all_sectors | tensor << TENSOR | (WRITES if writes else 0), FIRST
    shape, alike = shape_of(address, address + size, config), stride & within == 0
    sectors, granules = 0, 0
    for i in range(rows):
        low = address + (indices[index(source + i)] if source >= 0 else i) * stride
        if not alike:
            shape = shape_of(low, low + size, config)
        lines, sectors_here, granules_here, before, after, begin, end = shape
        line = low >> config.line_bits
        if line + lines > config.line_limit:
            state.beyond = line + lines - 1
            continue
        sectors += sectors_here
        granules += granules_here
        asked = whole & ~before | begin | first
        first = 0
        grain = config.block_lines
        if grain > 1:
            # lines before the first whole grain, which those that are asked for in part are no part of
            head = min(lines, (-(line + (before | begin != 0)) & (grain - 1)) + (before | begin != 0))
            grains = max(0, lines - head - (after | end != 0)) >> config.block_bits
            if grains:
                if head:
                    k = enter(line, head, asked, whole, k, sets, arrivals, out, queue, config, state, busy)
                    asked = whole
                k = serve_grains(line + head, grains, asked, whole, k, sets, arrivals, out, queue, config, state, busy)
                asked = whole
                head += grains * grain
                line, lines = line + head, lines - head
        if lines:
            k = enter(line, lines, asked, whole, k, sets, arrivals, out, queue, config, state, busy)
            queue.request[index(k - 1)] = queue.request[index(k - 1)] & ~after | end
    if not writes:
        row.sector_lookups += sectors
        row.sector_hits += sectors
        row.read_hits += granules
    return k


@compiled
def serve_runs(
    runs,
    indices,
    first,
    count,
    repeat,
    near,
    now,
    first_slice,
    arrived,
    sets,
    arrivals,
    out,
    records,
    busy,
):
    """Serve `count` runs from `first` on, asked for at `now` by a core beside partition `near`, through the slices
    whose times begin at `slices` of the book; what the request before fetched has `arrived`. Returns when the last hit
    is at the core, the longest wait for a slice, the number of runs for below in `out` (-1 if a line lies beyond the
    limit), and how many entries of `arrivals` wait for what these fetch."""
    config, state, queue = records[0].config, records[0].state, records[0].queue
    for wait in range(state.wait, state.next_wait):
        arrivals[wait] = max(arrivals[wait], tick(arrived))
    state.now = state.done = state.latest = now
    state.near, state.first_slice = near, first_slice
    state.out = state.fetched = 0
    state.wait = state.next_wait
    arrivals[state.wait] = 0
    state.next_wait += 1
    k = np.int64(0)
    for r in range(first, first + count):
        k = serve_run(runs[r], indices, repeat, k, sets, arrivals, out, queue, config, state, busy)
    if k:
        serve_queue(k, sets, arrivals, out, queue, config, state, busy)
    if not state.fetched:
        state.next_wait = state.wait
    return state.done, state.latest - now, -1 if state.beyond else state.out, state.next_wait - state.wait
