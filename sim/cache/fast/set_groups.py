"""Cohorts: neighbouring sets of a cache that have seen the same, of which one is kept for all.

A *grain* is an aligned stretch of `GRAIN` lines, a power of two that divides the sets. Its lines have one home
partition and one quotient, and lie one each in an aligned stretch of `GRAIN` sets, a *cohort*; `fold` only permutes
them there. As long as all that is asked of a cohort's sets are whole grains, what these sets hold is the same. Such a
cohort is *in step*: only one of its sets, the leader, is kept. Whoever asks for less than a grain takes the cohort
apart first, and when its sets have become alike again, it comes back in step.

From `COHORTS` on, `sets` holds the number of cohorts in step, then for each cohort 0 if it is in step, and otherwise
how many more whole grains it will be asked for before it is looked at again. Only arrivals can differ within a cohort
in step: copies come through slices that are booked for different times. The leader's slot then has the latest, which
is all that a whole grain asks about, and from `ARRIVALS` on, for each set and way, lie those of the line in each set.
"""

import numpy as np

from memgrain.sim.cache.fast.resident_runs import in_use, leave, order
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

PATIENCE = 8
"""Whole grains that a cohort apart is asked for before its sets are compared."""


@inlined
def leader(group, config):
    """The set that is kept for the cohort of a set: another place in each cohort, so that leaders do not compete for
    the same sets of the host's caches."""
    grain = config.block_lines
    return (group & -grain) + ((group >> config.block_bits) & (grain - 1))


@inlined
def cohort_of(group, config):
    """Where in `sets` stands whether the cohort of a set is in step."""
    return index(config.groups_at + 1 + (group >> config.block_bits))


@inlined
def any_in_step(sets, config):
    """Whether any cohort is in step."""
    return sets[index(config.groups_at)] > 0


@inlined
def arrivals_of(slot, group, config):
    """Where in `sets` the arrivals of the lines of a cohort begin that share a slot of its leader `group`."""
    way = (slot - config.slots_at - group * config.width) // SLOT
    return config.arrivals_at + (group & -config.block_lines) * config.ways + way * config.block_lines


@inlined
def copy_set(source, target, sets, config):
    """Make a set hold what another one does."""
    of_words, of_slots = config.positions, config.width
    for i in range(of_words):
        sets[index(target * of_words + i)] = sets[index(source * of_words + i)]
    begin = config.slots_at
    for i in range(of_slots):
        sets[index(begin + target * of_slots + i)] = sets[index(begin + source * of_slots + i)]


@compiled
def part(group, sets, config):
    """Take the cohort of a set apart, if it is in step."""
    flag = cohort_of(group, config)
    if sets[flag]:
        return
    sets[flag] = PATIENCE
    sets[index(config.groups_at)] -= 1
    kept, first = leader(group, config), group & -config.block_lines
    for there in range(first, first + config.block_lines):
        if there != kept:
            copy_set(kept, there, sets, config)
    for way in range(config.ways):
        slot = slot_of(way, kept, config)
        if sets[index(slot + STATUS)] & UNLIKE:
            base = arrivals_of(slot, kept, config)
            for i in range(config.block_lines):
                other = slot_of(way, first + i, config)
                sets[index(other + STATUS)] &= ~UNLIKE
                sets[index(other + ARRIVAL)] = sets[index(base + i)]


@compiled
def join(group, sets, arrivals, config, state):
    """Let the cohort of a set be in step if its sets hold the same."""
    first = group & -config.block_lines
    if in_use(sets, config):
        for there in range(first, first + config.block_lines):
            order(there, sets, config)
    for other in range(first + 1, first + config.block_lines):
        if not alike(first, other, sets, arrivals, config, state):
            return
    if in_use(sets, config):
        for there in range(first, first + config.block_lines):
            for way in range(config.ways):
                leave(way, there, sets, config)
    kept = leader(group, config)
    if kept != first:
        copy_set(first, kept, sets, config)
    sets[cohort_of(group, config)] = 0
    sets[index(config.groups_at)] += 1


@inlined
def alike(one, other, sets, arrivals, config, state):
    """Whether two sets answer everything from now on in the same way."""
    for at in range(config.ways):
        word = np.int64(sets[index(one * config.positions + at)])
        word2 = np.int64(sets[index(other * config.positions + at)])
        if (word ^ word2) & (TAG | (WAY if word >> TAG_BITS == FORMER else 0)):
            return False
        slot, slot2 = slot_of(word, one, config), slot_of(word2, other, config)
        if sets[index(slot + STATUS)] != sets[index(slot2 + STATUS)]:
            return False
        if to_come(word, slot, sets, arrivals, config, state) != to_come(word2, slot2, sets, arrivals, config, state):
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
def to_come(word, slot, sets, arrivals, config, state):
    """When (ticks) the data of a slot arrives, if that can matter to anyone from now on, else 0; of what this request
    fetches, what stands for it."""
    if word & SETTLED:
        return np.int64(0)
    entered = np.int64(sets[index(slot + ARRIVAL)])
    if ~entered >= state.wait:
        return entered
    then = np.int64(arrival(slot, sets, arrivals))
    return then if then << TICK_BITS > state.now + config.latency else np.int64(0)


@inlined
def in_step(group, sets, arrivals, config, state):
    """Whether the cohort of a set is in step, now that a whole grain is asked of it."""
    flag = cohort_of(group, config)
    if sets[flag]:
        sets[flag] -= 1
        if sets[flag] == 0:
            sets[flag] = PATIENCE
            join(group, sets, arrivals, config, state)
    return sets[flag] == 0


@compiled
def forget_arrivals(groups, sets, config):
    """Let everything have arrived."""
    grain = config.block_lines
    for group in range(0, groups, grain):
        together = grain > 1 and sets[cohort_of(group, config)] == 0
        first = leader(group, config) if together else group
        for there in range(first, first + 1 if together else group + grain):
            for way in range(config.ways):
                slot = slot_of(way, there, config)
                sets[index(slot + STATUS)] &= ~UNLIKE
                sets[index(slot + ARRIVAL)] = 0
