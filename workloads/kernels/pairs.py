"""Pairs of a query and a token that an attention call computes, independent of the kernel."""

from __future__ import annotations

import numpy as np

from memgrain.workloads.patterns import seen_in_units
from memgrain.workloads.workload import Workload

TOGETHER = 1 << 20
"""Queries counted at a time (8 MiB an array)."""


def pairs_of_head(workload: Workload) -> int:
    """Pairs of a query and a token that it attends to, for one query head of one sequence.

    Each query counts for itself: the tokens that its pattern admits, and of its own candidates as many as the selection
    chooses. Tokens that a tile reads for its other queries are the kernel's overhead and do not count.
    """
    shape, selection, total = workload.shape, workload.selection, 0
    for first in range(0, shape.q_len, TOGETHER):
        queries = np.arange(first, min(first + TOGETHER, shape.q_len), dtype=np.int64)
        seen = seen_in_units(workload.pattern.each(shape, queries, selection is not None), workload.unit)
        total += int(seen.tokens.sum())
        sizes, times = np.unique(seen.stop - seen.start, return_counts=True)
        if selection is not None:
            chosen = [min(selection.count(size, workload.unit), size) if size else 0 for size in sizes.tolist()]
            total += int(np.dot(chosen, times))
    return total
