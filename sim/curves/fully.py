"""Fully associative partitions of one size: what reads would fetch if no two lines competed for the same set.

A partition is a list of lines, newest first: `before` and `after` link the neighbours of each line. Entry `lines` of
each partition's stretch is its end; the newest line is `after` it and the oldest `before` it. Reads and writes are as
in `memgrain.sim.cache.lookup`: a partition looks into a line's home for what it lacks, and keeps a copy.
"""

from memgrain.sim.curves.stacks import GRANULES, PARTITION, TENSOR, WRITES, entry, index
from memgrain.sim.native.address import mix, scale
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import population

PARTITIONS, REPLICATE, ROOM, LINES, GEOMETRY = range(5)
"""Partitions, whether they keep copies, lines that one holds, distinct lines."""
ABSENT = -1
"""The entry in `after` of a line that its partition does not hold."""


@inlined
def unlink(node, before, after):
    """Take a line out of its list."""
    newer, older = entry(node, before), entry(node, after)
    after[index(newer)], before[index(older)] = older, newer


@inlined
def link(node, end, before, after):
    """Make a line the newest of the list with this end."""
    newest = entry(end, after)
    after[index(node)], before[index(node)] = newest, end
    after[index(end)], before[index(newest)] = node, node


@inlined
def touch(line, partition, geometry, before, after, valid, held):
    """Make a line the newest of a partition, replacing the oldest if it is full; returns its node."""
    base = partition * (geometry[LINES] + 1)
    node, end = base + line, base + geometry[LINES]
    if entry(node, after) != ABSENT:
        unlink(node, before, after)
    elif held[partition] < geometry[ROOM]:
        held[partition] += 1
    else:
        oldest = entry(end, before)
        unlink(oldest, before, after)
        after[index(oldest)], valid[index(oldest)] = ABSENT, 0
    link(node, end, before, after)
    return node


@inlined
def write(line, requests, home, geometry, before, after, valid, held):
    """Write a line at home; the copies of these granules become invalid."""
    for partition in range(geometry[PARTITIONS]):
        node = partition * (geometry[LINES] + 1) + line
        if partition != home:
            valid[index(node)] &= ~requests
    valid[index(touch(line, home, geometry, before, after, valid, held))] |= requests


@inlined
def read(line, requests, first, home, geometry, before, after, valid, held):
    """Read a line; returns the granules that neither partition had."""
    node = touch(line, first, geometry, before, after, valid, held)
    missing = requests & ~entry(node, valid)
    valid[index(node)] |= requests
    if missing and home != first:
        node = touch(line, home, geometry, before, after, valid, held)
        lacking = missing & ~entry(node, valid)
        valid[index(node)] |= missing
        return lacking
    return missing


@compiled
def serve(count, lines, requests, geometry, before, after, valid, held, misses):
    """Read and write the first `count` lines, see `memgrain.sim.curves.stacks`; counts the granules fetched by
    tensor."""
    for i in range(count):
        line, bits = entry(i, lines), entry(i, requests)
        mask, partitions = bits & GRANULES, geometry[PARTITIONS]
        home = scale(mix(line >> 5), partitions)
        if bits & WRITES:
            write(line, mask, home, geometry, before, after, valid, held)
        else:
            first = (bits >> PARTITION & 0xFF) % partitions if geometry[REPLICATE] else home
            lacking = read(line, mask, first, home, geometry, before, after, valid, held)
            misses[index(bits >> TENSOR & 0xFF)] += population(lacking)


@compiled
def empty(geometry, before, after):
    """Empty the lists."""
    after[:] = ABSENT
    for partition in range(geometry[PARTITIONS]):
        end = partition * (geometry[LINES] + 1) + geometry[LINES]
        before[index(end)] = after[index(end)] = end


@compiled
def count_first(count, lines, requests, known, first):
    """Count by tensor the granules read that were neither read nor written before; `known` has those of each line."""
    for i in range(count):
        line, bits = entry(i, lines), entry(i, requests)
        mask = bits & GRANULES
        if bits & WRITES == 0:
            first[index(bits >> TENSOR & 0xFF)] += population(mask & ~entry(line, known))
        known[index(line)] |= mask
