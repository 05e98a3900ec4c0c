"""The lookup loop: runs against a sectored set-associative cache in partitions; misses and write-backs come out as
runs.

A *request* is the part of an access that lies in one fill granule; hits and misses count requests, so that fills are
misses and bytes from below are misses x granule. Sector lookups count 32-byte (or whatever the sector is) pieces over
both partitions, as the hardware counters of GPUs do. See `sim.cache.Cache` for the arrays.
"""

import numpy as np

from sim.compiled.address import mix, scale, set_number
from sim.compiled.jit import compiled, inlined
from sim.compiled.replacement import FILL, HIT, touch, victim

# geometry: one int64 each
(
    LINE,
    SECTOR,
    GRANULE,
    SETS,
    WAYS,
    POLICY,
    HASHED,
    PARTITIONS,
    REPLICATE,
    WRITE_BACK,
    WRITE_ALLOCATE,
    SLICES,
    SECTOR_TIME,
    LATENCY,
    FAR_LATENCY,
    PER_GRANULE,
    GRANULE_STARTS,
    LINE_BITS,
    SECTOR_BITS,
    PARTITION_SLICES,
    GEOMETRY,
) = range(21)
# moving: scalars that the loop carries
SEED, CLOCK, OUT, LAST_READ, FILLS, DONE, QUEUE, MOVING = range(8)
# state: columns of one row a line: valid and dirty sectors as bits, when its data arrives (ps), tensor that it belongs
# to
VALID, DIRTY, READY, OWNER, STATE = range(5)
# counts: columns of one row a tensor
(
    READ_HITS,
    FAR_HITS,
    MISSES,
    WRITE_HITS,
    WRITE_MISSES,
    WRITEBACKS,
    EVICTIONS,
    SECTOR_LOOKUPS,
    SECTOR_HITS,
    READ_BYTES,
    WRITE_BYTES,
    COUNTS,
) = range(12)


@inlined
def emit(out, moving, address, size, op, tensor):
    """Append one run to `out`, or lengthen the last read of the same input run if the new one follows on it."""
    last = moving[LAST_READ]
    if op == 0 and last >= 0 and np.int64(out[last].base) + np.int64(out[last].bytes) == address:
        out[last].bytes += np.uint32(size)
        return
    i = moving[OUT]
    out[i].base = np.uint64(address)
    out[i].stride = 0
    out[i].count = 1
    out[i].bytes = np.uint32(size)
    out[i].index = -1
    out[i].advance = 0
    out[i].op = np.uint8(op)
    out[i].tensor = np.uint8(tensor)
    moving[OUT] = i + 1
    if op == 0:
        moving[LAST_READ] = i


@inlined
def find(tags, base, ways, line):
    """The way that holds `line`, or -1; all ways are compared, so that the compiler can do it at once."""
    found = -1
    for way in range(ways):
        if tags[base + way] == line:
            found = way
    return found


@inlined
def population(mask):
    """Number of set bits among 32 (the usual divide and conquer: Warren, Hacker's Delight, 5-1)."""
    mask -= (mask >> 1) & 0x55555555
    mask = (mask & 0x33333333) + ((mask >> 2) & 0x33333333)
    mask = (mask + (mask >> 4)) & 0x0F0F0F0F
    return (mask * 0x01010101 >> 24) & 0xFF


@inlined
def granule_bits(mask, g):
    """One bit, that of its first sector, for each granule that `mask` has a sector of."""
    bits = mask
    for i in range(1, g[PER_GRANULE]):
        bits |= mask >> i
    return bits & g[GRANULE_STARTS]


@inlined
def emit_granules(line, bits, op, tensor, g, out, moving, counts, column):
    """Send the granules of `bits` (one bit each, see `granule_bits`) down, neighbours as one run, and count them."""
    if bits == 0:
        return
    counts[tensor, column] += population(bits)
    per, size = g[PER_GRANULE], g[GRANULE]
    address = line * g[LINE]
    if bits == g[GRANULE_STARTS]:
        emit(out, moving, address, g[LINE], op, tensor)
        return
    while bits:
        length = 0
        while bits & 1 == 0:
            bits >>= per
            address += size
        while bits & 1:
            bits >>= per
            length += size
        emit(out, moving, address, length, op, tensor)
        address += length


