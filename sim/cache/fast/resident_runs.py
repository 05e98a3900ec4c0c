"""Bundles: runs of which a partition of a cache has every line, so that who reads them again is answered at once.

A tile of keys is read by one program after the other, each time by the same run. Once it has found all its lines there,
the run is kept in a table, each of their ways notes its number, and how many of them each slice serves is counted. To
read it again is to book the slices for so many, and to note the time. The words of its sets come in order of age only
when somebody looks into one of them: the lines of all bundles read since then move to the front, the newest first.

A bundle is whole as long as none of its lines has been evicted or changed. Bundles are for caches whose ways are
ordered by age and fill one vector, and where a reader finds all in the partition that it looks up first.

From `BUNDLES` on, `sets` holds a clock, which counts what is read whole; from `MEMBERS` on, for each set and way, the
number of a bundle (from 1 on, 0: none) and the line's position in it; from `SEEN` on the clock when a set's words came
in order; from `READ_AT` on the clock when each bundle was read last, from `MARKS` on a hash of its run; and from
`TABLE` on the bundles.
"""

import numpy as np

from memgrain.sim.cache.fast.by_age import sort_by_age
from memgrain.sim.cache.ways import SLOT, WAY, index
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import LANES

MIN_LINES, MOST_BITS = 32, 12
"""Lines of the smallest bundle, and the logarithm of those of the largest one."""
LATEST_CLOCK = 2**31 - 1
# what the table holds of a bundle: its run, the partition, whether it is whole, lines that note its number, when all
# have arrived (ticks), how many sectors and granules are asked for, and, for each slice, the sectors that it serves and
# those of the last line it does, in `LAST_BITS` bits
LOW, HIGH, STRIDE, SIZE, ROWS, PART, WHOLE, LINES, ARRIVED, SECTORS, GRANULES, SHARES = range(12)
LAST_BITS = 4


def table_size(lines: int) -> int:
    """Entries of the table for a cache of so many lines: the next power of two that has room for runs of twice
    `MIN_LINES` lines. In a table four times as large, finding a run takes the host longer than all else about it."""
    return 1 << min(max(2, (lines // (2 * MIN_LINES) - 1).bit_length()), 30 - MOST_BITS)


@inlined
def in_use(sets, config):
    """Whether there is or was a bundle."""
    return sets[index(config.clock_at)] != 0


@inlined
def place_in_table(number, config):
    """Where in `sets` a bundle is."""
    return config.runs_at + (number - 1) * (SHARES + config.partition_slices)


@inlined
def join_bundle(number, position, way, group, sets, config):
    """The line in a way of a set is that at `position` of a bundle, and of no other from now on."""
    note = index(config.members_at + group * config.ways + way)
    former = np.int64(sets[note]) >> MOST_BITS
    if former != number:
        if former:
            order(group, sets, config)
            leave(way, group, sets, config)
        sets[index(place_in_table(number, config) + LINES)] += 1
    sets[note] = number << MOST_BITS | position


@inlined
def loosen(slot, group, sets, config):
    """The line of a slot of a set has changed: its bundle, if it has one, is not whole any more."""
    if in_use(sets, config):
        way = (slot - config.slots_at - group * config.width) // SLOT
        number = np.int64(sets[index(config.members_at + group * config.ways + way)]) >> MOST_BITS
        if number:
            sets[index(place_in_table(number, config) + WHOLE)] = 0


@inlined
def leave(way, group, sets, config):
    """The line in a way of a set is no longer of any bundle."""
    if in_use(sets, config):
        note = index(config.members_at + group * config.ways + way)
        number = np.int64(sets[note]) >> MOST_BITS
        if number:
            sets[note] = 0
            at = place_in_table(number, config)
            sets[index(at + WHOLE)] = 0
            sets[index(at + LINES)] -= 1


@compiled
def order(group, sets, config):
    """Bring the words of a set in order of age."""
    since, clock = np.int64(sets[index(config.sorted_at + group)]), sets[index(config.clock_at)]
    if since == clock:
        return
    sets[index(config.sorted_at + group)] = clock
    members = config.members_at + group * config.ways
    sort_by_age(sets, group * LANES, config.ways, WAY, members, config.read_at, since, MOST_BITS)


@compiled
def forget_arrivals(sets, config):
    """Let all of every bundle have arrived."""
    if in_use(sets, config):
        for number in range(1, config.max_runs + 1):
            sets[index(place_in_table(number, config) + ARRIVED)] = 0
