"""The most lines of a cache that a request of a step can touch, counted once for all repeats."""

from memgrain.sim.levels.run_sizes import count_lines
from memgrain.sim.native.jit import compiled


@compiled
def most_lines(runs, steps, line_bytes):
    """The most lines that a request of `steps` (of tables.STEP) can touch."""
    most = 0
    for i in range(len(steps)):
        step = steps[i]
        loads = step.first_run + step.index_runs
        stores = loads + step.load_runs
        most = max(most, count_lines(runs, step.first_run, step.index_runs, line_bytes))
        most = max(most, count_lines(runs, loads, step.load_runs, line_bytes))
        most = max(most, count_lines(runs, stores, step.store_runs, line_bytes))
    return most