@inlined
def insert(line, group, tensor, g, tags, state, note, tree, filled, out, moving, counts):
    """Give `line` a way of its set, evicting if the set is full; returns its slot, with no sector valid."""
    ways = g[WAYS]
    base = group * ways
    way = filled[group]
    if way < ways:
        filled[group] = way + 1
        slot = base + way
    else:
        way = victim(g[POLICY], note, tree, base, group, ways, moving)
        slot = base + way
        old = state[slot, OWNER]
        counts[old, EVICTIONS] += 1
        if state[slot, DIRTY] != 0:
            emit_granules(tags[slot], granule_bits(state[slot, DIRTY], g), 1, old, g, out, moving, counts, WRITEBACKS)
            state[slot, DIRTY] = 0
    tags[slot] = line
    state[slot, VALID] = 0
    state[slot, OWNER] = tensor
    state[slot, READY] = 0
    touch(g[POLICY], note, tree, base, group, way, ways, moving[CLOCK], FILL)
    return slot


@inlined
def slice_wait(line, partition, sectors, now, g, slice_free):
    """Reserve the slice that holds `line` for so many sectors; returns when it begins to serve them."""
    i = partition * g[PARTITION_SLICES] + scale(mix(line), g[PARTITION_SLICES])
    start = max(slice_free[i], now)
    slice_free[i] = start + sectors * g[SECTOR_TIME]
    return start


@inlined
def fetch(line, slot, mask, tensor, g, state, out, moving, counts, slots):
    """Fetch the granules in which a sector of `mask` is not valid; returns the sectors that come in."""
    bits = granule_bits(mask & ~state[slot, VALID], g)
    emit_granules(line, bits, 0, tensor, g, out, moving, counts, MISSES)
    fetched = bits * ((1 << g[PER_GRANULE]) - 1)
    state[slot, VALID] |= fetched
    slots[moving[FILLS]] = slot
    moving[FILLS] += 1
    return fetched


@inlined
def read_line(
    line, mask, tensor, near, now, g, tags, state, note, tree, filled, slice_free, out, moving, counts, slots
):
    """Read the sectors of `mask` of a line by a core that sits beside partition `near`."""
    ways, sets = g[WAYS], g[SETS]
    moving[CLOCK] += 1
    number = set_number(line, sets, g[HASHED])
    home = scale(mix(line >> 5), g[PARTITIONS])
    first = near if g[REPLICATE] else home
    latency = g[LATENCY] if first == near else g[FAR_LATENCY]
    group = first * sets + number
    base = group * ways
    wanted = population(mask)
    counts[tensor, SECTOR_LOOKUPS] += wanted
    start = slice_wait(line, first, wanted, now, g, slice_free)
    moving[QUEUE] = max(moving[QUEUE], start - now)
    way = find(tags, base, ways, line)
    have = 0
    if way >= 0:
        slot = base + way
        have = state[slot, VALID] & mask
        touch(g[POLICY], note, tree, base, group, way, ways, moving[CLOCK], HIT)
        if have:
            moving[DONE] = max(moving[DONE], start + latency, state[slot, READY])
    else:
        slot = insert(line, group, tensor, g, tags, state, note, tree, filled, out, moving, counts)
    counts[tensor, SECTOR_HITS] += population(have)
    missing = mask & ~have
    lacking = population(granule_bits(missing, g))
    counts[tensor, READ_HITS if first == near else FAR_HITS] += population(granule_bits(mask, g)) - lacking
    if missing == 0:
        return
    if first == home:
        fetch(line, slot, missing, tensor, g, state, out, moving, counts, slots)
        return
    # the reader's partition asks the home partition, and keeps a copy of what comes
    group = home * sets + number
    base = group * ways
    counts[tensor, SECTOR_LOOKUPS] += population(missing)
    start = slice_wait(line, home, population(missing), now, g, slice_free)
    moving[QUEUE] = max(moving[QUEUE], start - now)
    way = find(tags, base, ways, line)
    have = 0
    if way >= 0:
        source = base + way
        have = state[source, VALID] & missing
        touch(g[POLICY], note, tree, base, group, way, ways, moving[CLOCK], HIT)
        if have:
            done = max(start + g[FAR_LATENCY], state[source, READY])
            moving[DONE] = max(moving[DONE], done)
            state[slot, READY] = max(state[slot, READY], done)
    else:
        source = insert(line, group, tensor, g, tags, state, note, tree, filled, out, moving, counts)
    counts[tensor, SECTOR_HITS] += population(have)
    absent = missing & ~have
    counts[tensor, FAR_HITS] += lacking - population(granule_bits(absent, g))
    fetched = 0
    if absent:
        fetched = fetch(line, source, absent, tensor, g, state, out, moving, counts, slots)
        slots[moving[FILLS]] = slot
        moving[FILLS] += 1
    state[slot, VALID] |= have | fetched


