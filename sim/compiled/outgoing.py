"""What a cache sends down: fetches and write-backs, as runs in `out`."""

import numpy as np

from sim.compiled import book as bk
from sim.compiled.address import unfold
from sim.compiled.jit import compiled, inlined
from sim.compiled.lanes import population
from sim.compiled.ways import DIRTY, DIRTY_SHIFT, FORMER, OWNER_SHIFT, STATE, TAG_BITS, WAY, index

FORMER_LINE = 1 << 30
"""Number of the first line that was there before the trace: there is one for each way of each set."""


@inlined
def append(address, size, op, tensor, out, book):
    """Append one run."""
    run = out[index(book[bk.OUT])]
    run["base"] = np.uint64(address)
    run["stride"] = 0
    run["count"] = 1
    run["bytes"] = np.uint32(size)
    run["index"] = -1
    run["advance"] = 0
    run["op"] = np.uint8(op)
    run["tensor"] = np.uint8(tensor)
    book[bk.OUT] += 1


@inlined
def append_read(address, size, tensor, out, book):
    """Append a read, or lengthen the last one of the same input run if the new one follows on it."""
    if book[bk.LAST_END] == address:
        out[index(book[bk.LAST_READ])]["bytes"] += np.uint32(size)
    else:
        book[bk.LAST_READ] = book[bk.OUT]
        append(address, size, 0, tensor, out, book)
    book[bk.LAST_END] = address + size


@compiled
def send(line, bits, op, tensor, out, book):
    """Send the granules of `bits` (a bit each, that of its first sector) down, neighbours as one run; count them."""
    per, size = book[bk.GRANULE_SECTORS], book[bk.GRANULE]
    book[book[bk.COUNTS_AT] + tensor * bk.COUNTS + (bk.WRITEBACKS if op else bk.MISSES)] += population(bits)
    address = line << book[bk.LINE_BITS]
    while bits:
        length = 0
        while bits & 1 == 0:
            bits >>= per
            address += size
        while bits & 1:
            bits >>= per
            length += size
        if op:
            append(address, length, op, tensor, out, book)
        else:
            append_read(address, length, tensor, out, book)
        address += length


@inlined
def fetch(line, mask, tensor, out, book):
    """Fetch the granules in which `mask` has a sector; returns the sectors that come in."""
    book[bk.FETCHED] = 1
    bits = book[bk.GRANULES + mask]
    send(line, bits, 0, tensor, out, book)
    return sectors_of(bits, book)


@inlined
def sectors_of(bits, book):
    """The sectors of granules, each of which is given by the bit of its first sector."""
    return bits * ((1 << book[bk.GRANULE_SECTORS]) - 1)


@inlined
def line_of(word, group, book):
    """The line that a word of a set stands for."""
    quotient = word >> TAG_BITS
    if quotient == FORMER:
        return FORMER_LINE + group * book[bk.WAYS] + (word & WAY)
    number = quotient * book[bk.SETS] + group % book[bk.SETS]
    return unfold(number) if book[bk.HASHED] else number


@compiled
def write_back(word, state, group, out, book):
    """Send the dirty sectors of a way down."""
    bits = book[bk.GRANULES + ((state & DIRTY) >> DIRTY_SHIFT)]
    send(line_of(word, group, book), bits, 1, state >> OWNER_SHIFT, out, book)


@inlined
def evict(word, slot, group, sets, out, book):
    """Count that a way loses its line, and send down what is dirty of it."""
    state = np.int64(sets[index(slot + STATE)])
    book[index(book[bk.EVICTED_AT] + (state >> OWNER_SHIFT))] += 1
    if state & DIRTY:
        write_back(word, state, group, out, book)
