"""Distinct tokens and pages of K and V that a workload reads: the compulsory traffic of its trace."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.patterns import Range, merged
from memgrain.workloads.selection import list_of
from memgrain.workloads.workload import Workload


def distinct_tokens(workload: Workload, queries: Sequence[Range]) -> int:
    """Distinct tokens read by q tiles `queries` (first and last query of each), summed over contexts and KV heads. A
    context belongs to a batch entry, or to all entries where they share one.

    Index lists are drawn again only where their union depends on them: several lists on one KV head, or several q tiles
    or batch entries that do not stream every token.
    """
    shape, selection, shared = workload.shape, workload.selection, workload.layout.shared
    entries = range(shape.batch)
    contexts = [entries] if shared else [range(batch, batch + 1) for batch in entries]
    visits = [workload.visits(*tile) for tile in queries]
    edges = np.zeros(shape.kv_len + 1, np.int64)
    for start, stop in (r for v in visits for r in v.ranges):
        edges[start] += 1
        edges[stop] -= 1
    streamed: NDArray[np.bool_] = np.cumsum(edges)[:-1] > 0
    alike, fixed = len(contexts) * shape.kv_heads, int(np.count_nonzero(streamed))
    if selection is None or fixed == shape.kv_len:
        return fixed * alike
    one_list = len(queries) == 1 and (selection.share != "head" or shape.group == 1)
    if one_list and (shape.batch == 1 or not shared):
        start, stop = visits[0].candidates
        return (fixed + (selection.count(stop - start, workload.unit) if start < stop else 0)) * alike
    candidates = [v.candidates for v in visits]
    if selection.share == "all":
        return sum(_union(workload, streamed, candidates, own, 0) for own in contexts) * shape.kv_heads
    return sum(_union(workload, streamed, candidates, own, h) for own in contexts for h in range(shape.kv_heads))


def pages_read(workload: Workload, page: int, queries: Sequence[Range]) -> int:
    """Pages of `page` tokens of which q tiles `queries` stream at least one token, summed over contexts."""
    ranges = [(a // page, -(-b // page)) for tile in queries for a, b in workload.visits(*tile).ranges]
    pages = sum(stop - start for start, stop in merged(ranges))
    return pages * (1 if workload.layout.shared else workload.shape.batch)


def _union(
    workload: Workload, streamed: NDArray[np.bool_], candidates: list[Range], batches: range, kv_head: int
) -> int:
    """Distinct tokens that the query heads of one kv head read, in batch entries `batches` together."""
    shape, selection, read = workload.shape, workload.selection, streamed.copy()
    assert selection is not None
    heads = range(kv_head * shape.group, (kv_head + 1) * shape.group)
    numbers = sorted({list_of(selection.share, shape, head) for head in heads})
    for batch, number, (tile, (start, stop)) in product(batches, numbers, enumerate(candidates)):
        if not read[start:stop].all():
            first = selection.choose(batch, number, tile, (start, stop), workload.unit)
            read[(first[:, None] + np.arange(workload.unit)).ravel()] = True
    return int(np.count_nonzero(read))
