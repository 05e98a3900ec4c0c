"""Replacement policies: one function each, which notes a touch of a way, and one which names the victim of a full set.

A set is a stretch of `sets` (int32): a head of four (lines in it, its clock, tree-PLRU's bits, nothing), then the tags,
then a note per way (time stamp, or SRRIP's re-reference value), then what `lookup` keeps. `event` is HIT or FILL.
References: tree-PLRU as in Smith & Goodman 1983; SRRIP with hit priority and 2 bits as in Jaleel et al., ISCA 2010,
section 4.2.
"""

from sim.compiled.jit import compiled, inlined

LRU, FIFO, RANDOM, PLRU, SRRIP = range(5)
POLICIES = {"lru": LRU, "fifo": FIFO, "random": RANDOM, "plru": PLRU, "srrip": SRRIP}
HIT, FILL = 0, 1
LONGEST = 3
FILLED, CLOCK, TREE, _NOTHING, HEAD = range(5)


@inlined
def random_number(seed):
    """The next state of a 63-bit xorshift generator; never 0."""
    seed ^= (seed << 13) & 0x7FFFFFFFFFFFFFFF
    seed ^= seed >> 7
    seed ^= (seed << 17) & 0x7FFFFFFFFFFFFFFF
    return seed


@inlined
def plru_touch(bits, way, ways):
    """The tree's bits with all arrows on the way to `way` pointing away from it (set: the victim is on the right)."""
    node, low, high = 0, 0, ways
    while high - low > 1:
        middle = (low + high) // 2
        if way < middle:
            bits |= 1 << node
            node, high = 2 * node + 1, middle
        else:
            bits &= ~(1 << node)
            node, low = 2 * node + 2, middle
    return bits


@inlined
def touch(policy, sets, base, way, ways, event):
    """Note that `way` of the set at `base` was hit or filled."""
    note = base + HEAD + ways + way
    if policy == LRU or (policy == FIFO and event == FILL):
        sets[base + CLOCK] += 1
        sets[note] = sets[base + CLOCK]
    elif policy == PLRU:
        sets[base + TREE] = plru_touch(sets[base + TREE], way, ways)
    elif policy == SRRIP:
        sets[note] = LONGEST - 1 if event == FILL else 0


@inlined
def oldest(sets, notes, ways):
    """The way with the smallest time stamp."""
    least = sets[notes]
    for way in range(ways):
        least = min(least, sets[notes + way])
    found = 0
    for way in range(ways):
        if sets[notes + way] == least:
            found = way
    return found


@inlined
def plru_victim(bits, ways):
    """The way that PLRU's arrows point to."""
    node, low, high = 0, 0, ways
    while high - low > 1:
        middle = (low + high) // 2
        if bits & (1 << node):
            node, low = 2 * node + 2, middle
        else:
            node, high = 2 * node + 1, middle
    return low


@compiled
def srrip_victim(sets, notes, ways):
    """The first way of the longest re-reference value, all ways ageing until there is one."""
    while True:
        for way in range(ways):
            if sets[notes + way] >= LONGEST:
                return way
        for way in range(ways):
            sets[notes + way] += 1


@inlined
def victim(policy, sets, base, ways, random):
    """The way of the full set at `base` that makes room; `random[0]` is the generator's state."""
    notes = base + HEAD + ways
    if policy == RANDOM:
        random[0] = random_number(random[0])
        found = (random[0] >> 16) % ways
    elif policy == PLRU:
        found = plru_victim(sets[base + TREE], ways)
    elif policy == SRRIP:
        found = srrip_victim(sets, notes, ways)
    else:
        found = oldest(sets, notes, ways)
    return found
