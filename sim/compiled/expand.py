"""Runs taken apart into lines: a queue of what is asked of each line, and of where it lies."""

import numpy as np

from sim.compiled import book as bk
from sim.compiled.address import fold, mix, scale
from sim.compiled.jit import compiled, inlined
from sim.compiled.ways import TAG_BITS, index

QUEUE = 256
"""Lines that the queue holds."""
LINE, ASKED, HOME, SET, TO_HOME, KEY, SLICE, ENTRIES = (i * QUEUE for i in range(8))
"""Where in the queue begins what it holds of its lines: number; what is asked; home partition; set in the partition
that is looked up first; how many sets on that in the home partition is; quotient, shifted as in a word; where in the
book the time of its slice is."""
MASK, TENSOR, PART, FIRST, WRITES, FAR = 0xFF, 8, 16, 1 << 24, 1 << 25, 1 << 26
"""What is asked of a line, as bits: sectors; the tensor's number; those of the sectors that are written only in part;
whether the line is the first of its run, whether it is written, whether the partition looked up first is a far one."""


@inlined
def entry(part, k, queue):
    """What the queue holds of its line `k`."""
    return np.int64(queue[index(part + k)])


@inlined
def shape_of(low, high, book):
    """Of the piece from byte `low` up to `high`: how many lines, sectors and granules it touches; what to clear in what
    is asked of its first line and of its last one, which it may not fill; and what to set in them, if a sector at its
    ends is covered only in part."""
    line_bits, bits, granule_bits = book[bk.LINE_BITS], book[bk.SECTOR_BITS], book[bk.GRANULE_BITS]
    sectors, rest = book[bk.SECTORS], book[bk.SECTOR] - 1
    first, last = low >> line_bits, (high - 1) >> line_bits
    low_sector, high_sector = low >> bits, (high - 1) >> bits
    before = (1 << (low_sector - (first << line_bits >> bits))) - 1
    until = (2 << (high_sector - (last << line_bits >> bits))) - 1
    begin = (before + 1) << PART if low & rest else 0
    end = ((until + 1) >> 1) << PART if high & rest else 0
    granules = ((high - 1) >> granule_bits) - (low >> granule_bits) + 1
    return last - first + 1, high_sector - low_sector + 1, granules, before, sectors & ~until, begin, end


@inlined
def add(line, count, asked, k, queue):
    """Enter `count` lines from `line` on at `k`, the same asked of each."""
    for i in range(count):
        queue[index(LINE + k + i)] = line + i
        queue[index(ASKED + k + i)] = asked


@compiled
def place(count, queue, book):
    """Work out where the first `count` lines of the queue lie. There is no branch in the loop, so that the host's
    vectors take many lines at a time."""
    partitions, slices, sets, near = book[bk.PARTITIONS], book[bk.PARTITION_SLICES], book[bk.SETS], book[bk.NEAR]
    first_slice = book[bk.SLICES]
    factor, shift = book[bk.DIVIDE_FACTOR], book[bk.DIVIDE_SHIFT]
    if_hashed, if_replicated = -book[bk.HASHED], -book[bk.REPLICATE]
    for k in range(count):
        line = np.int64(queue[index(LINE + k)])
        number = line ^ ((line ^ fold(line)) & if_hashed)
        quotient = (number * factor) >> shift
        home = scale(mix(line >> 5), partitions)
        first = home ^ ((home ^ near) & if_replicated)
        queue[index(ASKED + k)] |= FAR if first != near else 0
        queue[index(HOME + k)] = home
        queue[index(SET + k)] = first * sets + number - quotient * sets
        queue[index(TO_HOME + k)] = (home - first) * sets
        queue[index(KEY + k)] = quotient << TAG_BITS
        queue[index(SLICE + k)] = first_slice + first * slices + scale(mix(line), slices)