@inlined
def write_line(
    line, whole, part, tensor, near, now, g, tags, state, note, tree, filled, slice_free, out, moving, counts, slots
):
    """Write a line's sectors: those of `whole` completely, those of `part` (at the ends of a piece) in part."""
    ways, sets = g[WAYS], g[SETS]
    moving[CLOCK] += 1
    mask = whole | part
    number = set_number(line, sets, g[HASHED])
    home = scale(mix(line >> 5), g[PARTITIONS])
    if g[REPLICATE]:
        for other in range(g[PARTITIONS]):
            copy = find(tags, (other * sets + number) * ways, ways, line)
            if other != home and copy >= 0:
                state[(other * sets + number) * ways + copy, VALID] &= ~mask
    group = home * sets + number
    base = group * ways
    start = slice_wait(line, home, population(mask), now, g, slice_free)
    moving[QUEUE] = max(moving[QUEUE], start - now)
    moving[DONE] = max(moving[DONE], start + (g[LATENCY] if home == near else g[FAR_LATENCY]))
    way = find(tags, base, ways, line)
    touched = population(granule_bits(mask, g))
    if way >= 0:
        slot = base + way
        lacking = population(granule_bits(mask & ~state[slot, VALID], g))
        touch(g[POLICY], note, tree, base, group, way, ways, moving[CLOCK], HIT)
    elif g[WRITE_ALLOCATE]:
        slot = insert(line, group, tensor, g, tags, state, note, tree, filled, out, moving, counts)
        lacking = touched
    else:
        slot = -1
        lacking = touched
    counts[tensor, WRITE_HITS] += touched - lacking
    counts[tensor, WRITE_MISSES] += lacking
    if slot >= 0:
        state[slot, VALID] |= whole
        state[slot, OWNER] = tensor
        if part & ~state[slot, VALID]:
            fetch(line, slot, part, tensor, g, state, out, moving, counts, slots)
        state[slot, DIRTY] |= mask
    if slot < 0 or not g[WRITE_BACK]:
        emit_granules(line, granule_bits(mask, g), 1, tensor, g, out, moving, counts, WRITEBACKS)
        if slot >= 0:
            state[slot, DIRTY] &= ~mask


@compiled
def serve_runs(
    runs,
    indices,
    first,
    count,
    repeat,
    near,
    now,
    g,
    tags,
    state,
    note,
    tree,
    filled,
    slice_free,
    out,
    moving,
    counts,
    slots,
):
    """Serve `count` runs from `first` on; leaves the time of the last hit in `moving[DONE]` and the runs for below in
    `out`."""
    line_bytes, line_bits, sector, sector_bits = g[LINE], g[LINE_BITS], g[SECTOR], g[SECTOR_BITS]
    moving[OUT] = 0
    moving[FILLS] = 0
    moving[DONE] = now
    moving[QUEUE] = 0
    for r in range(first, first + count):
        run = runs[r]
        base, stride, size = np.int64(run.base), np.int64(run.stride), np.int64(run.bytes)
        index, tensor, writes = np.int64(run.index), np.int64(run.tensor), run.op == 1
        if index < 0:
            base += repeat * np.int64(run.advance)
        else:
            index += repeat * np.int64(run.advance)
        moving[LAST_READ] = -1
        counts[tensor, WRITE_BYTES if writes else READ_BYTES] += size * np.int64(run.count)
        for i in range(np.int64(run.count)):
            low = base + (indices[index + i] if index >= 0 else i) * stride
            high = low + size
            for line in range(low >> line_bits, ((high - 1) >> line_bits) + 1):
                start = max(low - (line << line_bits), 0)
                stop = min(high - (line << line_bits), line_bytes)
                mask = (1 << (((stop - 1) >> sector_bits) + 1)) - (1 << (start >> sector_bits))
                if writes:
                    whole = 0
                    first_whole, after_whole = (start + sector - 1) >> sector_bits, stop >> sector_bits
                    if after_whole > first_whole:
                        whole = (1 << after_whole) - (1 << first_whole)
                    write_line(
                        line,
                        whole,
                        mask & ~whole,
                        tensor,
                        near,
                        now,
                        g,
                        tags,
                        state,
                        note,
                        tree,
                        filled,
                        slice_free,
                        out,
                        moving,
                        counts,
                        slots,
                    )
                else:
                    read_line(
                        line,
                        mask,
                        tensor,
                        near,
                        now,
                        g,
                        tags,
                        state,
                        note,
                        tree,
                        filled,
                        slice_free,
                        out,
                        moving,
                        counts,
                        slots,
                    )


@compiled
def lines_of(runs, first, count, line_bytes):
    """Most lines that `count` runs from `first` on can touch."""
    lines = 0
    for r in range(first, first + count):
        lines += np.int64(runs[r].count) * ((np.int64(runs[r].bytes) + line_bytes - 2) // line_bytes + 1)
    return lines


@compiled
def set_ready(slots, count, state, done):
    """Note when the data of the slots filled last will have arrived: who hits them earlier waits."""
    for i in range(count):
        slot = slots[i]
        state[slot, READY] = max(state[slot, READY], done)
