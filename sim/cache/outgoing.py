"""What a cache sends down: fetches and write-backs, as runs in `out`."""

import numpy as np

from memgrain.sim.cache.fast.resident_runs import leave
from memgrain.sim.cache.ways import DIRTY, DIRTY_SHIFT, FORMER, OWNER, OWNER_SHIFT, STATUS, TAG_BITS, WAY, index
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
    """Append a read, or lengthen the last one of the same input run if the new one follows on it."""
    if state.last_end == address:
        out[index(state.last_read)]["bytes"] += np.uint32(size)
    else:
        state.last_read = state.out
        append(address, size, 0, tensor, out, state)
    state.last_end = address + size


@inlined
def count_known(line, bits, lines, sets, config):
    """How many granules of `bits` (a bit each, that of its first sector) were fetched or written back before, in the
    aligned stretch of so many lines that has this one; notes that they are now.

    From `KNOWN_AT` on the book has a bit for each sector of the first `KNOWN` lines, 32 in a word. Lines beyond are
    workspaces for scores, which are written before they are read.
    """
    known, sectors, first = 0, population(config.all_sectors), line & -lines
    for there in range(first, first + lines):
        if there < config.known_lines:
            at, shift = config.known_at + (there * sectors >> 4), there * sectors & 15
            word = np.int64(sets[index(at)])
            known += population(word >> shift & bits)
            sets[index(at)] = word | bits << shift
        else:
            known += population(bits)
    return known


@compiled
def send(line, bits, op, tensor, sets, out, config, state):
    """Send the granules of `bits` (a bit each, that of its first sector) down, neighbours as one run; count them."""
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
    """The sectors of granules, each of which is given by the bit of its first sector."""
    return bits * ((1 << config.granule_sectors) - 1)


@inlined
def line_of(word, group, config):
    """The line that a word of a set stands for."""
    quotient = word >> TAG_BITS
    if quotient == FORMER:
        return FORMER_LINE + group * config.ways + (word & WAY)
    number = quotient * config.set_count + group % config.set_count
    return fold(number, config.fold_bits, config.fold_mask)


@compiled
def write_back(word, status, group, sets, out, config, state):
    """Send the dirty sectors of a way down."""
    bits, first = config.granules[index((status & DIRTY) >> DIRTY_SHIFT)], state.out
    send(line_of(word, group, config), bits, 1, (status >> OWNER_SHIFT) & OWNER, sets, out, config, state)
    if state.lines > 1:
        for i in range(first, state.out):
            out[index(i)]["stride"] = FORMER_VICTIM if word >> TAG_BITS == FORMER else VICTIM
            out[index(i)]["advance"] = group & (config.block_lines - 1)


@inlined
def evict(word, slot, successor, group, sets, out, config, state):
    """Count that a way loses its line to one that will have the status `successor`; send down what is dirty of it."""
    status = np.int64(sets[index(slot + STATUS)])
    owner, by = (status >> OWNER_SHIFT) & OWNER, (successor >> OWNER_SHIFT) & OWNER
    state.counts[index(by)].evicted[index(owner)] += state.lines
    leave(word & WAY, group, sets, config)
    if status & DIRTY:
        write_back(word, status, group, sets, out, config, state)


@compiled
def repeat_for_grain(first, last, within, out, config, state):
    """Append the runs of `out` from `first` up to `last`, which a leader sends down for the first line of a grain, for
    each of its lines, that line's set being the one that its number xor `within` is in the cohort.

    A victim of another set of the cohort is that of the leader with another place in its grain; lines from before the
    trace are numbered set by set."""
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
