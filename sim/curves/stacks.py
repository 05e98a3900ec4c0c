"""LRU stacks of cache sets. One pass over lines finds the position of each in its stack, and so the fewest ways in
which it would have been a hit (Mattson, Gecsei, Slutz and Traiger, IBM Systems Journal 9(2), 1970; per set: Hill and
Smith, IEEE Trans. Computers 38(12), 1989).

A stack is a stretch of `tags`, newest first; a touch moves a tag to the front and pushes the oldest one out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from memgrain.sim.native.address import fold, mix, scale
from memgrain.sim.native.host_prefetch import host_prefetch
from memgrain.sim.native.jit import compiled, inlined, threaded

SHALLOW, DEEP = 16, 64
"""Tags of a stack: either way whole vectors of the host."""
EMPTY = (1 << 16) - 1
"""A tag of 16 bits that no line has; of 32 bits, -1."""
BLOCK, AHEAD = 512, 16
"""Lines whose sets are computed together, and how many lines ahead the host fetches their stacks."""
SHARE_BITS = 7
"""Logarithm of the number of adjacent sets that belong to one thread, so that threads share no line of the host."""
QUEUE = BLOCK + 2 * AHEAD
"""Entries of a queue of lines; the host fetches the stacks of what lies behind the last line too."""
GRANULES, TENSOR, PARTITION, WRITES = 0xFF, 8, 16, 1 << 24
"""The bits of a request for a line: granules, the tensor's number, the number of the partition that the core sits
beside (those of all caches counted through), whether it is written."""
MAX_PARTITIONS = 256
"""Most partitions of all caches that `requests` can distinguish."""
SETS, FACTOR, SHIFT, FOLD_BITS, FOLD_MASK, PARTITIONS, REPLICATE, WAYS, PARTS, GEOMETRY = range(10)
"""The geometry of a cache, as int64: sets of a partition, how to divide by them, how lines are folded first,
partitions, whether they keep copies, ways, granules of a line."""
index = np.uint64
_LONG, _SHORT = ir.IntType(64), ir.IntType(32)


def _touch(lanes: int, moves: bool) -> Callable[..., int]:
    """The function that touches a stack of `lanes` tags, or, unless it `moves`, only finds a tag in it."""

    @intrinsic
    def touch(typing_context, tags, first, tag):
        signature = types.int64(tags, types.int64, types.int64)
        bits = tags.dtype.bitwidth
        word, vector = ir.IntType(bits), ir.VectorType(ir.IntType(bits), lanes)

        def generate(context, builder, _, arguments):
            def in_all_lanes(number):
                zeros = ir.Constant(ir.VectorType(_SHORT, lanes), [0] * lanes)
                low = builder.insert_element(unknown, builder.trunc(number, word), ir.Constant(_SHORT, 0))
                return builder.shuffle_vector(low, unknown, zeros)

            value, first, tag = arguments
            unknown = ir.Constant(vector, ir.Undefined)
            data = context.make_array(tags)(context, builder, value).data
            stack = builder.bitcast(builder.gep(data, [first]), vector.as_pointer())
            words, key = builder.load(stack, align=32), in_all_lanes(tag)
            equal = builder.icmp_signed("==", words, key)
            position, scale = _first(builder, equal, lanes, bits)
            if not moves:
                return builder.udiv(position, ir.Constant(_LONG, scale))
            one_on = ir.Constant(ir.VectorType(_SHORT, lanes), [lanes, *range(lanes - 1)])
            moved = builder.shuffle_vector(words, key, one_on)
            order = ir.Constant(vector, [scale * lane for lane in range(lanes)])
            before = builder.icmp_signed("<=", order, in_all_lanes(position))
            builder.store(builder.select(before, moved, words), stack, align=32)
            return builder.udiv(position, ir.Constant(_LONG, scale))

        return signature, generate

    return touch


def _first(builder: Any, equal: Any, lanes: int, bits: int) -> tuple[Any, int]:
    """The first lane that is set, or their number, times the scale that comes with it: a host without masks of 16
    lanes has masks of 32 bytes."""
    scale = 2 if (lanes, bits) == (16, 16) else 1
    number = ir.IntType(scale * lanes)
    if scale == 2:
        wide = builder.sext(equal, ir.VectorType(ir.IntType(16), lanes))
        halves = ir.VectorType(ir.IntType(8), 2 * lanes)
        equal = builder.icmp_signed("<", builder.bitcast(wide, halves), ir.Constant(halves, [0] * 2 * lanes))
    mask = builder.bitcast(equal, number)
    if number.width < _LONG.width:
        mask = builder.or_(builder.zext(mask, _LONG), ir.Constant(_LONG, 1 << number.width))
    return builder.cttz(mask, ir.Constant(ir.IntType(1), 0)), scale


def _touch_in_python(lanes: int, moves: bool) -> Callable[..., int]:
    def touch(tags, first, tag):
        stack = tags[int(first) : int(first) + lanes]
        found = np.flatnonzero(stack == tag)
        position = int(found[0]) if len(found) else lanes
        if moves:
            stack[1 : position + 1] = stack[: min(position, lanes - 1)].copy()
            stack[0] = tag
        return position

    return touch


_maker = _touch_in_python if config.DISABLE_JIT else _touch
touch_shallow, touch_deep, look_deep = _maker(SHALLOW, True), _maker(DEEP, True), _maker(DEEP, False)
"""`touch(tags, first, tag)`: moves `tag` to the front of the stack that begins at entry `first`, a multiple of 32 bytes
from the array's aligned begin; returns its position before, the number of tags if it was not there. `look_deep` leaves
it where it is."""


@inlined
def entry(i, array):
    """An entry of an array as int64."""
    return np.int64(array[index(i)])


@inlined
def enter(lines, start, stop, sets, factor, shift, depth, k, queue_tags, queue_stacks):
    """Enter lines into the queue from `k` on; returns the bits that any of their tags has. There is no branch in the
    loop, so that the host's vectors take many lines at a time."""
    seen = np.uint32(0)
    for i in range(stop - start):
        line = np.uint64(np.uint32(lines[index(start + i)]))
        tag = (line * factor) >> shift
        queue_tags[index(k + i)] = np.uint32(tag)
        queue_stacks[index(k + i)] = np.uint32((line - tag * sets) * depth)
        seen |= np.uint32(tag)
    return seen


