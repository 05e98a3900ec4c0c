"""Replacement policies: what a hit and a fill do to the order of a set's ways, and which way a full set gives up.

The words of a set lie in `sets` from `base` on, see `ways`. Under LRU and FIFO their position is their age: a line
moves to the front when it is used (LRU) or filled (both), and the last one is evicted. Under the others a word keeps
its position, and from `notes` on follow tree-PLRU's bits, or a re-reference value of SRRIP for each way. References:
tree-PLRU as in Smith & Goodman 1983; SRRIP with hit priority and 2 bits as in Jaleel et al., ISCA 2010, section 4.2.
"""

from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import LANES, push

LRU, FIFO, RANDOM, PLRU, SRRIP = range(5)
POLICIES = {"lru": LRU, "fifo": FIFO, "random": RANDOM, "plru": PLRU, "srrip": SRRIP}
LONGEST = 3


def count_notes(policy: int, ways: int) -> int:
    """Entries of a set's notes under a policy."""
    return {PLRU: 1, SRRIP: ways}.get(policy, 0)


def ordered_by_age(policy: int) -> bool:
    """Whether the position of a word is its age."""
    return policy <= FIFO


ordered = inlined(ordered_by_age)


@inlined
def to_front(word, position, base, sets):
    """Insert `word` at the front; the words before `position` move back by one."""
    block = position - position % LANES
    while block > 0:
        push(sets, base + block, position - block, sets[base + block - 1])
        position = block - 1
        block -= LANES
    push(sets, base, position, word)


@inlined
def hit(position, base, notes, policy, ways, sets):
    """Update the order for a hit of the word at `position`; returns its new position."""
    if policy == LRU:
        if position:
            to_front(sets[base + position], position, base, sets)
        return 0
    if policy == PLRU:
        sets[notes] = plru_touch(sets[notes], position, ways)
    elif policy == SRRIP:
        sets[notes + position] = 0
    return position


@inlined
def fill(word, position, base, notes, policy, ways, sets):
    """Replace the word at `position` by `word`."""
    if ordered(policy):
        to_front(word, position, base, sets)
        return
    sets[base + position] = word
    if policy == PLRU:
        sets[notes] = plru_touch(sets[notes], position, ways)
    elif policy == SRRIP:
        sets[notes + position] = LONGEST - 1


@inlined
def victim(notes, policy, ways, sets, state):
    """The position in a full set whose line makes room."""
    if policy == RANDOM:
        state.seed = random_number(state.seed)
        return (state.seed >> 16) % ways
    if policy == PLRU:
        return plru_victim(sets[notes], ways)
    if policy == SRRIP:
        return srrip_victim(notes, ways, sets)
    return ways - 1


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
def srrip_victim(notes, ways, sets):
    """The first way of the longest re-reference value, all ways ageing until there is one."""
    while True:
        for way in range(ways):
            if sets[notes + way] >= LONGEST:
                return way
        for way in range(ways):
            sets[notes + way] += 1
