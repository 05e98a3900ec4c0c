"""The matrix and vector units and issue slots of the cores as times until which they are booked: what `reserve` of
`memgrain.sim.levels.compute` does."""

import numpy as np

from memgrain.sim.native.jit import inlined

MATMUL, VECTOR, MACS, ALONE, ISSUE, DEMAND, ROUNDS, WORK = range(8)
"""Entries of a work: see `memgrain.sim.levels.compute.Work`; the demand of all its groups on the matrix unit, and where
in `rounds` its rounds begin, beside 0, 1, 2 ... other programs (-1: the kernel does not say how it feeds the units)."""
MATMUL_FREE, VECTOR_FREE, ISSUE_FREE, COMPUTING, FREE = range(5)
"""Entries of a core: times until which its units are booked, and how many ends of steps it keeps from FREE on."""


@inlined
def reserve(core, work, now, works, rounds, units):
    """When (ps) a work, ready at `now`, is done: it waits for the issue slots that are booked, then takes its own
    course, or longer where units are booked."""
    start = max(units[core, ISSUE_FREE], now)
    units[core, ISSUE_FREE] = start + works[work, ISSUE]
    alone = works[work, ALONE]
    if works[work, ROUNDS] < 0:
        units[core, MATMUL_FREE] = max(units[core, MATMUL_FREE], start) + works[work, MATMUL]
        units[core, VECTOR_FREE] = max(units[core, VECTOR_FREE], start) + works[work, VECTOR]
        return max(start + alone, units[core, MATMUL_FREE], units[core, VECTOR_FREE])
    others = np.int64(0)
    for i in range(units[core, COMPUTING]):
        end = units[core, FREE + i]
        if end > start:
            units[core, FREE + others] = end
            others += 1
    units[core, MATMUL_FREE] = max(units[core, MATMUL_FREE], start) + works[work, DEMAND]
    mean = rounds[works[work, ROUNDS] + others]
    end = max(start + max(alone, mean), units[core, MATMUL_FREE])
    units[core, FREE + others] = end
    units[core, COMPUTING] = others + 1
    return end
