"""Reads past a cache that hold their lines: when each of several reads of one line may begin."""

import numpy as np

from memgrain.sim.native.jit import compiled


@compiled
def hold_lines(runs, indices, first, count, repeat, now, line_bits, time, free):
    """Longest wait, in ps, of the pieces of `count` runs from `first` on, each of which holds its lines for `time`.

    `free` is the time until which a line is held; lines as many apart as it has entries (a power of two) share one.
    """
    longest, last = 0, len(free) - 1
    for r in range(first, first + count):
        run = runs[r]
        base, stride, size = np.int64(run["base"]), np.int64(run["stride"]), np.int64(run["bytes"])
        index = np.int64(run["index"])
        if index < 0:
            base += repeat * np.int64(run["advance"])
        else:
            index += repeat * np.int64(run["advance"])
        for i in range(np.int64(run["count"])):
            low = base + (indices[index + i] if index >= 0 else i) * stride
            for line in range(low >> line_bits, ((low + size - 1) >> line_bits) + 1):
                start = max(now, free[line & last])
                free[line & last] = start + time
                longest = max(longest, start - now)
    return longest
