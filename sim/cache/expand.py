"""Runs expanded into lines: the queue of requests for lines, and where each line lies."""

import numpy as np

from memgrain.sim.cache.ways import TAG_BITS, index
from memgrain.sim.native.address import fold, mix, scale
from memgrain.sim.native.jit import compiled, inlined

MASK, TENSOR, PART, FIRST, WRITES, FAR = 0xFF, 8, 16, 1 << 24, 1 << 25, 1 << 26
"""The bits of a request for a line: a mask of sectors; the tensor's number; a mask of sectors that are written only in
part; flags of the first line of a run, of a write, and of a far partition that is looked up first."""

BITS_31, BITS_32 = 0x7FFFFFFF, 0xFFFFFFFF


@inlined
def entry(part, k):
    """Entry `k` of a field of the queue."""
    return np.int64(part[index(k)])


@inlined
def shape_of(low, high, config):
    """The shape of the piece from byte `low` up to `high`.

    Returns how many lines, sectors and granules it touches; the bits to clear in the request for its first line and for
    its last one, where it does not fill them; and the bits to set in these if it covers a sector at either end only in
    part.
    """
    line_bits, bits, granule_bits = config.line_bits, config.sector_bits, config.granule_bits
    sectors, rest = config.all_sectors, config.sector - 1
    first, last = low >> line_bits, (high - 1) >> line_bits
    low_sector, high_sector = low >> bits, (high - 1) >> bits
    before = (1 << (low_sector - (first << line_bits >> bits))) - 1
    until = (2 << (high_sector - (last << line_bits >> bits))) - 1
    begin = (before + 1) << PART if low & rest else 0
    end = ((until + 1) >> 1) << PART if high & rest else 0
    granules = ((high - 1) >> granule_bits) - (low >> granule_bits) + 1
    return last - first + 1, high_sector - low_sector + 1, granules, before, sectors & ~until, begin, end


@inlined
def append_lines(line, count, request, k, queue):
    """Enter `count` lines from `line` on into the queue at `k`, with one request for all."""
    for i in range(count):
        queue.line[index(k + i)] = line + i
        queue.request[index(k + i)] = request


@inlined
def locate_line(line, config, state):
    """The home partition of a line, the partition looked up first, its set within either, and its quotient."""
    number = fold(line, config.fold_bits, config.fold_mask)
    quotient = (number * config.divide_factor) >> config.divide_shift
    home = scale(mix(line >> 5), config.partitions)
    first = home ^ ((home ^ state.near) & -config.replicate)
    return home, first, number - quotient * config.set_count, quotient


@compiled
def locate(count, queue, config, state):
    """Compute where the first `count` lines of the queue lie. The loop has no branch, so that the host's vectors take
    many lines at a time. The masks show LLVM that 32 bits are enough for a product."""
    partitions, slices = config.partitions & BITS_31, config.partition_slices & BITS_31
    sets, near, first_slice = config.set_count & BITS_31, state.near, state.first_slice
    factor, shift = config.divide_factor & BITS_32, config.divide_shift & 63
    fold_bits, fold_mask = config.fold_bits & 31, config.fold_mask & BITS_31
    if_replicated = -config.replicate
    for k in range(count):
        line = np.int64(queue.line[index(k)]) & BITS_31
        number = fold(line, fold_bits, fold_mask)
        quotient = ((number * factor) >> shift) & BITS_31
        home = scale(mix(line >> 5), partitions)
        first = (home ^ ((home ^ near) & if_replicated)) & BITS_31
        queue.request[index(k)] |= FAR if first != near else 0
        queue.home[index(k)] = home
        queue.set_index[index(k)] = first * sets + number - quotient * sets
        queue.to_home[index(k)] = (home - first) * sets
        queue.key[index(k)] = quotient << TAG_BITS
        queue.slice[index(k)] = first_slice + first * slices + scale(mix(line), slices)
