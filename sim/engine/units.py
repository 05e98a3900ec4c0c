"""The matrix and vector units and issue slots of the cores, each booked until a time: `Units.reserve` of
`memgrain.sim.levels.compute`, compiled."""

import numpy as np

from memgrain.sim.native.jit import inlined
from memgrain.sim.native.records import record_type

COMPUTATION = record_type("matmul", "vector", "macs", "alone", "issue", "demand", "rounds")
"""A computation, see `memgrain.sim.levels.compute.Computation`. `demand` is that of all its groups on the matrix unit;
`rounds` is where in the array of rounds its times begin, beside 0, 1, 2 ... other programs (-1: the kernel does not say
how it feeds the units)."""


@inlined
def reserve(core, work, now, rounds, state):
    """When (ps) a computation, ready at `now`, is done: it waits for the issue slots that are booked, then takes its
    own course, or longer where units are booked."""
    own, ends = state.cores[core], state.round_ends[core]
    start = max(own.issue_free, now)
    own.issue_free = start + work.issue
    if work.rounds < 0:
        own.matmul_free = max(own.matmul_free, start) + work.matmul
        own.vector_free = max(own.vector_free, start) + work.vector
        return max(start + work.alone, own.matmul_free, own.vector_free)
    others = np.int64(0)
    for i in range(own.computing):
        end = ends[i]
        if end > start:
            ends[others] = end
            others += 1
    own.matmul_free = max(own.matmul_free, start) + work.demand
    end = max(start + max(work.alone, rounds[work.rounds + others]), own.matmul_free)
    ends[others] = end
    own.computing = others + 1
    return end
