"""Runs taken apart into lines: a queue of what is asked of each line, and of where it lies."""

import numpy as np

from memgrain.sim.cache import state as bk
from memgrain.sim.cache.ways import TAG_BITS, index
from memgrain.sim.native.address import fold, mix, scale
from memgrain.sim.native.jit import compiled, inlined

QUEUE = 256
"""Lines that the queue holds."""
LINE, ASKED, HOME, SET, TO_HOME, KEY, SLICE, ENTRIES = (i * QUEUE for i in range(8))
"""Where in the queue begins what it holds of its lines: number; what is asked; home partition; set in the partition
that is looked up first; how many sets on that in the home partition is; quotient, shifted as in a word; where in the
book the time of its slice is."""
MASK, TENSOR, PART, FIRST, WRITES, FAR = 0xFF, 8, 16, 1 << 24, 1 << 25, 1 << 26
"""What is asked of a line, as bits: sectors; the tensor's number; those of the sectors that are written only in part;
whether the line is the first of its run, whether it is written, whether the partition looked up first is a far one."""

BITS_31, BITS_32 = 0x7FFFFFFF, 0xFFFFFFFF


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


@inlined
def place_of(line, book):
    """Of a line: its home partition, the one that is looked up first, its set within either, and its quotient."""
    number = fold(line, book[bk.FOLD_BITS], book[bk.FOLD_MASK])
    quotient = (number * book[bk.DIVIDE_FACTOR]) >> book[bk.DIVIDE_SHIFT]
    home = scale(mix(line >> 5), book[bk.PARTITIONS])
    first = home ^ ((home ^ book[bk.NEAR]) & -book[bk.REPLICATE])
    return home, first, number - quotient * book[bk.SETS], quotient


@compiled
def place(count, queue, book):
    """Work out where the first `count` lines of the queue lie. There is no branch in the loop, so that the host's
    vectors take many lines at a time; they multiply 32 bits at once what LLVM can see to be no more."""
    partitions, slices = book[bk.PARTITIONS] & BITS_31, book[bk.PARTITION_SLICES] & BITS_31
    sets, near, first_slice = book[bk.SETS] & BITS_31, book[bk.NEAR], book[bk.SLICES]
    factor, shift = book[bk.DIVIDE_FACTOR] & BITS_32, book[bk.DIVIDE_SHIFT] & 63
    fold_bits, fold_mask = book[bk.FOLD_BITS] & 31, book[bk.FOLD_MASK] & BITS_31
    if_replicated = -book[bk.REPLICATE]
    for k in range(count):
        line = np.int64(queue[index(LINE + k)]) & BITS_31
        number = fold(line, fold_bits, fold_mask)
        quotient = ((number * factor) >> shift) & BITS_31
        home = scale(mix(line >> 5), partitions)
        first = (home ^ ((home ^ near) & if_replicated)) & BITS_31
        queue[index(ASKED + k)] |= FAR if first != near else 0
        queue[index(HOME + k)] = home
        queue[index(SET + k)] = first * sets + number - quotient * sets
        queue[index(TO_HOME + k)] = (home - first) * sets
        queue[index(KEY + k)] = quotient << TAG_BITS
        queue[index(SLICE + k)] = first_slice + first * slices + scale(mix(line), slices)
