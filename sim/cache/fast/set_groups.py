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

from memgrain.sim.cache import state as bk
from memgrain.sim.cache.fast.resident_runs import in_use, leave, order
from memgrain.sim.cache.ways import (
    ARRIVAL,
    FORMER,
    SETTLED,
    SLOT,
    STATE,
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

COARSEST = 32
"""Lines of the largest grain: those whose home partition is one by its hash."""
PATIENCE = 8
"""Whole grains that a cohort apart is asked for before its sets are compared."""


@inlined
def leader(group, book):
    """The set that is kept for the cohort of a set: another place in each cohort, so that leaders do not compete for
    the same sets of the host's caches."""
    grain = book[bk.GRAIN]
    return (group & -grain) + ((group >> book[bk.GRAIN_BITS]) & (grain - 1))


@inlined
def cohort_of(group, book):
    """Where in `sets` stands whether the cohort of a set is in step."""
    return index(book[bk.COHORTS] + 1 + (group >> book[bk.GRAIN_BITS]))


@inlined
def any_in_step(sets, book):
    """Whether any cohort is in step."""
    return sets[index(book[bk.COHORTS])] > 0


@inlined
def arrivals_of(slot, group, book):
    """Where in `sets` the arrivals of the lines of a cohort begin that share a slot of its leader `group`."""
    way = (slot - book[bk.SLOTS] - group * book[bk.WIDTH]) // SLOT
    return book[bk.ARRIVALS] + (group & -book[bk.GRAIN]) * book[bk.WAYS] + way * book[bk.GRAIN]


@inlined
def copy_set(source, target, sets, book):
    """Make a set hold what another one does."""
    of_words, of_slots = book[bk.POSITIONS], book[bk.WIDTH]
    for i in range(of_words):
        sets[index(target * of_words + i)] = sets[index(source * of_words + i)]
    begin = book[bk.SLOTS]
    for i in range(of_slots):
        sets[index(begin + target * of_slots + i)] = sets[index(begin + source * of_slots + i)]


@compiled
def part(group, sets, book):
    """Take the cohort of a set apart, if it is in step."""
    flag = cohort_of(group, book)
    if sets[flag]:
        return
    sets[flag] = PATIENCE
    sets[index(book[bk.COHORTS])] -= 1
    kept, first = leader(group, book), group & -book[bk.GRAIN]
    for there in range(first, first + book[bk.GRAIN]):
        if there != kept:
            copy_set(kept, there, sets, book)
    for way in range(book[bk.WAYS]):
        slot = slot_of(way, kept, book)
        if sets[index(slot + STATE)] & UNLIKE:
            base = arrivals_of(slot, kept, book)
            for i in range(book[bk.GRAIN]):
                other = slot_of(way, first + i, book)
                sets[index(other + STATE)] &= ~UNLIKE
                sets[index(other + ARRIVAL)] = sets[index(base + i)]


@compiled
def join(group, sets, arrivals, book):
    """Let the cohort of a set be in step if its sets hold the same."""
    first = group & -book[bk.GRAIN]
    if in_use(sets, book):
        for there in range(first, first + book[bk.GRAIN]):
            order(there, sets, book)
    for other in range(first + 1, first + book[bk.GRAIN]):
        if not alike(first, other, sets, arrivals, book):
            return
    if in_use(sets, book):
        for there in range(first, first + book[bk.GRAIN]):
            for way in range(book[bk.WAYS]):
                leave(way, there, sets, book)
    kept = leader(group, book)
    if kept != first:
        copy_set(first, kept, sets, book)
    sets[cohort_of(group, book)] = 0
    sets[index(book[bk.COHORTS])] += 1


@inlined
def alike(one, other, sets, arrivals, book):
    """Whether two sets answer everything from now on in the same way."""
    for at in range(book[bk.WAYS]):
        word = np.int64(sets[index(one * book[bk.POSITIONS] + at)])
        word2 = np.int64(sets[index(other * book[bk.POSITIONS] + at)])
        if (word ^ word2) & (TAG | (WAY if word >> TAG_BITS == FORMER else 0)):
            return False
        slot, slot2 = slot_of(word, one, book), slot_of(word2, other, book)
        if sets[index(slot + STATE)] != sets[index(slot2 + STATE)]:
            return False
        if to_come(word, slot, sets, arrivals, book) != to_come(word2, slot2, sets, arrivals, book):
            return False
    notes = book[bk.NOTES] - book[bk.SLOTS]
    for i in range(notes, book[bk.WIDTH]):
        if (
            sets[index(book[bk.SLOTS] + one * book[bk.WIDTH] + i)]
            != sets[index(book[bk.SLOTS] + other * book[bk.WIDTH] + i)]
        ):
            return False
    return True


@inlined
def to_come(word, slot, sets, arrivals, book):
    """When (ticks) the data of a slot arrives, if that can matter to anyone from now on, else 0; of what this request
    fetches, what stands for it."""
    if word & SETTLED:
        return np.int64(0)
    entered = np.int64(sets[index(slot + ARRIVAL)])
    if ~entered >= book[bk.WAIT]:
        return entered
    then = np.int64(arrival(slot, sets, arrivals))
    return then if then << TICK_BITS > book[bk.NOW] + book[bk.LATENCY] else np.int64(0)


@inlined
def in_step(group, sets, arrivals, book):
    """Whether the cohort of a set is in step, now that a whole grain is asked of it."""
    flag = cohort_of(group, book)
    if sets[flag]:
        sets[flag] -= 1
        if sets[flag] == 0:
            sets[flag] = PATIENCE
            join(group, sets, arrivals, book)
    return sets[flag] == 0


@compiled
def part_all(groups, sets, book):
    """Take all cohorts of a cache of so many sets apart."""
    for group in range(0, groups, book[bk.GRAIN]):
        part(group, sets, book)


@compiled
def join_all(groups, sets, arrivals, book):
    """Make cohorts of sets that are all apart: those that hold the same are in step."""
    sets[index(book[bk.COHORTS])] = 0
    for group in range(0, groups, book[bk.GRAIN]):
        sets[cohort_of(group, book)] = PATIENCE
        join(group, sets, arrivals, book)


@compiled
def forget_arrivals(groups, sets, book):
    """Let everything have arrived."""
    grain = book[bk.GRAIN]
    for group in range(0, groups, grain):
        together = grain > 1 and sets[cohort_of(group, book)] == 0
        first = leader(group, book) if together else group
        for there in range(first, first + 1 if together else group + grain):
            for way in range(book[bk.WAYS]):
                slot = slot_of(way, there, book)
                sets[index(slot + STATE)] &= ~UNLIKE
                sets[index(slot + ARRIVAL)] = 0
