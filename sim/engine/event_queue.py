"""The event queue: a heap of (time, order of entry, target), as SimPy keeps its events.

Events of one time leave in the order in which they were entered. The caller keeps the number of events, so that nothing
here allocates.
"""

import numpy as np

from memgrain.sim.native.jit import inlined
from memgrain.sim.native.records import record_type

EVENT = record_type("time", "order", "target")
"""An event: its time in ps, a number that grows with every entry, and what it advances: see `schedule` of
`memgrain.sim.engine.dispatch`."""


@inlined
def before(time, order, event):
    """Whether (time, order) comes before an event of the heap."""
    return time < event.time or (time == event.time and order < event.order)


@inlined
def move(hole, other, heap):
    """Copy event `other` of the heap into the hole, field by field: LLVM copies a whole record byte by byte."""
    to, event = heap[hole], heap[other]
    to.time, to.order, to.target = event.time, event.order, event.target


@inlined
def push(time, order, target, number, heap):
    """Enter an event into a heap of `number` events."""
    hole = number
    while hole > 0:
        parent = (hole - 1) >> 1
        if not before(time, order, heap[parent]):
            break
        move(hole, parent, heap)
        hole = parent
    event = heap[hole]
    event.time, event.order, event.target = time, order, target


@inlined
def pop(number, heap):
    """Remove the first of `number` events; returns its time and target."""
    time, target = heap[0].time, heap[0].target
    last = number - 1
    moved, order = heap[last].time, heap[last].order
    hole = np.int64(0)
    while True:
        child = 2 * hole + 1
        if child >= last:
            break
        if child + 1 < last and before(heap[child + 1].time, heap[child + 1].order, heap[child]):
            child += 1
        if before(moved, order, heap[child]):
            break
        move(hole, child, heap)
        hole = child
    move(hole, last, heap)
    return time, target
