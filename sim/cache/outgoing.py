"""Fetches and write-backs that a cache sends down, as runs in `out`."""

import numpy as np

from memgrain.sim.cache.fast.resident_runs import remove_line
from memgrain.sim.cache.ways import DIRTY, DIRTY_SHIFT, FORMER, OWNER, OWNER_SHIFT, STATUS, TAG_BITS, WAY, index
from memgrain.sim.native.address import fold
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import population

FORMER_LINE = 1 << 30
"""Number of the first line from before the trace; there is one for each way of each set."""
VICTIM, FORMER_VICTIM = 1, 2
"""Marks in the stride of a run that `repeat_for_block` repeats: it writes back a line of the trace, or one from before.
0 marks a run for the requested lines."""
PATTERN = 32
"""Entries at the end of `out` for the runs of one line: two evictions and one more write-back or fetch, up to five runs
each."""


@inlined
def append(address, size, op, tensor, out, state):
    """Append one run."""
    run = out[index(state.out)]
    run["base"] = np.uint64(address)
    run["stride"] = 0
    run["count"] = 1
    run["bytes"] = np.uint32(size)
    run["index"] = -1
    run["advance"] = 0
    run["op"] = np.uint8(op)
    run["tensor"] = np.uint8(tensor)
    state.out += 1


@inlined
def append_read(address, size, tensor, out, state):
    """Append a read, or lengthen the last read of the same input run if the new one follows it in memory."""
    if state.last_end == address:
        out[index(state.last_read)]["bytes"] += np.uint32(size)
    else:
        state.last_read = state.out
        append(address, size, 0, tensor, out, state)
    state.last_end = address + size


@inlined
def count_known(line, bits, lines, sets, config):
    """Count the granules of `bits` that were fetched or written back before, and mark them so.

    `bits` has the bit of each granule's first sector; they are counted in each of the `lines` aligned lines that
    include `line`. From `known_at` on, `sets` has a bit for each sector of the first `known_lines` lines. Lines beyond
    are workspaces for scores, which are written before they are read.
    """
    known, sectors, first = 0, population(config.all_sectors), line & -lines
    inside = min(lines, max(0, config.known_lines - first))
    known += population(bits) * (lines - inside)
    width = sectors
    if inside == lines:
        # a block of lines lies in whole entries, or within one
        while width < min(16, lines * sectors):
            bits |= bits << width
            width *= 2
    begin = first * sectors
    for bit in range(begin, begin + inside * sectors, width):
        at, shift = index(config.known_at + (bit >> 4)), bit & 15
        word = np.int64(sets[at])
        known += population(word >> shift & bits)
        sets[at] = word | bits << shift
    return known


@compiled
def send(line, bits, op, tensor, sets, out, config, state):
    """Send the granules of `bits` (the bit of each granule's first sector) down, neighbours as one run, and count
    them."""
    per, size = config.granule_sectors, config.granule
    count, row = population(bits) * state.lines, state.counts[index(tensor)]
    if op:
        row.writebacks += count
    else:
        row.misses += count
    if config.known_lines:
        fresh = count - count_known(line, bits, state.lines, sets, config)
        row.first_fetches += 0 if op else fresh
    address = line << config.line_bits
    while bits:
        length = 0
        while bits & 1 == 0:
            bits >>= per
            address += size
        while bits & 1:
            bits >>= per
            length += size
        if op:
            append(address, length, op, tensor, out, state)
        else:
            append_read(address, length, tensor, out, state)
        address += length


@inlined
def fetch(line, mask, tensor, sets, out, config, state):
    """Fetch the granules in which `mask` has a sector; returns the sectors that come in."""
    state.fetched = 1
    bits = config.granules[index(mask)]
    send(line, bits, 0, tensor, sets, out, config, state)
    return sectors_of(bits, config)


@inlined
def sectors_of(bits, config):
    """The sectors of granules; each granule is given by the bit of its first sector."""
    return bits * ((1 << config.granule_sectors) - 1)


@inlined
def line_of(word, set_index, config):
    """The line number of a word of a set."""
    quotient = word >> TAG_BITS
    if quotient == FORMER:
        return FORMER_LINE + set_index * config.ways + (word & WAY)
    number = quotient * config.set_count + set_index % config.set_count
    return fold(number, config.fold_bits, config.fold_mask)


@compiled
def write_back(word, status, set_index, sets, out, config, state):
    """Send the dirty sectors of a way down."""
    bits, first = config.granules[index((status & DIRTY) >> DIRTY_SHIFT)], state.out
    send(line_of(word, set_index, config), bits, 1, (status >> OWNER_SHIFT) & OWNER, sets, out, config, state)
    if state.lines > 1:
        for i in range(first, state.out):
            out[index(i)]["stride"] = FORMER_VICTIM if word >> TAG_BITS == FORMER else VICTIM
            out[index(i)]["advance"] = set_index & (config.block_lines - 1)


@inlined
def evict(word, slot, successor, set_index, sets, out, config, state):
    """Count that a way loses its line to one that will have the status `successor`; send its dirty sectors down."""
    status = np.int64(sets[index(slot + STATUS)])
    owner, by = (status >> OWNER_SHIFT) & OWNER, (successor >> OWNER_SHIFT) & OWNER
    state.counts[index(by)].evicted[index(owner)] += state.lines
    remove_line(word & WAY, set_index, sets, config)
    if status & DIRTY:
        write_back(word, status, set_index, sets, out, config, state)


@compiled
def repeat_for_block(first, last, within, out, config, state):
    """Append the runs of `out` from `first` up to `last` once for each line of a block. They are those of the
    representative, for the first line of the block; the line's set is its number xor `within` in the group.

    The victims in two sets of a group differ in their place within a block. Lines from before the trace are numbered
    set by set.
    """
    bits = config.line_bits
    for line in range(config.block_lines):
        for i in range(first, last):
            run = out[index(i)]
            address, size, tensor = np.int64(run["base"]), np.int64(run["bytes"]), np.int64(run["tensor"])
            kind, kept = np.int64(run["stride"]), np.int64(run["advance"])
            if kind == VICTIM:
                address ^= (line ^ within ^ kept) << bits
            elif kind == FORMER_VICTIM:
                address += (((line ^ within) - kept) * config.ways) << bits
            else:
                address += line << bits
            if run["op"] == 0:
                append_read(address, size, tensor, out, state)
            else:
                append(address, size, 1, tensor, out, state)
