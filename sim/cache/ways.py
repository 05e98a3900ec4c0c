"""One set of a cache: how its ways are kept, found and filled, and when their data is there.

`sets` (int32) has two parts, so that a hit as a rule touches one line of the host's cache and a miss two. First, for
each set, a word for each position (see `replacement`), `POSITIONS` of them in blocks of sixteen. Then, from `SLOTS` on
and `WIDTH` a set, a slot for each way, and from `NOTES` on what the policy notes. What follows is of `cohorts`.

A word is the line's number within the set (its quotient), shifted; one bit that says that the slot need not be looked
at, because all sectors are valid and have arrived; and the way whose slot belongs to it.
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
"""A status: valid sectors, dirty ones, number of the tensor (of a way without a line: one more than there are), and
whether what a leader's slot stands for arrives at different times, see `cohorts`."""
TICK_BITS, LATEST_TICK = 10, 2**31 - 1
"""Arrivals are kept in 1,024 ps, rounded up: 2.2 s fit 32 bits. That of what a request fetches is not known before the
level below has answered, so such slots hold `~n`, where `arrivals[n]` is written then."""
index = np.uint64
"""An index that is not negative: for a signed one, Numba adds instructions that wrap it around."""


@inlined
def tick(time):
    """A time in ps as arrivals are kept."""
    return min((time + (1 << TICK_BITS) - 1) >> TICK_BITS, LATEST_TICK)


@inlined
def slot_of(word, group, config):
    """The slot that belongs to a word of set `group`."""
    return config.slots_at + group * config.width + SLOT * (word & WAY)


@inlined
def notes_of(group, config):
    """Where the policy's notes of a set begin."""
    return config.notes_at + group * config.width


@inlined
def find(key, group, sets, config):
    """The position in a set of the word with `key`, a shifted quotient, or -1."""
    base = group * config.positions
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
    """Write a slot anew."""
    sets[index(slot + STATUS)] = status
    sets[index(slot + ARRIVAL)] = arrival


@inlined
def arrival(slot, sets, arrivals):
    """When (ticks) the data of a slot arrives, as far as it is known."""
    then = np.int64(sets[index(slot + ARRIVAL)])
    return arrivals[index(~then)] if then < 0 else then


@inlined
def settles(slot, valid, then, sets, config, state):
    """Whether a slot need not be looked at any more: all its sectors are valid, and whoever hits them from now on will
    not wait. Of what this very request fetches, the arrival is not known yet."""
    return (
        valid == config.all_sectors and then <= state.now + config.latency and ~sets[index(slot + ARRIVAL)] < state.wait
    )


@inlined
def present(at, mask, start, latency, group, sets, arrivals, config, state):
    """A line was found at position `at` of a set whose slice serves it from `start` on: returns its slot, which sectors
    of `mask` are there, and when these are at the core (0 if none is)."""
    base = group * config.positions
    at = index(base + hit(at, base, notes_of(group, config), config.policy, config.ways, sets))
    word = np.int64(sets[at])
    slot = slot_of(word, group, config)
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
    """The data of a slot is there at `then` (ticks) at the earliest."""
    wait = np.int64(~sets[index(slot + ARRIVAL)])
    if wait < state.wait:
        sets[index(slot + ARRIVAL)] = max(arrival(slot, sets, arrivals), then)
    elif wait > state.wait:
        arrivals[wait] = max(arrivals[wait], then)
    else:
        await_alone(slot, then, sets, arrivals, state)


@inlined
def await_fetch(slot, sets, arrivals, state):
    """The data of a slot is there when what this request fetches is, or later if it was expected later."""
    if np.int64(~sets[index(slot + ARRIVAL)]) < state.wait:
        then = arrival(slot, sets, arrivals)
        if then << TICK_BITS <= state.now:
            sets[index(slot + ARRIVAL)] = ~state.wait
        else:
            await_alone(slot, then, sets, arrivals, state)


@inlined
def await_alone(slot, then, sets, arrivals, state):
    """Let a slot wait for what this request fetches, and for `then`: it gets a place in `arrivals` of its own."""
    sets[index(slot + ARRIVAL)] = ~state.next_wait
    arrivals[state.next_wait] = then
    state.next_wait += 1
