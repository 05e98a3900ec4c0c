"""The lookup loop: runs against a sectored set-associative cache in partitions. Misses and write-backs leave as runs.

Hits and misses count the parts of an access that lie in one fill granule each. So fills equal misses, and bytes from
below are misses x granule. Sector lookups count sectors (such as 32 bytes) over both partitions, as the hardware
counters of GPUs do. See `memgrain.sim.cache.cache.Cache` for the arrays.

`general` handles every case of a line. The fast paths in `fast/` handle the most common ones: a line by `quick`, a
block of lines by `line_blocks`, a resident run by `all_hit`.
"""

import numpy as np

from memgrain.sim.cache.expand import (
    FAR,
    FIRST,
    MASK,
    TENSOR,
    WRITES,
    append_lines,
    entry,
    locate,
    locate_line,
    shape_of,
)
from memgrain.sim.cache.fast.all_hit import (
    find_run,
    has_line,
    is_resident,
    may_be_resident,
    read_resident_run,
    register,
    run_hash_of,
)
from memgrain.sim.cache.fast.line_blocks import enqueue_block, serve_block
from memgrain.sim.cache.fast.quick import quick_read
from memgrain.sim.cache.fast.resident_runs import any_resident_run, sort_set
from memgrain.sim.cache.fast.set_groups import any_lockstep, in_lockstep, split
from memgrain.sim.cache.general import read_line, write_line
from memgrain.sim.cache.slices import reserve
from memgrain.sim.cache.state import QUEUE_LINES
from memgrain.sim.cache.ways import TAG, index, notes_of, slot_of, tick
from memgrain.sim.native.host_prefetch import host_prefetch
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import LANES, lowest, match, population

WORDS_AHEAD, SLOTS_AHEAD = 20, 8
"""Lines ahead of the lookup at which the host fetches the words of their sets, and their slots."""


@inlined
def prefetch_sets(k, partitioned, resident_runs, sets, queue, config):
    """Have the host fetch the words of the sets of line `k` of the queue, and the notes of their resident runs."""
    set_index = entry(queue.set_index, k)
    prefetch_set(set_index, resident_runs, sets, config)
    if partitioned:
        prefetch_set(set_index + entry(queue.to_home, k), resident_runs, sets, config)


@inlined
def prefetch_set(set_index, resident_runs, sets, config):
    """Have the host fetch the words of a set, and the notes of its resident runs."""
    host_prefetch(sets, set_index * config.positions)
    if resident_runs:
        host_prefetch(sets, config.members_at + set_index * config.ways)
        host_prefetch(sets, config.sorted_at + set_index)


@inlined
def prefetch_slots(k, quick, partitioned, sets, queue, config):
    """Have the host fetch the slots that line `k` of the queue will need; the words of its sets are there."""
    set_index, key = entry(queue.set_index, k), entry(queue.key, k)
    prefetch_slot(set_index, key, quick, sets, config)
    if partitioned:
        prefetch_slot(set_index + entry(queue.to_home, k), key, quick, sets, config)


@inlined
def prefetch_slot(set_index, key, quick, sets, config):
    """Have the host fetch the slot of the line with `key` in a set, or of the way that would make room for it."""
    if quick:
        found = match(sets, set_index * LANES, key, TAG)
        at = lowest(found) if found else config.ways - 1
        host_prefetch(sets, slot_of(np.int64(sets[index(set_index * LANES + at)]), set_index, config))
    else:
        slots = config.slots_at + set_index * config.width
        host_prefetch(sets, slots)
        host_prefetch(sets, slots + LANES)
        host_prefetch(sets, notes_of(set_index, config))


@inlined
def sort_sets(k, partitioned, sets, queue, config):
    """Sort the sets of line `k` of the queue by age, just before they are looked up. No resident run is read in
    between."""
    set_index = entry(queue.set_index, k)
    sort_set(set_index, sets, config)
    if partitioned:
        sort_set(set_index + entry(queue.to_home, k), sets, config)


