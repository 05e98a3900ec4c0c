"""Set groups: adjacent sets with identical history are simulated once, through one representative.

A line block is `block_lines` aligned lines, a power of two that divides the sets. Its lines share a home partition and
a quotient, and lie in one set each of `block_lines` aligned sets, their set group; `fold` only permutes them there.
While every request for the sets of a group is for whole blocks, its sets hold the same. The group is then in lock-step,
and only its representative is stored. A request for less than a block splits the group first. When its sets have become
identical again, they merge.

From `groups_at` on, `sets` holds the number of groups in lock-step, then for each group 0 if it is in lock-step, and
otherwise the number of requests for whole blocks until its sets are compared again. In a group in lock-step only
arrivals can differ: copies pass slices that are reserved for different times. The representative's slot has the latest
arrival, which is all that a block needs; from `arrivals_at` on are those of the line in each set, by way.
"""

import numpy as np

from memgrain.sim.cache.fast.resident_runs import any_resident_run, remove_line, sort_set
from memgrain.sim.cache.ways import (
    ARRIVAL,
    FORMER,
    SETTLED,
    SLOT,
    STATUS,
    TAG,
    TAG_BITS,
    TICK_BITS,
    UNLIKE,
    WAY,
    arrival,
    index,
    slot_of,
)
from memgrain.sim.native.jit import compiled, inlined

RETRY_AFTER = 8
"""Requests for whole blocks to a split group before its sets are compared."""


@inlined
def representative(set_index, config):
    """The set that is stored for a set group. Its position in the group differs from group to group, so that
    representatives do not compete for the same sets of the host's caches."""
    block = config.block_lines
    return (set_index & -block) + ((set_index >> config.block_bits) & (block - 1))


@inlined
def lockstep_flag(set_index, config):
    """The entry of `sets` that says whether the group of a set is in lock-step."""
    return index(config.groups_at + 1 + (set_index >> config.block_bits))


@inlined
def any_lockstep(sets, config):
    """Whether any set group is in lock-step."""
    return sets[index(config.groups_at)] > 0


@inlined
def group_arrivals(slot, set_index, config):
    """Where in `sets` the arrivals begin of the lines that share a slot of the representative `set_index`."""
    way = (slot - config.slots_at - set_index * config.width) // SLOT
    return config.arrivals_at + (set_index & -config.block_lines) * config.ways + way * config.block_lines


@inlined
def copy_set(source, target, sets, config):
    """Copy the content of a set to another one."""
    of_words, of_slots = config.positions, config.width
    for i in range(of_words):
        sets[index(target * of_words + i)] = sets[index(source * of_words + i)]
    begin = config.slots_at
    for i in range(of_slots):
        sets[index(begin + target * of_slots + i)] = sets[index(begin + source * of_slots + i)]


@compiled
def split(set_index, sets, config):
    """Split the group of a set if it is in lock-step: give each of its sets its own content."""
    flag = lockstep_flag(set_index, config)
    if sets[flag]:
        return
    sets[flag] = RETRY_AFTER
    sets[index(config.groups_at)] -= 1
    kept, first = representative(set_index, config), set_index & -config.block_lines
    for other in range(first, first + config.block_lines):
        if other != kept:
            copy_set(kept, other, sets, config)
    for way in range(config.ways):
        slot = slot_of(way, kept, config)
        if sets[index(slot + STATUS)] & UNLIKE:
            base = group_arrivals(slot, kept, config)
            for i in range(config.block_lines):
                other = slot_of(way, first + i, config)
                sets[index(other + STATUS)] &= ~UNLIKE
                sets[index(other + ARRIVAL)] = sets[index(base + i)]


@compiled
def merge(set_index, sets, arrivals, config, state):
    """Put the group of a set in lock-step if its sets hold the same."""
    first = set_index & -config.block_lines
    if any_resident_run(sets, config):
        for there in range(first, first + config.block_lines):
            sort_set(there, sets, config)
    for other in range(first + 1, first + config.block_lines):
        if not identical_sets(first, other, sets, arrivals, config, state):
            return
    if any_resident_run(sets, config):
        for there in range(first, first + config.block_lines):
            for way in range(config.ways):
                remove_line(way, there, sets, config)
    kept = representative(set_index, config)
    if kept != first:
        copy_set(first, kept, sets, config)
    sets[lockstep_flag(set_index, config)] = 0
    sets[index(config.groups_at)] += 1


@inlined
def identical_sets(one, other, sets, arrivals, config, state):
    """Whether two sets will answer every request in the same way."""
    for at in range(config.ways):
        word = np.int64(sets[index(one * config.positions + at)])
        word2 = np.int64(sets[index(other * config.positions + at)])
        if (word ^ word2) & (TAG | (WAY if word >> TAG_BITS == FORMER else 0)):
            return False
        slot, slot2 = slot_of(word, one, config), slot_of(word2, other, config)
        if sets[index(slot + STATUS)] != sets[index(slot2 + STATUS)]:
            return False
        if pending_arrival(word, slot, sets, arrivals, config, state) != pending_arrival(
            word2, slot2, sets, arrivals, config, state
        ):
            return False
    notes = config.notes_at - config.slots_at
    for i in range(notes, config.width):
        if (
            sets[index(config.slots_at + one * config.width + i)]
            != sets[index(config.slots_at + other * config.width + i)]
        ):
            return False
    return True


@inlined
def pending_arrival(word, slot, sets, arrivals, config, state):
    """When (ticks) the data of a slot arrives if a later request may wait for it, else 0. For what this request fetches
    it is the entry that stands for it."""
    if word & SETTLED:
        return np.int64(0)
    entered = np.int64(sets[index(slot + ARRIVAL)])
    if ~entered >= state.wait:
        return entered
    then = np.int64(arrival(slot, sets, arrivals))
    return then if then << TICK_BITS > state.now + config.latency else np.int64(0)


@inlined
def in_lockstep(set_index, sets, arrivals, config, state):
    """Whether the group of a set is in lock-step; called once for each request for a whole block."""
    flag = lockstep_flag(set_index, config)
    if sets[flag]:
        sets[flag] -= 1
        if sets[flag] == 0:
            sets[flag] = RETRY_AFTER
            merge(set_index, sets, arrivals, config, state)
    return sets[flag] == 0


@compiled
def forget_arrivals(set_total, sets, config):
    """Mark all data as arrived."""
    block = config.block_lines
    for set_index in range(0, set_total, block):
        together = block > 1 and sets[lockstep_flag(set_index, config)] == 0
        first = representative(set_index, config) if together else set_index
        for there in range(first, first + 1 if together else set_index + block):
            for way in range(config.ways):
                slot = slot_of(way, there, config)
                sets[index(slot + STATUS)] &= ~UNLIKE
                sets[index(slot + ARRIVAL)] = 0
