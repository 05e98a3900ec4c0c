"""Sizes of the steps of a kernel, counted once for all repeats: bytes in flight, and the most lines of a cache."""

from memgrain.sim.levels.dma_requests import count_requests
from memgrain.sim.levels.run_sizes import count_bytes, count_lines
from memgrain.sim.native.jit import compiled


@compiled
def count_in_flight(runs, indices, first, count, largest, smallest):
    """Bytes in flight for which `count` runs from `first` on count: their bytes, or,
    where a DMA engine cuts them into requests (`largest` is not 0), as many of the largest."""
    if not largest:
        return count_bytes(runs, first, count)
    return count_requests(runs, indices, first, count, largest, smallest) * largest


@compiled
def measure(runs, indices, steps, largest, smallest, line_bytes):
    """Enter what the loads of `steps` (of tables.STEP) count for into their `in_flight`; returns the most lines that a
    request can touch."""
    most = 0
    for i in range(len(steps)):
        step = steps[i]
        loads = step.first_run + step.index_runs
        stores = loads + step.load_runs
        step.in_flight = count_in_flight(runs, indices, loads, step.load_runs, largest, smallest)
        most = max(most, count_lines(runs, step.first_run, step.index_runs, line_bytes))
        most = max(most, count_lines(runs, loads, step.load_runs, line_bytes))
        most = max(most, count_lines(runs, stores, step.store_runs, line_bytes))
    return most
