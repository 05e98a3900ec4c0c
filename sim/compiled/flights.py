"""What a core has in flight: a heap of arrivals and bytes."""

import numpy as np

from sim.compiled import tables as tb
from sim.compiled.jit import inlined


@inlined
def has_room(core, size, stand):
    """Whether the core may have `size` more bytes in flight; what has arrived by now makes room."""
    flights, now = stand.flights[core], stand.facts[tb.NOW]
    while flights[0, 0] and flights[1, 0] <= now:
        flights[0, 1] -= flights[1, 1]
        flights[0, 0] -= 1
        drop_first(flights)
    return flights[0, 0] == 0 or flights[0, 1] + size <= stand.facts[tb.MOST_IN_FLIGHT]


@inlined
def drop_first(flights):
    """Close the gap that the first of a heap of flights left; their number is that without it."""
    count = flights[0, 0]
    time, size = flights[1 + count, 0], flights[1 + count, 1]
    hole = np.int64(1)
    while True:
        child = 2 * hole
        if child > count:
            break
        if child < count and flights[child + 1, 0] < flights[child, 0]:
            child += 1
        if time <= flights[child, 0]:
            break
        flights[hole, 0], flights[hole, 1] = flights[child, 0], flights[child, 1]
        hole = child
    flights[hole, 0], flights[hole, 1] = time, size


@inlined
def take_off(core, time, size, stand):
    """A load of `size` bytes is in flight until `time`."""
    flights = stand.flights[core]
    flights[0, 0] += 1
    flights[0, 1] += size
    hole = flights[0, 0]
    while hole > 1 and time < flights[hole >> 1, 0]:
        flights[hole, 0], flights[hole, 1] = flights[hole >> 1, 0], flights[hole >> 1, 1]
        hole >>= 1
    flights[hole, 0], flights[hole, 1] = time, size
