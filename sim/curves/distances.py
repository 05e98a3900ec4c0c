"""LRU stack distances of a fully associative cache: how many other lines were touched since a line was touched last.

Marks on a time axis, one for each line at the time of its last touch; a distance is the number of marks after a line's
(Bennett and Kruskal, IBM J. Res. Dev. 19(4), 1975). Marks are bits. They are counted by blocks in a Fenwick tree
(Fenwick, Software: Practice and Experience 24(3), 1994), the newest block apart, so that a line touched a short while
ago costs no way through the tree. When the time axis is full, marks move up to its begin.
"""

from memgrain.sim.curves.stacks import AHEAD, TENSOR, WRITES, entry, index
from memgrain.sim.native.address import scramble
from memgrain.sim.native.host_prefetch import host_prefetch
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import lowest, population

WORD_BITS, BLOCK_BITS = 5, 9
"""Times of a word of marks, and of a block that the tree counts, as powers of two; a word of 64 bits holds 32, so that
it never is negative."""
WITHIN = (1 << WORD_BITS) - 1
BLOCK_WORDS = 1 << (BLOCK_BITS - WORD_BITS)
NEVER = 2**31 - 1
"""Distance of a line that was never touched."""
NOW, IN_TREE, NEWEST, STATE = range(4)
"""What a counter carries along: the time; marks in the tree, and in the newest block."""


@inlined
def add(block, count, tree):
    """Count `count` more marks in a block."""
    at = block + 1
    while at < len(tree):
        tree[index(at)] += count
        at += at & -at


@inlined
def marks_until(block, tree):
    """Marks in the blocks up to this one."""
    total, at = 0, block + 1
    while at:
        total += tree[index(at)]
        at &= at - 1
    return total


@inlined
def marks_behind(time, marks):
    """Marks behind a time in the block that it is in."""
    word = time >> WORD_BITS
    total = population(marks[index(word)] >> ((time & WITHIN) + 1))
    word += 1
    while word & (BLOCK_WORDS - 1):
        total += population(marks[index(word)])
        word += 1
    return total


@inlined
def distance(line, state, last, marks, tree):
    """The distance of a line, whose mark is taken away."""
    time = entry(line, last) - 1
    if time < 0:
        return NEVER
    block = time >> BLOCK_BITS
    behind = marks_behind(time, marks)
    marks[index(time >> WORD_BITS)] &= ~(1 << (time & WITHIN))
    if block == state[NOW] >> BLOCK_BITS:
        state[NEWEST] -= 1
        return behind
    behind += state[IN_TREE] - marks_until(block, tree) + state[NEWEST]
    add(block, -1, tree)
    state[IN_TREE] -= 1
    return behind


@inlined
def mark(line, state, last, owners, marks, tree):
    """Set the time of a line's last touch to now."""
    now = state[NOW]
    marks[index(now >> WORD_BITS)] |= 1 << (now & WITHIN)
    owners[index(now)] = line
    last[index(line)] = now + 1
    state[NOW] = now + 1
    state[NEWEST] += 1
    if (now + 1) & ((1 << BLOCK_BITS) - 1) == 0:
        add(now >> BLOCK_BITS, state[NEWEST], tree)
        state[IN_TREE] += state[NEWEST]
        state[NEWEST] = 0


@compiled
def move_up(state, last, owners, marks, tree):
    """Number the marks anew from the begin of the time axis on."""
    count = 0
    for word in range((state[NOW] + WITHIN) >> WORD_BITS):
        left = marks[index(word)]
        while left:
            line = owners[index((word << WORD_BITS) + lowest(left))]
            owners[index(count)] = line
            last[index(line)] = count + 1
            count += 1
            left &= left - 1
    marks[:] = 0
    for time in range(count):
        marks[index(time >> WORD_BITS)] |= 1 << (time & WITHIN)
    tree[:] = 0
    for block in range(count >> BLOCK_BITS):
        add(block, 1 << BLOCK_BITS, tree)
    state[NOW] = count
    state[NEWEST] = count & ((1 << BLOCK_BITS) - 1)
    state[IN_TREE] = count - state[NEWEST]


@compiled
def measure(count, lines, requests, granules, state, last, depths, owners, marks, tree, found, tensors):
    """Touch the first `count` lines. Enters for each granule that is read how many lines a cache needs beyond one to
    have it, and its tensor, into `found` and `tensors`; returns how many these are.

    `depths` holds, by line and granule, the largest distance of the line since the granule was fetched.
    """
    entered = 0
    for i in range(count):
        soon = entry(min(i + AHEAD, count - 1), lines)
        host_prefetch(last, soon)
        host_prefetch(depths, soon * granules)
        line, bits = entry(i, lines), entry(i, requests)
        far = distance(line, state, last, marks, tree)
        mark(line, state, last, owners, marks, tree)
        for granule in range(granules):
            at = index(line * granules + granule)
            deepest = max(entry(at, depths), far)
            if bits >> granule & 1 == 0:
                depths[at] = deepest
                continue
            depths[at] = 0
            if bits & WRITES == 0:
                found[index(entered)] = deepest
                tensors[index(entered)] = (bits >> TENSOR) & 0xFF
                entered += 1
    return entered


@compiled
def tally(entered, found, tensors, counts, never):
    """Count the measured reads by tensor and distance; reads that hit in no cache go to `never`."""
    for i in range(entered):
        if found[index(i)] == NEVER:
            never[index(tensors[index(i)])] += 1
        else:
            counts[index(tensors[index(i)]), index(found[index(i)])] += 1


@compiled
def sample(count, lines, requests, granules, limit, groups, ids, state, totals, chosen, chosen_requests, sample_of):
    """Keep the accesses to the lines, of the first `count`, whose hash is below `limit` (of 2**24).

    Enters for each access the line's number among the sampled lines, the bits of its request, and which of `groups` (a
    power of two) it belongs to by other bits of the hash. Counts all granules read, by tensor, in `totals`; `state[0]`
    is how many lines have been sampled. Returns how many accesses were kept. Source: Waldspurger, Park, Garthwaite and
    Ahmad, FAST 2015.
    """
    kept = 0
    for i in range(count):
        line, bits = entry(i, lines), entry(i, requests)
        if bits & WRITES == 0:
            totals[index((bits >> TENSOR) & 0xFF)] += population(bits & ((1 << granules) - 1))
        hashed = scramble(line)
        if hashed >> 8 >= limit:
            continue
        if ids[index(line)] < 0:
            ids[index(line)] = state[0]
            state[0] += 1
        chosen[index(kept)] = ids[index(line)]
        chosen_requests[index(kept)] = bits
        sample_of[index(kept)] = hashed & (groups - 1)
        kept += 1
    return kept