@inlined
def keep_part(part, parts, depth_bits, k, count, queue_tags, queue_stacks):
    """Keep of `count` lines of the queue from `k` on those in one of `parts` parts of the sets; returns where the queue
    ends."""
    kept, shift = k, np.uint32(depth_bits + SHARE_BITS)
    for i in range(k, k + count):
        stack = queue_stacks[index(i)]
        queue_tags[index(kept)] = queue_tags[index(i)]
        queue_stacks[index(kept)] = stack
        kept += np.int64(((stack >> shift) & (parts - np.uint32(1))) == part)
    return kept


@inlined
def walk(deep, lines, sets, factor, shift, part, parts, tags, queue_tags, queue_stacks, counts):
    """Touch lines and count at which positions they are; `deep` is a constant where this is called."""
    held, start, total, seen = 0, 0, len(lines), np.uint32(0)
    depth_bits = 6 if deep else 4
    while start < total:
        stop = min(start + BLOCK, total)
        depth = np.uint64(1 << depth_bits)
        seen |= enter(lines, start, stop, sets, factor, shift, depth, held, queue_tags, queue_stacks)
        if parts == 1:
            held += stop - start
        else:
            held = keep_part(part, parts, depth_bits, held, stop - start, queue_tags, queue_stacks)
        start = stop
        ready = held if start == total else max(held - AHEAD, 0)
        for i in range(ready):
            soon = entry(i + AHEAD, queue_stacks)
            stack, tag = entry(i, queue_stacks), entry(i, queue_tags)
            host_prefetch(tags, soon)
            if deep:
                host_prefetch(tags, soon + DEEP // 2)
                counts[index(touch_deep(tags, stack, tag))] += 1
            else:
                counts[index(touch_shallow(tags, stack, tag))] += 1
        held -= ready
        for i in range(held):
            queue_tags[index(i)] = queue_tags[index(ready + i)]
            queue_stacks[index(i)] = queue_stacks[index(ready + i)]
    return seen


@threaded
def walk_shallow(lines, sets, factor, shift, part, parts, tags, queue_tags, queue_stacks, counts):
    """`walk` on stacks of SHALLOW tags. Counts the lines whose set is in part number `part` of `parts` (a power of
    two); these two are uint32, `sets`, `factor` and `shift` uint64. Returns the bits that any tag has."""
    return walk(False, lines, sets, factor, shift, part, parts, tags, queue_tags, queue_stacks, counts)


@threaded
def walk_deep(lines, sets, factor, shift, part, parts, tags, queue_tags, queue_stacks, counts):
    """`walk` on stacks of DEEP tags."""
    return walk(True, lines, sets, factor, shift, part, parts, tags, queue_tags, queue_stacks, counts)


@compiled
def spread(runs, indices, first, count, repeat, partition, line_bits, granule_bits, k, lines, requests):
    """Enter the lines that `count` runs from `first` on request into `lines` and `requests` from `k` on, in the order
    in which a cache looks them up. Returns where they end; -1 if a line's number has more than 31 bits."""
    within, beyond = (1 << line_bits) - 1, False
    for r in range(first, first + count):
        run = runs[r]
        address, stride, size = np.int64(run["base"]), np.int64(run["stride"]), np.int64(run["bytes"])
        source, rows = np.int64(run["index"]), np.int64(run["count"])
        if source < 0:
            address += repeat * np.int64(run["advance"])
        else:
            source += repeat * np.int64(run["advance"])
        if source < 0 and stride == size and (address | size) & within == 0:
            size, rows = size * rows, np.int64(1)  # whole lines without a gap
        note = np.int64(run["tensor"]) << TENSOR | partition << PARTITION | (WRITES if run["op"] == 1 else 0)
        for i in range(rows):
            low = address + (indices[index(source + i)] if source >= 0 else i) * stride
            high = low + size
            beyond |= (high >> line_bits) >> 31 != 0
            for line in range(low >> line_bits, ((high - 1) >> line_bits) + 1):
                begin = max(low - (line << line_bits), 0) >> granule_bits
                end = min(high - 1 - (line << line_bits), within) >> granule_bits
                lines[index(k)] = line
                requests[index(k)] = note | (2 << end) - (1 << begin)
                k += 1
    return -1 if beyond else k


@inlined
def locate(line, requests, geometry):
    """Of an access: its set within a partition, its tag, the partition that is looked up first, its home."""
    number = fold(line, geometry[FOLD_BITS], geometry[FOLD_MASK])
    tag = (number * geometry[FACTOR]) >> geometry[SHIFT]
    near, partitions = (requests >> PARTITION) & 0xFF, geometry[PARTITIONS]
    home = near - near % partitions + scale(mix(line >> 5), partitions)
    first = near if geometry[REPLICATE] and requests & WRITES == 0 else home
    return number - tag * geometry[SETS], tag, first, home


@inlined
def expect(set_index, line, partition, room, geometry, tags, depths):
    """Have the host fetch the stack and the depths of a line in a partition."""
    stack = (partition * geometry[SETS] + set_index) * DEEP
    host_prefetch(tags, stack)
    host_prefetch(tags, stack + DEEP // 2)
    host_prefetch(depths, (partition * room + line) * geometry[PARTS])


@inlined
def grow_old(at, position, granules, depths):
    """A line was found at `position`: what was fetched of it before is there only in caches that deep."""
    for granule in range(granules):
        depths[index(at + granule)] = max(depths[index(at + granule)], np.uint8(position))


@inlined
def write(line, requests, set_index, tag, home, room, geometry, tags, depths):
    """Write a line in its home partition; copies in other partitions become invalid."""
    granules, partitions = geometry[PARTS], geometry[PARTITIONS]
    at = (home * room + line) * granules
    grow_old(at, touch_deep(tags, (home * geometry[SETS] + set_index) * DEEP, tag), granules, depths)
    for partition in range(home - home % partitions, home - home % partitions + partitions):
        for granule in range(granules):
            if requests >> granule & 1:
                depths[index((partition * room + line) * granules + granule)] = 0 if partition == home else DEEP


@inlined
def read(line, requests, set_index, tag, first, home, room, geometry, tags, depths, counts):
    """Read a line: count in how few ways each granule is found, in the partition looked up first or at home."""
    granules, ways, tensor = geometry[PARTS], geometry[WAYS], (requests >> TENSOR) & 0xFF
    at, home_at, far, missing = (first * room + line) * granules, (home * room + line) * granules, DEEP, False
    grow_old(at, touch_deep(tags, (first * geometry[SETS] + set_index) * DEEP, tag), granules, depths)
    if home != first:
        for granule in range(granules):
            missing |= (requests >> granule & 1) != 0 and depths[index(at + granule)] >= ways
        stack = (home * geometry[SETS] + set_index) * DEEP
        if missing:
            grow_old(home_at, touch_deep(tags, stack, tag), granules, depths)
            far = 0
        else:
            far = look_deep(tags, stack, tag)
    for granule in range(granules):
        if requests >> granule & 1:
            depth = entry(at + granule, depths)
            best = depth
            if home != first:
                best = min(depth, max(entry(home_at + granule, depths), far))
                if depth >= ways:
                    depths[index(home_at + granule)] = 0
            counts[index(tensor), index(best)] += 1
            depths[index(at + granule)] = 0


@threaded
def access(count, lines, requests, part, parts, geometry, tags, depths, counts):
    """Access the first `count` lines whose sets are in part number `part` of `parts` (a power of two): read granules
    are counted by tensor and by the ways, less one, in which they are hits.

    `depths` holds, by partition, line and granule, the deepest position of the line since the granule was fetched. A
    miss in the partition that is looked up first goes on to the home partition, and moves the line to the front there,
    if it is a miss in the chip's own ways. At the chip's own ways, the counts are therefore those of the simulator.
    """
    room = len(depths) // (geometry[PARTS] * (len(tags) // (geometry[SETS] * DEEP)))
    for i in range(count):
        soon = min(i + AHEAD, count - 1)
        line, bits = entry(soon, lines), entry(soon, requests)
        set_index, tag, first, home = locate(line, bits, geometry)
        expect(set_index, line, first, room, geometry, tags, depths)
        if home != first:
            expect(set_index, line, home, room, geometry, tags, depths)
        line, bits = entry(i, lines), entry(i, requests)
        set_index, tag, first, home = locate(line, bits, geometry)
        if (set_index >> SHARE_BITS) & (parts - 1) != part:
            continue
        if bits & WRITES:
            write(line, bits, set_index, tag, home, room, geometry, tags, depths)
        else:
            read(line, bits, set_index, tag, first, home, room, geometry, tags, depths, counts)
