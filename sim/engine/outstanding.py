"""What a core has in flight: a heap of arrivals, what each waits for, and bytes."""

import numpy as np

from memgrain.sim.engine import tables as tb
from memgrain.sim.native.jit import inlined

ARRIVAL, CAUSE, SIZE, ENTRIES = range(4)
"""Entries of a flight; of the heap's head: how many there are, nothing, their bytes."""


@inlined
def earlier(time, cause, other, flights):
    """Whether (time, cause) comes before a flight of the heap."""
    there = flights[other, ARRIVAL]
    return time < there or (time == there and cause < flights[other, CAUSE])


@inlined
def has_room(core, size, stand):
    """Whether the core may have `size` more bytes in flight; what has arrived by now makes room."""
    flights, now = stand.flights[core], stand.facts[tb.NOW]
    while flights[0, 0] and flights[1, ARRIVAL] <= now:
        flights[0, SIZE] -= flights[1, SIZE]
        flights[0, 0] -= 1
        drop_first(flights)
    return flights[0, 0] == 0 or flights[0, SIZE] + size <= stand.facts[tb.MOST_IN_FLIGHT]


@inlined
def room_waits_for(core, stand):
    """What a core that has no room waits for: what its first arrival waits for, or, if that is the latency alone, that
    so few bytes may be in flight."""
    cause, levels = stand.flights[core, 1, CAUSE], stand.facts[tb.LEVELS]
    return levels + tb.FLIGHT if cause == levels + tb.LATENCY else cause


@inlined
def drop_first(flights):
    """Close the gap that the first of a heap of flights left; their number is that without it."""
    count = flights[0, 0]
    time, cause, size = flights[1 + count, ARRIVAL], flights[1 + count, CAUSE], flights[1 + count, SIZE]
    hole = np.int64(1)
    while True:
        child = 2 * hole
        if child > count:
            break
        if child < count and earlier(flights[child + 1, ARRIVAL], flights[child + 1, CAUSE], child, flights):
            child += 1
        if not earlier(flights[child, ARRIVAL], flights[child, CAUSE], 1 + count, flights):
            break
        for i in range(ENTRIES):
            flights[hole, i] = flights[child, i]
        hole = child
    flights[hole, ARRIVAL], flights[hole, CAUSE], flights[hole, SIZE] = time, cause, size


@inlined
def take_off(core, time, cause, size, stand):
    """A load of `size` bytes is in flight until `time`, and waits for `cause`."""
    flights = stand.flights[core]
    flights[0, 0] += 1
    flights[0, SIZE] += size
    hole = flights[0, 0]
    while hole > 1 and earlier(time, cause, hole >> 1, flights):
        for i in range(ENTRIES):
            flights[hole, i] = flights[hole >> 1, i]
        hole >>= 1
    flights[hole, ARRIVAL], flights[hole, CAUSE], flights[hole, SIZE] = time, cause, size
