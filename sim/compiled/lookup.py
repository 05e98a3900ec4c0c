"""The lookup loop: runs against a sectored set-associative cache in partitions; misses and write-backs come out as
runs.

A *request* is the part of an access that lies in one fill granule; hits and misses count requests, so that fills are
misses and bytes from below are misses x granule. Sector lookups count 32-byte (or whatever the sector is) pieces over
both partitions, as the hardware counters of GPUs do. See `sim.cache.Cache` for the arrays.
"""

import numpy as np

from sim.compiled.address import mix, scale, set_number
from sim.compiled.jit import compiled, inlined
from sim.compiled.prefetch import prefetch
from sim.compiled.replacement import FILL, FILLED, HEAD, HIT, touch, victim

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
    WIDTH,
    GEOMETRY,
) = range(22)
# moving: scalars that the loop carries
SEED, OUT, LAST_READ, FILLS, DONE, QUEUE, MOVING = range(7)
# what the last part of a set keeps of each way: valid and dirty sectors as bits, arrival of its data in ticks, tensor
VALID, DIRTY, READY, OWNER, WAY = range(5)
HOST_LINE, AHEAD = 16, 4
"""Entries of `sets` in a line of the host's cache, and how many pieces ahead (twice as many lines) it is asked for."""
TICK_BITS, LATEST = 10, 2**31 - 1
"""Arrival times are kept in 1,024 ps, rounded up: 2.2 s fit 32 bits, and a set of 16 ways into seven host lines."""
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
def find(sets, base, ways, line):
    """The way of the set at `base` that holds `line`, or -1; all ways are compared, so that it can be done at once."""
    tag, tags, found = np.int32(line), base + HEAD, -1
    for way in range(ways):
        if sets[tags + way] == tag:
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
def insert(line, base, tensor, g, sets, out, moving, counts):
    """Give `line` a way of the set at `base`, evicting if it is full; returns its slot, with no sector valid."""
    ways = g[WAYS]
    way = np.int64(sets[base + FILLED])
    if way < ways:
        sets[base + FILLED] += 1
        slot = base + HEAD + 2 * ways + WAY * way
    else:
        way = victim(g[POLICY], sets, base, ways, moving)
        slot = base + HEAD + 2 * ways + WAY * way
        old, bits = sets[slot + OWNER], np.int64(sets[slot + DIRTY])
        counts[old, EVICTIONS] += 1
        if bits != 0:
            gone = np.int64(sets[base + HEAD + way])
            emit_granules(gone, granule_bits(bits, g), 1, old, g, out, moving, counts, WRITEBACKS)
            sets[slot + DIRTY] = 0
    sets[base + HEAD + way] = line
    sets[slot + VALID] = 0
    sets[slot + OWNER] = tensor
    sets[slot + READY] = 0
    touch(g[POLICY], sets, base, way, ways, FILL)
    return slot


@inlined
def slice_wait(line, partition, sectors, now, g, slice_free):
    """Reserve the slice that holds `line` for so many sectors; returns when it begins to serve them."""
    i = partition * g[PARTITION_SLICES] + scale(mix(line), g[PARTITION_SLICES])
    start = max(slice_free[i], now)
    slice_free[i] = start + sectors * g[SECTOR_TIME]
    return start


@inlined
def fetch(line, slot, mask, tensor, g, sets, out, moving, counts, slots):
    """Fetch the granules in which a sector of `mask` is not valid; returns the sectors that come in."""
    bits = granule_bits(mask & ~np.int64(sets[slot + VALID]), g)
    emit_granules(line, bits, 0, tensor, g, out, moving, counts, MISSES)
    fetched = bits * ((1 << g[PER_GRANULE]) - 1)
    sets[slot + VALID] |= fetched
    slots[moving[FILLS]] = slot
    moving[FILLS] += 1
    return fetched


@inlined
def look(line, partition, number, mask, tensor, latency, now, g, sets, slice_free, out, moving, counts):
    """Look `mask` of a line up in one partition; returns its slot (given one if need be), the sectors there, and when
    these are at the core."""
    ways = g[WAYS]
    base = (partition * g[SETS] + number) * g[WIDTH]
    wanted = population(mask)
    counts[tensor, SECTOR_LOOKUPS] += wanted
    start = slice_wait(line, partition, wanted, now, g, slice_free)
    moving[QUEUE] = max(moving[QUEUE], start - now)
    way = find(sets, base, ways, line)
    have, done = 0, now
    if way >= 0:
        slot = base + HEAD + 2 * ways + WAY * way
        have = np.int64(sets[slot + VALID]) & mask
        touch(g[POLICY], sets, base, way, ways, HIT)
        if have:
            done = max(start + latency, np.int64(sets[slot + READY]) << TICK_BITS)
            moving[DONE] = max(moving[DONE], done)
            counts[tensor, SECTOR_HITS] += population(have)
    else:
        slot = insert(line, base, tensor, g, sets, out, moving, counts)
    return slot, have, done


@inlined
def read_line(line, mask, tensor, near, now, g, sets, slice_free, out, moving, counts, slots):
    """Read the sectors of `mask` of a line by a core that sits beside partition `near`."""
    number = set_number(line, g[SETS], g[HASHED])
    home = scale(mix(line >> 5), g[PARTITIONS])
    first = near if g[REPLICATE] else home
    latency = g[LATENCY] if first == near else g[FAR_LATENCY]
    slot, have, _ = look(line, first, number, mask, tensor, latency, now, g, sets, slice_free, out, moving, counts)
    missing = mask & ~have
    lacking = population(granule_bits(missing, g))
    counts[tensor, READ_HITS if first == near else FAR_HITS] += population(granule_bits(mask, g)) - lacking
    if missing:
        if first == home:
            fetch(line, slot, missing, tensor, g, sets, out, moving, counts, slots)
        else:
            # the reader's partition asks the home partition, and keeps a copy of what comes
            source, have, done = look(
                line, home, number, missing, tensor, g[FAR_LATENCY], now, g, sets, slice_free, out, moving, counts
            )
            absent = missing & ~have
            counts[tensor, FAR_HITS] += lacking - population(granule_bits(absent, g))
            if have:
                sets[slot + READY] = max(np.int64(sets[slot + READY]), min(tick(done), LATEST))
            if absent:
                have |= fetch(line, source, absent, tensor, g, sets, out, moving, counts, slots)
                slots[moving[FILLS]] = slot
                moving[FILLS] += 1
            sets[slot + VALID] |= have


