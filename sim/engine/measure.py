"""What the steps of a kernel ask for, counted once for all repeats: bytes in flight, and lines of a cache at most."""

from memgrain.sim.levels.dma_requests import count_requests
from memgrain.sim.levels.run_sizes import count_bytes, count_lines
from memgrain.sim.native.jit import compiled


@compiled
def count_in_flight(runs, indices, first, count, largest, smallest):
    """What `count` runs from `first` on count for among the bytes that a core may have in flight: their bytes, or,
    where a DMA engine cuts them into requests (`largest` is not 0), as many of the largest."""
    if not largest:
        return count_bytes(runs, first, count)
    return count_requests(runs, indices, first, count, largest, smallest) * largest


@compiled
def measure(runs, indices, starts, counts, largest, smallest, line_bytes, in_flight):
    """Write what the loads of steps count for into `in_flight`; returns the most lines that a request can touch.

    `counts[step]` are a step's index runs, loads and stores, the first of which is run `starts[step]`.
    """
    most = 0
    for step in range(len(starts)):
        first = starts[step]
        for part in range(3):
            count = counts[step, part]
            if part == 1:
                in_flight[step] = count_in_flight(runs, indices, first, count, largest, smallest)
            most = max(most, count_lines(runs, first, count, line_bytes))
            first += count
    return most
