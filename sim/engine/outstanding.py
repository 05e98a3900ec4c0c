"""Outstanding loads: for each core a heap of arrivals, each with the cause of its wait and its bytes."""

import numpy as np

from memgrain.sim.engine import tables as tb
from memgrain.sim.native.jit import inlined
from memgrain.sim.native.records import record_type

OUTSTANDING_LOAD = record_type("arrival", "cause", "bytes")
"""A load under way: when its data arrive (ps), what it waits for, and what it counts for among the bytes in flight."""


@inlined
def arrives_before(arrival, cause, load):
    """Whether (arrival, cause) comes before a load of the heap."""
    return arrival < load.arrival or (arrival == load.arrival and cause < load.cause)


@inlined
def has_room(core, size, state):
    """Whether the core may have `size` more bytes in flight; loads that have arrived by now make room."""
    loads, own, now = state.outstanding[core], state.cores[core], state.progress.now
    while own.loads and loads[0].arrival <= now:
        own.bytes_in_flight -= loads[0].bytes
        own.loads -= 1
        drop_first(loads, own.loads)
    return own.loads == 0 or own.bytes_in_flight + size <= state.constants.most_in_flight


@inlined
def cause_of_full_core(core, state):
    """What a core without room waits for: the cause of its first arrival, or, if that is the latency alone, the limit
    of bytes in flight."""
    cause, levels = state.outstanding[core, 0].cause, state.constants.levels
    return levels + tb.IN_FLIGHT if cause == levels + tb.LATENCY else cause


@inlined
def move(hole, other, loads):
    """Copy a load of the heap into the hole."""
    to, load = loads[hole], loads[other]
    to.arrival, to.cause, to.bytes = load.arrival, load.cause, load.bytes


@inlined
def drop_first(loads, number):
    """Remove the first load of a heap that has `number` loads without it."""
    hole = np.int64(0)
    while True:
        child = 2 * hole + 1
        if child >= number:
            break
        if child + 1 < number and arrives_before(loads[child + 1].arrival, loads[child + 1].cause, loads[child]):
            child += 1
        if not arrives_before(loads[child].arrival, loads[child].cause, loads[number]):
            break
        move(hole, child, loads)
        hole = child
    move(hole, number, loads)


@inlined
def add_load(core, arrival, cause, size, state):
    """A load of `size` bytes is outstanding until `arrival`, and waits for `cause`."""
    loads, own = state.outstanding[core], state.cores[core]
    hole = own.loads
    own.loads += 1
    own.bytes_in_flight += size
    while hole > 0 and arrives_before(arrival, cause, loads[(hole - 1) >> 1]):
        move(hole, (hole - 1) >> 1, loads)
        hole = (hole - 1) >> 1
    load = loads[hole]
    load.arrival, load.cause, load.bytes = arrival, cause, size
