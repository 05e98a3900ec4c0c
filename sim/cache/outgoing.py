"""What a cache sends down: fetches and write-backs, as runs in `out`."""

import numpy as np

from memgrain.sim.cache import state as bk
from memgrain.sim.cache.fast.resident_runs import leave
from memgrain.sim.cache.ways import DIRTY, DIRTY_SHIFT, FORMER, OWNER, OWNER_SHIFT, STATE, TAG_BITS, WAY, index
from memgrain.sim.native.address import fold
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import population

FORMER_LINE = 1 << 30
"""Number of the first line that was there before the trace: there is one for each way of each set."""
ASKED_FOR, VICTIM, FORMER_VICTIM = range(3)
"""Whose a run is that is to be repeated for the lines of a grain, noted as its stride; see `repeat_for_grain`."""
PATTERN = 32
"""Entries at the end of `out` for what goes down for one line: two evictions and one more write-back or fetch, of up to
five runs each."""


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


@inlined
def count_known(line, bits, lines, book):
    """How many granules of `bits` (a bit each, that of its first sector) were fetched or written back before, in the
    aligned stretch of so many lines that has this one; notes that they are now.

    From `KNOWN_AT` on the book has a bit for each sector of the first `KNOWN` lines, 32 in a word. Lines beyond are
    workspaces for scores, which are written before they are read.
    """
    known, sectors, first = 0, population(book[bk.SECTORS]), line & -lines
    for there in range(first, first + lines):
        if there < book[bk.KNOWN]:
            at, shift = book[bk.KNOWN_AT] + (there * sectors >> 5), there * sectors & 31
            word = book[index(at)]
            known += population(word >> shift & bits)
            book[index(at)] = word | bits << shift
        else:
            known += population(bits)
    return known


@compiled
def send(line, bits, op, tensor, out, book):
    """Send the granules of `bits` (a bit each, that of its first sector) down, neighbours as one run; count them."""
    per, size = book[bk.GRANULE_SECTORS], book[bk.GRANULE]
    count, counts = population(bits) * book[bk.LINES], book[bk.COUNTS_AT] + tensor * bk.COUNTS
    book[counts + (bk.WRITEBACKS if op else bk.MISSES)] += count
    if book[bk.KNOWN]:
        fresh = count - count_known(line, bits, book[bk.LINES], book)
        book[counts + bk.FIRST_FETCHES] += 0 if op else fresh
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
    return fold(number, book[bk.FOLD_BITS], book[bk.FOLD_MASK])


@compiled
def write_back(word, state, group, out, book):
    """Send the dirty sectors of a way down."""
    bits, first = book[bk.GRANULES + ((state & DIRTY) >> DIRTY_SHIFT)], book[bk.OUT]
    send(line_of(word, group, book), bits, 1, (state >> OWNER_SHIFT) & OWNER, out, book)
    if book[bk.LINES] > 1:
        for i in range(first, book[bk.OUT]):
            out[index(i)]["stride"] = FORMER_VICTIM if word >> TAG_BITS == FORMER else VICTIM
            out[index(i)]["advance"] = group & (book[bk.GRAIN] - 1)


@inlined
def evict(word, slot, successor, group, sets, out, book):
    """Count that a way loses its line to one that will have the state `successor`; send down what is dirty of it."""
    state = np.int64(sets[index(slot + STATE)])
    owner, by = (state >> OWNER_SHIFT) & OWNER, (successor >> OWNER_SHIFT) & OWNER
    book[index(book[bk.EVICTED_AT] + by * book[bk.OWNERS] + owner)] += book[bk.LINES]
    leave(word & WAY, group, sets, book)
    if state & DIRTY:
        write_back(word, state, group, out, book)


@compiled
def repeat_for_grain(first, last, within, out, book):
    """Append the runs of `out` from `first` up to `last`, which a leader sends down for the first line of a grain, for
    each of its lines, that line's set being the one that its number xor `within` is in the cohort.

    A victim of another set of the cohort is that of the leader with another place in its grain; lines from before the
    trace are numbered set by set."""
    bits = book[bk.LINE_BITS]
    for line in range(book[bk.GRAIN]):
        for i in range(first, last):
            run = out[index(i)]
            address, size, tensor = np.int64(run["base"]), np.int64(run["bytes"]), np.int64(run["tensor"])
            kind, kept = np.int64(run["stride"]), np.int64(run["advance"])
            if kind == VICTIM:
                address ^= (line ^ within ^ kept) << bits
            elif kind == FORMER_VICTIM:
                address += (((line ^ within) - kept) * book[bk.WAYS]) << bits
            else:
                address += line << bits
            if run["op"] == 0:
                append_read(address, size, tensor, out, book)
            else:
                append(address, size, 1, tensor, out, book)
