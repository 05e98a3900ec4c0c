"""Replacement policies: one function each, which notes a touch of a way and one which names the victim of a full set.

State is one int64 per line (`note`: a time stamp, or SRRIP's re-reference value) and one int64 per set (`tree`: PLRU's
bits). `clock` counts accesses; `event` is HIT or FILL. References: tree-PLRU as in Smith & Goodman 1983; SRRIP with hit
priority and 2 bits as in Jaleel et al., ISCA 2010, section 4.2.
"""

from sim.compiled.jit import compiled, inlined

LRU, FIFO, RANDOM, PLRU, SRRIP = range(5)
POLICIES = {"lru": LRU, "fifo": FIFO, "random": RANDOM, "plru": PLRU, "srrip": SRRIP}
HIT, FILL = 0, 1
LONGEST = 3


@inlined
def random_number(seed):
    """The next state of a 63-bit xorshift generator; never 0."""
    seed ^= (seed << 13) & 0x7FFFFFFFFFFFFFFF
    seed ^= seed >> 7
    seed ^= (seed << 17) & 0x7FFFFFFFFFFFFFFF
    return seed


@inlined
def touch(policy, note, tree, base, group, way, ways, clock, event):
    """Note that line `base + way` of set `group` was hit or filled."""
    if policy == LRU:
        note[base + way] = clock
    elif policy == FIFO:
        if event == FILL:
            note[base + way] = clock
    elif policy == PLRU:
        node, low, high = 0, 0, ways
        bits = tree[group]
        while high - low > 1:
            middle = (low + high) // 2
            if way < middle:
                bits |= 1 << node
                node, high = 2 * node + 1, middle
            else:
                bits &= ~(1 << node)
                node, low = 2 * node + 2, middle
        tree[group] = bits
    elif policy == SRRIP:
        note[base + way] = LONGEST - 1 if event == FILL else 0


@inlined
def oldest(note, base, ways):
    """The way with the smallest time stamp."""
    least = note[base] << 6
    for way in range(1, ways):
        least = min(least, (note[base + way] << 6) | way)
    return least & 63


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
def srrip_victim(note, base, ways):
    """The first way of the longest re-reference value, all ways ageing until there is one."""
    while True:
        for way in range(ways):
            if note[base + way] >= LONGEST:
                return way
        for way in range(ways):
            note[base + way] += 1


@inlined
def victim(policy, note, tree, base, group, ways, random):
    """The way of a full set that makes room; `random` holds the generator's state."""
    if policy == RANDOM:
        random[0] = random_number(random[0])
        return (random[0] >> 16) % ways
    if policy == PLRU:
        return plru_victim(tree[group], ways)
    if policy == SRRIP:
        return srrip_victim(note, base, ways)
    return oldest(note, base, ways)
