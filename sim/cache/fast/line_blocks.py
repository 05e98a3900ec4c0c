"""A whole grain of lines read or written at once, its cohorts being in step: the leader's set is looked up, what
happens to it is counted for each line, and what it sends down is sent down for each line."""

import numpy as np

from memgrain.sim.cache import state as bk
from memgrain.sim.cache.expand import ASKED, FAR, FIRST, HOME, KEY, LINE, MASK, SET, TENSOR, TO_HOME, WRITES, entry
from memgrain.sim.cache.fast.quick import quick_read
from memgrain.sim.cache.fast.set_groups import leader
from memgrain.sim.cache.general import read_line, write_line
from memgrain.sim.cache.outgoing import PATTERN, repeat_for_grain
from memgrain.sim.cache.slices import reserve_grain
from memgrain.sim.cache.ways import SETTLED, STATE, TAG_BITS, find, index, slot_of
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import population


@inlined
def enter_grain(line, asked, home, first, group, quotient, queue, book):
    """Make a grain the only entry of the queue, with the leaders of its cohorts as its sets."""
    size = book[bk.SETS]
    near = leader(first * size + group, book)
    queue[LINE], queue[ASKED], queue[HOME], queue[KEY] = line, asked, home, quotient << TAG_BITS
    queue[SET], queue[TO_HOME] = near, leader(home * size + group, book) - near if home != first else 0
    if first != book[bk.NEAR]:
        queue[ASKED] |= FAR
    book[bk.WITHIN] = group & (book[bk.GRAIN] - 1)


@inlined
def lacks(key, mask, group, sets, book):
    """Whether a set has a line, but not all sectors of `mask`."""
    at = find(key, group, sets, book)
    if at < 0:
        return False
    word = np.int64(sets[index(group * book[bk.POSITIONS] + at)])
    return word & SETTLED == 0 and mask & ~np.int64(sets[index(slot_of(word, group, book) + STATE)]) != 0


@inlined
def serve_grain(sets, arrivals, out, queue, book):
    """Read or write the grain that is the queue's only entry. Returns False, with nothing done, if its lines must be
    served one by one: copies of lines that are there in part may arrive at different times."""
    asked, group, to_home = entry(ASKED, 0, queue), entry(SET, 0, queue), entry(TO_HOME, 0, queue)
    mask, tensor, key = asked & MASK, (asked >> TENSOR) & 0xFF, entry(KEY, 0, queue)
    copies = to_home and asked & WRITES == 0
    if copies and (lacks(key, mask, group, sets, book) or lacks(key, mask, group + to_home, sets, book)):
        return False
    if asked & FIRST:
        book[bk.LAST_END] = -1
    if asked & WRITES:
        serve_generally(np.int64(0), sets, arrivals, out, queue, book)
        return True
    first = book[bk.NEAR] if book[bk.REPLICATE] else entry(HOME, 0, queue)
    start = reserve_grain(entry(LINE, 0, queue), first, population(mask), queue, book)
    book[bk.LATEST] = max(book[bk.LATEST], start)
    if book[bk.QUICK] and asked & FAR == 0:
        book[bk.LINES] = book[bk.GRAIN]
        done, _ = quick_read(np.int64(0), book[bk.GRAIN], mask, tensor, start, True, sets, arrivals, out, queue, book)
        book[bk.LINES] = 1
        if done >= 0:
            book[bk.DONE] = max(book[bk.DONE], done)
            return True
    serve_generally(start, sets, arrivals, out, queue, book)
    return True


@compiled
def serve_generally(start, sets, arrivals, out, queue, book):
    """Write the grain that is the queue's only entry, or read it, its slices having served the last line at `start`.

    What it sends down for one line is put at the end of `out` first."""
    last, end, sent, pattern = book[bk.LAST_READ], book[bk.LAST_END], book[bk.OUT], len(out) - PATTERN
    book[bk.OUT], book[bk.LAST_END], book[bk.LINES] = pattern, -1, book[bk.GRAIN]
    if entry(ASKED, 0, queue) & WRITES:
        write_line(np.int64(0), sets, arrivals, out, queue, book)
    else:
        read_line(np.int64(0), start, sets, arrivals, out, queue, book)
    until = book[bk.OUT]
    book[bk.OUT], book[bk.LAST_READ], book[bk.LAST_END], book[bk.LINES] = sent, last, end, 1
    repeat_for_grain(pattern, until, book[bk.WITHIN], out, book)
