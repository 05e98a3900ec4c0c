"""One set of a cache: how its ways are stored, found and filled, and when their data arrives.

`sets` (int32) has two parts, so that a hit usually touches one line of the host's cache and a miss two. The first part
has a word for each position of each set (see `replacement`), `positions` of them in blocks of sixteen. The second part
begins at `slots_at` and has `width` entries a set: a slot for each way, then, from `notes_at` on, the policy's notes.
The tables of `fast/` and the bits of known lines follow.

A word holds the line's quotient (its number divided by the sets), a bit that says that its slot needs no look because
all sectors are valid and have arrived, and the way that the slot belongs to.
"""

import numpy as np

from memgrain.sim.cache.replacement import hit
from memgrain.sim.native.jit import inlined
from memgrain.sim.native.simd import LANES, lowest, match

WAY, SETTLED, TAG_BITS = 0x3F, 0x40, 7
TAG = (1 << 31) - (1 << TAG_BITS)
"""The parts of a word."""
EMPTY, FORMER = (1 << 24) - 1, (1 << 24) - 2
"""Quotients that no line of a trace has: of a way without a line, and of lines that were there before the trace."""
STATUS, ARRIVAL, SLOT = range(3)
"""The entries of a slot."""
VALID, DIRTY, DIRTY_SHIFT, OWNER, OWNER_SHIFT, UNLIKE = 0xFF, 0xFF00, 8, 0xFF, 16, 1 << 24
"""A slot's status: valid sectors, dirty sectors, the owning tensor's number (of a way without a line: one more than
there are), and whether the lines that a representative's slot stands for arrive at different times, see
`fast/set_groups.py`."""
TICK_BITS, LATEST_TICK = 10, 2**31 - 1
"""Arrivals are stored in units of 1,024 ps, rounded up: 2.2 s fit 32 bits. The arrival of what a request fetches is not
known before the level below has answered; until then such a slot stores `~n`, and `arrivals[n]` will have the time."""
index = np.uint64
"""An index that is not negative: for a signed one, Numba adds instructions that wrap it around."""


@inlined
def tick(time):
    """A time in ps as arrivals are stored."""
    return min((time + (1 << TICK_BITS) - 1) >> TICK_BITS, LATEST_TICK)


@inlined
def slot_of(word, set_index, config):
    """The slot that belongs to a word of a set."""
    return config.slots_at + set_index * config.width + SLOT * (word & WAY)


@inlined
def notes_of(set_index, config):
    """Where the policy's notes of a set begin."""
    return config.notes_at + set_index * config.width


@inlined
def find(key, set_index, sets, config):
    """The position in a set of the word with `key`, a shifted quotient, or -1."""
    base = set_index * config.positions
    found = match(sets, base, key, TAG)
    if found:
        return lowest(found)
    for block in range(LANES, config.positions, LANES):
        found = match(sets, base + block, key, TAG)
        if found:
            return block + lowest(found)
    return -1


@inlined
def fill_slot(slot, status, arrival, sets):
    """Overwrite a slot."""
    sets[index(slot + STATUS)] = status
    sets[index(slot + ARRIVAL)] = arrival


@inlined
def arrival(slot, sets, arrivals):
    """When (ticks) the data of a slot arrives, as far as known."""
    then = np.int64(sets[index(slot + ARRIVAL)])
    return arrivals[index(~then)] if then < 0 else then


@inlined
def settles(slot, valid, then, sets, config, state):
    """Whether a slot needs no look any more: all its sectors are valid, and later hits will not wait for it. The
    arrival of what this very request fetches is not known yet."""
    return (
        valid == config.all_sectors and then <= state.now + config.latency and ~sets[index(slot + ARRIVAL)] < state.wait
    )


@inlined
def present(at, mask, start, latency, set_index, sets, arrivals, config, state):
    """A line was found at position `at` of a set whose slice serves it from `start` on. Returns its slot, the sectors
    of `mask` that are present, and when these are at the core (0 if none is)."""
    base = set_index * config.positions
    at = index(base + hit(at, base, notes_of(set_index, config), config.policy, config.ways, sets))
    word = np.int64(sets[at])
    slot = slot_of(word, set_index, config)
    if word & SETTLED:
        return slot, mask, start + latency
    valid = np.int64(sets[index(slot + STATUS)]) & VALID
    then = arrival(slot, sets, arrivals) << TICK_BITS
    if settles(slot, valid, then, sets, config, state):
        sets[at] = word | SETTLED
    have = valid & mask
    return slot, have, max(start + latency, then) if have else 0


@inlined
def arrive(slot, then, sets, arrivals, state):
    """The data of a slot arrives at `then` (ticks) at the earliest."""
    wait = np.int64(~sets[index(slot + ARRIVAL)])
    if wait < state.wait:
        sets[index(slot + ARRIVAL)] = max(arrival(slot, sets, arrivals), then)
    elif wait > state.wait:
        arrivals[wait] = max(arrivals[wait], then)
    else:
        await_alone(slot, then, sets, arrivals, state)


@inlined
def await_fetch(slot, sets, arrivals, state):
    """The data of a slot arrives with what this request fetches, or later if it was expected later."""
    if np.int64(~sets[index(slot + ARRIVAL)]) < state.wait:
        then = arrival(slot, sets, arrivals)
        if then << TICK_BITS <= state.now:
            sets[index(slot + ARRIVAL)] = ~state.wait
        else:
            await_alone(slot, then, sets, arrivals, state)


@inlined
def await_alone(slot, then, sets, arrivals, state):
    """The data of a slot arrives with what this request fetches and not before `then`: give the slot an entry of
    `arrivals` of its own."""
    sets[index(slot + ARRIVAL)] = ~state.next_wait
    arrivals[state.next_wait] = then
    state.next_wait += 1
