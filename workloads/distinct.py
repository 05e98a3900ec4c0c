"""How many distinct tokens of K and V a workload reads, so that a trace knows its compulsory traffic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.patterns import Range
from workloads.selection import list_of
from workloads.workload import Workload


def distinct_tokens(workload: Workload, queries: Sequence[Range]) -> int:
    """Distinct tokens read by q tiles `queries` (first and last query of each), summed over batch entries and kv heads.

    Index lists are drawn again only where their union is not known without them: several lists on one kv head, or
    several q tiles that do not stream every token anyway.
    """
    shape, selection = workload.shape, workload.selection
    visits = [workload.visits(*tile) for tile in queries]
    edges = np.zeros(shape.kv_len + 1, np.int64)
    for start, stop in (r for v in visits for r in v.ranges):
        edges[start] += 1
        edges[stop] -= 1
    streamed: NDArray[np.bool_] = np.cumsum(edges)[:-1] > 0
    alike, fixed = shape.batch * shape.kv_heads, int(np.count_nonzero(streamed))
    if selection is None or fixed == shape.kv_len:
        return fixed * alike
    if len(queries) == 1 and (selection.share != "head" or shape.group == 1):
        start, stop = visits[0].candidates
        return (fixed + (selection.count(stop - start, workload.unit) if start < stop else 0)) * alike
    candidates = [v.candidates for v in visits]
    if selection.share == "all":
        return sum(_union(workload, streamed, candidates, b, 0) for b in range(shape.batch)) * shape.kv_heads
    return sum(_union(workload, streamed, candidates, b, h) for b in range(shape.batch) for h in range(shape.kv_heads))


def _union(workload: Workload, streamed: NDArray[np.bool_], candidates: list[Range], batch: int, kv_head: int) -> int:
    """Distinct tokens that the query heads of one kv head read."""
    shape, selection, read = workload.shape, workload.selection, streamed.copy()
    assert selection is not None
    heads = range(kv_head * shape.group, (kv_head + 1) * shape.group)
    for number in sorted({list_of(selection.share, shape, head) for head in heads}):
        for tile, (start, stop) in enumerate(candidates):
            if not read[start:stop].all():
                first = selection.choose(batch, number, tile, (start, stop), workload.unit)
                read[(first[:, None] + np.arange(workload.unit)).ravel()] = True
    return int(np.count_nonzero(read))