@inlined
def tick(time):
    """A time in ps as arrival times are kept."""
    return (time + (1 << TICK_BITS) - 1) >> TICK_BITS


@inlined
def write_line(line, whole, part, tensor, near, now, g, sets, slice_free, out, moving, counts, slots):
    """Write a line's sectors: those of `whole` completely, those of `part` (at the ends of a piece) in part."""
    ways = g[WAYS]
    mask = whole | part
    number = set_number(line, g[SETS], g[HASHED])
    home = scale(mix(line >> 5), g[PARTITIONS])
    if g[REPLICATE]:
        for other in range(g[PARTITIONS]):
            there = (other * g[SETS] + number) * g[WIDTH]
            copy = find(sets, there, ways, line)
            if other != home and copy >= 0:
                sets[there + HEAD + 2 * ways + WAY * copy + VALID] &= ~mask
    base = (home * g[SETS] + number) * g[WIDTH]
    start = slice_wait(line, home, population(mask), now, g, slice_free)
    moving[QUEUE] = max(moving[QUEUE], start - now)
    moving[DONE] = max(moving[DONE], start + (g[LATENCY] if home == near else g[FAR_LATENCY]))
    way = find(sets, base, ways, line)
    slot, lacking = -1, population(granule_bits(mask, g))
    touched = lacking
    if way >= 0:
        slot = base + HEAD + 2 * ways + WAY * way
        lacking = population(granule_bits(mask & ~np.int64(sets[slot + VALID]), g))
        touch(g[POLICY], sets, base, way, ways, HIT)
    elif g[WRITE_ALLOCATE]:
        slot = insert(line, base, tensor, g, sets, out, moving, counts)
    counts[tensor, WRITE_HITS] += touched - lacking
    counts[tensor, WRITE_MISSES] += lacking
    if slot >= 0:
        sets[slot + VALID] |= whole
        sets[slot + OWNER] = tensor
        if part & ~np.int64(sets[slot + VALID]):
            fetch(line, slot, part, tensor, g, sets, out, moving, counts, slots)
        sets[slot + DIRTY] |= mask
    if slot < 0 or not g[WRITE_BACK]:
        emit_granules(line, granule_bits(mask, g), 1, tensor, g, out, moving, counts, WRITEBACKS)
        if slot >= 0:
            sets[slot + DIRTY] &= ~mask


@inlined
def expect(line, near, g, sets):
    """Have the host fetch what it will need for a line: its set in the reader's partition and in its home."""
    number = set_number(line, g[SETS], g[HASHED])
    home = scale(mix(line >> 5), g[PARTITIONS])
    base = (home * g[SETS] + number) * g[WIDTH]
    for i in range(0, g[WIDTH], HOST_LINE):
        prefetch(sets, base + i)
    if g[REPLICATE] and near != home:
        base = (near * g[SETS] + number) * g[WIDTH]
        for i in range(0, g[WIDTH], HOST_LINE):
            prefetch(sets, base + i)


@compiled
def serve_runs(runs, indices, first, count, repeat, near, now, g, sets, slice_free, out, moving, counts, slots):
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
        rows = np.int64(run.count)
        for i in range(rows):
            if i + AHEAD < rows:
                later = base + (indices[index + i + AHEAD] if index >= 0 else i + AHEAD) * stride
                expect(later >> line_bits, near, g, sets)
                if (later + size - 1) >> line_bits != later >> line_bits:
                    expect((later + size - 1) >> line_bits, near, g, sets)
            low = base + (indices[index + i] if index >= 0 else i) * stride
            high = low + size
            last = (high - 1) >> line_bits
            for line in range(low >> line_bits, last + 1):
                if line + 2 * AHEAD < last:
                    expect(line + 2 * AHEAD, near, g, sets)
                start = max(low - (line << line_bits), 0)
                stop = min(high - (line << line_bits), line_bytes)
                mask = (1 << (((stop - 1) >> sector_bits) + 1)) - (1 << (start >> sector_bits))
                if writes:
                    whole = 0
                    first_whole, after_whole = (start + sector - 1) >> sector_bits, stop >> sector_bits
                    if after_whole > first_whole:
                        whole = (1 << after_whole) - (1 << first_whole)
                    write_line(
                        line, whole, mask & ~whole, tensor, near, now, g, sets, slice_free, out, moving, counts, slots
                    )
                else:
                    read_line(line, mask, tensor, near, now, g, sets, slice_free, out, moving, counts, slots)


@compiled
def lines_of(runs, first, count, line_bytes):
    """Most lines that `count` runs from `first` on can touch."""
    lines = 0
    for r in range(first, first + count):
        lines += np.int64(runs[r].count) * ((np.int64(runs[r].bytes) + line_bytes - 2) // line_bytes + 1)
    return lines


@compiled
def set_ready(slots, count, sets, done):
    """Note when the data of the slots filled last will have arrived: who hits them earlier waits."""
    then = np.int32(min(tick(done), LATEST))
    for i in range(count):
        slot = slots[i]
        sets[slot + READY] = max(sets[slot + READY], then)