@inlined
def serve_lines(count, partitioned, sets, arrivals, out, queue, config, state, busy):
    """Read or write the first `count` lines of the queue. `partitioned` (whether there are several partitions) is a
    constant at each call, so that Numba compiles a version for either."""
    done, latest, slot_needed, quick = state.done, state.latest, 0, config.quick
    resident_runs = any_resident_run(sets, config)
    for k in range(-WORDS_AHEAD, count):
        if k + WORDS_AHEAD < count:
            prefetch_sets(k + WORDS_AHEAD, partitioned, resident_runs, sets, queue, config)
        if 0 <= k + SLOTS_AHEAD < count:
            if resident_runs:
                sort_sets(k + SLOTS_AHEAD, partitioned, sets, queue, config)
            if k - slot_needed < WORDS_AHEAD:
                prefetch_slots(k + SLOTS_AHEAD, quick, partitioned, sets, queue, config)
        if k < 0:
            continue
        request = entry(queue.request, k)
        mask, tensor = request & MASK, (request >> TENSOR) & 0xFF
        if request >= FIRST:
            if request & FIRST:
                state.last_end = -1
            if request & WRITES:
                slot_needed = k
                write_line(k, sets, arrivals, out, queue, config, state, busy)
                continue
        start = reserve(entry(queue.slice, k), population(mask), config, state, busy)
        latest = max(latest, start)
        if quick and request < FAR:
            found, slot_too = quick_read(
                k, 1, mask, tensor, start, partitioned, sets, arrivals, out, queue, config, state, busy
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
def split_groups(count, sets, queue, config):
    """Split the set groups of the first `count` lines of the queue."""
    for k in range(count):
        set_index = entry(queue.set_index, k)
        if config.replicate and entry(queue.request, k) & WRITES:
            for other in range(config.partitions):
                split(set_index % config.set_count + other * config.set_count, sets, config)
        else:
            split(set_index, sets, config)
            split(set_index + entry(queue.to_home, k), sets, config)


@compiled
def serve_queue(count, sets, arrivals, out, record, busy):
    """Read or write the first `count` lines of the queue."""
    config, state, queue = record.config, record.state, record.queue
    locate(count, queue, config, state)
    if any_lockstep(sets, config):
        split_groups(count, sets, queue, config)
    if config.partitions > 1:
        serve_lines(count, True, sets, arrivals, out, queue, config, state, busy)
    else:
        serve_lines(count, False, sets, arrivals, out, queue, config, state, busy)


@inlined
def enqueue(line, lines, request, full_request, k, sets, arrivals, out, record, busy):
    """Enter lines into the queue from `k` on, serving it whenever it is full; returns how many are left in it. The
    first line uses `request`, the others `full_request`."""
    queue = record.queue
    while lines:
        if k == QUEUE_LINES:
            serve_queue(k, sets, arrivals, out, record, busy)
            k = np.int64(0)
        some = min(lines, QUEUE_LINES - k)
        append_lines(line, some, full_request, k, queue)
        queue.request[index(k)] = request
        request = full_request
        line, lines, k = line + some, lines - some, k + some
    return k


@inlined
def all_lockstep(home, first, set_index, writes, sets, arrivals, config, state):
    """Whether all set groups that a block of lines touches are in lock-step."""
    size = config.set_count
    if not in_lockstep(first * size + set_index, sets, arrivals, config, state):
        return False
    if writes and config.replicate:
        for other in range(config.partitions):
            if other != first and not in_lockstep(other * size + set_index, sets, arrivals, config, state):
                return False
        return True
    return home == first or in_lockstep(home * size + set_index, sets, arrivals, config, state)


@compiled
def serve_blocks(begin, blocks, request, full_request, k, sets, arrivals, out, record, busy):
    """Serve each block of lines at once if its set groups are in lock-step; otherwise enter its lines into the queue.
    Returns how many lines are left in the queue. The first line uses `request`, the others `full_request`."""
    config, state, queue = record.config, record.state, record.queue
    block, writes = config.block_lines, full_request & WRITES
    for number in range(blocks):
        line = begin + number * block
        home, first, set_index, quotient = locate_line(line, config, state)
        at_once = all_lockstep(home, first, set_index, writes, sets, arrivals, config, state)
        if at_once and k:
            serve_queue(k, sets, arrivals, out, record, busy)
            k = np.int64(0)
            at_once = all_lockstep(home, first, set_index, writes, sets, arrivals, config, state)
        if at_once:
            enqueue_block(line, request, home, first, set_index, quotient, queue, config, state)
            at_once = serve_block(sets, arrivals, out, queue, config, state, busy)
        if not at_once:
            k = enqueue(line, block, request, full_request, k, sets, arrivals, out, record, busy)
        request = full_request
    return k


@inlined
def serve_resident(address, stride, size, rows, tensor, k, sets, arrivals, out, record, busy):
    """Read a run at once if it is resident or becomes so. Returns whether it was read, and how many lines are left in
    the queue, which has `k` now; it is served before."""
    config, state, queue = record.config, record.state, record.queue
    run_hash = run_hash_of(address, stride, size, rows, state)
    number = find_run(run_hash, address, stride, size, rows, sets, config, state)
    if not is_resident(number, sets, config) and not has_line(address >> config.line_bits, sets, config, state):
        return False, k
    if k:
        serve_queue(k, sets, arrivals, out, record, busy)
    if not is_resident(number, sets, config):
        number = register(number, run_hash, address, stride, size, rows, sets, arrivals, queue, config, state)
    if number:
        read_resident_run(number, tensor, sets, config, state, busy)
    return number > 0, np.int64(0)


@inlined
def serve_run(run, indices, repeat, k, sets, arrivals, out, record, busy):
    """Enter the lines of a run into the queue from `k` on, serving it whenever it is full; returns how many are
    left."""
    config, state, queue = record.config, record.state, record.queue
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
    if not writes and source < 0 and may_be_resident(address, stride, size, rows, sets, config):
        served, k = serve_resident(address, stride, size, rows, tensor, k, sets, arrivals, out, record, busy)
        if served:
            return k
    full_request, first = config.all_sectors | tensor << TENSOR | (WRITES if writes else 0), FIRST
    shape, same_shape = shape_of(address, address + size, config), stride & within == 0
    sectors, granules = 0, 0
    for i in range(rows):
        low = address + (indices[index(source + i)] if source >= 0 else i) * stride
        if not same_shape:
            shape = shape_of(low, low + size, config)
        lines, sectors_here, granules_here, before, after, begin, end = shape
        line = low >> config.line_bits
        if line + lines > config.line_limit:
            state.beyond = line + lines - 1
            continue
        sectors += sectors_here
        granules += granules_here
        request = full_request & ~before | begin | first
        first = 0
        block = config.block_lines
        if block > 1:
            # lines before the first block; a line that is requested in part belongs to no block
            head = min(lines, (-(line + (before | begin != 0)) & (block - 1)) + (before | begin != 0))
            blocks = max(0, lines - head - (after | end != 0)) >> config.block_bits
            if blocks:
                if head:
                    k = enqueue(line, head, request, full_request, k, sets, arrivals, out, record, busy)
                    request = full_request
                k = serve_blocks(line + head, blocks, request, full_request, k, sets, arrivals, out, record, busy)
                request = full_request
                head += blocks * block
                line, lines = line + head, lines - head
        if lines:
            k = enqueue(line, lines, request, full_request, k, sets, arrivals, out, record, busy)
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
    core,
    now,
    arrived,
    cores,
    caches,
    arrivals,
    out,
    records,
    busy,
):
    """Serve `count` runs from `first` on, requested at `now` (ps) by a core. The data of the request before arrived at
    `arrived`. The other arguments are arrays of `Cache`: `caches` is its `sets`.

    Returns the time of the last hit at the core, the longest wait for a slice, the number of runs for the level below
    in `out` (-1 if a line lies beyond the limit), and how many entries of `arrivals` wait for them.
    """
    record = records[0]
    state = record.state
    for wait in range(state.wait, state.next_wait):
        arrivals[wait] = max(arrivals[wait], tick(arrived))
    state.now = state.done = state.latest = now
    state.near, state.first_slice, sets = cores[core, 0], cores[core, 1], caches[cores[core, 2]]
    state.out = state.fetched = 0
    state.wait = state.next_wait
    arrivals[state.wait] = 0
    state.next_wait += 1
    k = np.int64(0)
    for r in range(first, first + count):
        k = serve_run(runs[r], indices, repeat, k, sets, arrivals, out, record, busy)
    if k:
        serve_queue(k, sets, arrivals, out, record, busy)
    if not state.fetched:
        state.next_wait = state.wait
    return state.done, state.latest - now, -1 if state.beyond else state.out, state.next_wait - state.wait
