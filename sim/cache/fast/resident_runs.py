"""Resident runs: a run whose lines are all in one partition of a cache is answered at once when it is read again.

One program after the other reads a tile of keys, each by the same run. Once a run has found all its lines in the
partition, the run is registered in a table, each of its ways notes its number, and the sectors that each slice serves
are counted. A further read reserves the slices for so many sectors and notes the time. The words of its sets are sorted
by age only when one of these sets is looked up: the lines of all runs read since then move to the front, the newest
first.

A run is resident until one of its lines is evicted or changed. Resident runs need ways that are ordered by age and fill
one vector, and a reader that finds all data in the partition that it looks up first.

The tables in `sets`: at `clock_at` a clock, which counts reads of resident runs; from `members_at` on, for each set and
way, the number of a run (from 1 on; 0: none) and the line's position in it; from `sorted_at` on the clock when each set
was sorted; from `read_at` on the clock when each run was read last; from `hashes_at` on a hash of each run; from
`runs_at` on the runs.
"""

import numpy as np

from memgrain.sim.cache.fast.by_age import sort_by_age
from memgrain.sim.cache.ways import SLOT, WAY, index
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import LANES

MIN_LINES, MOST_BITS = 32, 12
"""Lines of the shortest resident run, and the logarithm of those of the longest one."""
LATEST_CLOCK = 2**31 - 1
# an entry of the table: the run, the partition, whether the run is resident, lines that note its number, when all have
# arrived (ticks), how many sectors and granules it requests, and, for each slice, the sectors that it serves and, in
# `LAST_BITS` bits, those of its last line
LOW, HIGH, STRIDE, SIZE, ROWS, PART, RESIDENT, LINES, ARRIVED, SECTORS, GRANULES, SHARES = range(12)
LAST_BITS = 4


def table_size(lines: int) -> int:
    """Entries of the table for a cache of so many lines: the next power of two that has room for runs of twice
    `MIN_LINES` lines. In a table four times as large, finding a run takes the host longer than all else about it."""
    return 1 << min(max(2, (lines // (2 * MIN_LINES) - 1).bit_length()), 30 - MOST_BITS)


@inlined
def any_resident_run(sets, config):
    """Whether there is or was a resident run."""
    return sets[index(config.clock_at)] != 0


@inlined
def run_offset(number, config):
    """Where in `sets` the entry of a run begins."""
    return config.runs_at + (number - 1) * (SHARES + config.partition_slices)


@inlined
def add_line(number, position, way, set_index, sets, config):
    """Store that the line in a way of a set is at `position` of a run; it leaves its former run, if it had one."""
    note = index(config.members_at + set_index * config.ways + way)
    former = np.int64(sets[note]) >> MOST_BITS
    if former != number:
        if former:
            sort_set(set_index, sets, config)
            remove_line(way, set_index, sets, config)
        sets[index(run_offset(number, config) + LINES)] += 1
    sets[note] = number << MOST_BITS | position


@inlined
def invalidate_run(slot, set_index, sets, config):
    """The line of a slot of a set has changed: its run, if it has one, is not resident any more."""
    if any_resident_run(sets, config):
        way = (slot - config.slots_at - set_index * config.width) // SLOT
        number = np.int64(sets[index(config.members_at + set_index * config.ways + way)]) >> MOST_BITS
        if number:
            sets[index(run_offset(number, config) + RESIDENT)] = 0


@inlined
def remove_line(way, set_index, sets, config):
    """The line in a way of a set belongs to no run any more."""
    if any_resident_run(sets, config):
        note = index(config.members_at + set_index * config.ways + way)
        number = np.int64(sets[note]) >> MOST_BITS
        if number:
            sets[note] = 0
            at = run_offset(number, config)
            sets[index(at + RESIDENT)] = 0
            sets[index(at + LINES)] -= 1


@compiled
def sort_set(set_index, sets, config):
    """Sort the words of a set by age."""
    since, clock = np.int64(sets[index(config.sorted_at + set_index)]), sets[index(config.clock_at)]
    if since == clock:
        return
    sets[index(config.sorted_at + set_index)] = clock
    members = config.members_at + set_index * config.ways
    sort_by_age(sets, set_index * LANES, config.ways, WAY, members, config.read_at, since, MOST_BITS)


@compiled
def forget_arrivals(sets, config):
    """Mark all data of every run as arrived."""
    if any_resident_run(sets, config):
        for number in range(1, config.max_runs + 1):
            sets[index(run_offset(number, config) + ARRIVED)] = 0
