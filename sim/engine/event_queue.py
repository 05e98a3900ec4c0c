"""What is to happen and when: a heap of (time, order of entry, who), as SimPy's queue of events has it.

Entries of one time leave in the order in which they were entered. `size` is a part of the engine's state that the
caller keeps, so that nothing here allocates.
"""

import numpy as np

from memgrain.sim.native.jit import inlined

TIME, ORDER, WHO, ENTRIES = range(4)


@inlined
def before(time, order, entry, heap):
    """Whether (time, order) comes before an entry of the heap."""
    there = heap[entry, TIME]
    return time < there or (time == there and order < heap[entry, ORDER])


@inlined
def enter(time, order, who, size, heap):
    """Enter an event into a heap of `size`, which is one larger then."""
    hole = size
    while hole > 0:
        parent = (hole - 1) >> 1
        if not before(time, order, parent, heap):
            break
        for i in range(ENTRIES):
            heap[hole, i] = heap[parent, i]
        hole = parent
    heap[hole, TIME], heap[hole, ORDER], heap[hole, WHO] = time, order, who


@inlined
def leave(size, heap):
    """Take the first event out of a heap of `size`, which is one smaller then; returns its time and who."""
    time, who = heap[0, TIME], heap[0, WHO]
    last = size - 1
    moved, order = heap[last, TIME], heap[last, ORDER]
    hole = np.int64(0)
    while True:
        child = 2 * hole + 1
        if child >= last:
            break
        if child + 1 < last and before(heap[child + 1, TIME], heap[child + 1, ORDER], child, heap):
            child += 1
        if before(moved, order, child, heap):
            break
        for i in range(ENTRIES):
            heap[hole, i] = heap[child, i]
        hole = child
    heap[hole, TIME], heap[hole, ORDER], heap[hole, WHO] = moved, order, heap[last, WHO]
    return time, who
