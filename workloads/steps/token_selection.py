"""Token-selection kernels of a step: the scan of all index rows or the search of a tree, and the selection."""

from __future__ import annotations

from math import ceil

import numpy as np

from memgrain.workloads.kernels.tiling import WAVES, Budget
from memgrain.workloads.layouts.layout import bases
from memgrain.workloads.shape import DType, element_bytes
from memgrain.workloads.steps.indexer import IndexRows
from memgrain.workloads.steps.writer import Move, Pieces, Writer
from memgrain.workloads.trace import READ, WRITE, Tensor, Trace

SCORE_BYTES = 4
"""Bytes of a score (fp32), and of an entry of a list or a block table (int32)."""
SCORE_TILE = 1 << 12
"""Bytes of scores that a program of the selection requests at once: one score for each of 1,024 threads (SGLang,
topk.cu)."""
STAGES = 2
"""Tiles of index rows or scores in flight."""


def scan(index: IndexRows, budget: Budget) -> Trace:
    """Programs that share the tiles of each list's index rows, and write a score for each row; several queries of a
    shared context multiply one tile at once."""
    indexer, rows, lists = index.indexer, index.rows, index.lists
    query, line = indexer.heads * indexer.dim * element_bytes(indexer.dtype), rows * SCORE_BYTES
    sizes = {"index_q": lists * query, "index": index.bytes, "scores": lists * line}
    if index.page is not None:
        sizes["table"] = index.table.nbytes
    at, block, apart = bases(sizes), indexer.block, lists // index.workload.shape.batch
    groups = [(own, first) for first in range(0, index.workload.shape.batch, indexer.queries) for own in range(apart)]
    tiles = ceil(rows / block)
    splits = max(1, min(tiles, ceil(min(WAVES, budget.max_programs) * budget.cores / len(groups))))
    share = ceil(tiles / splits)
    writer = Writer()
    pages = writer.numbers(index.table.ravel())
    for own, batch in groups:
        number, queries = batch * apart + own, min(indexer.queries, index.workload.shape.batch - batch)
        for first in range(0, tiles, share):
            begin, end = first * block, min((first + share) * block, rows)
            writer.program(number)
            writer.step([Pieces(at["index_q"] + number * query, apart * query, queries, query, READ, 0)], [])
            whole, rest = divmod(end - begin, block)
            for row, repeats, tall in ((begin, whole, block), (end - rest, 1, rest)):
                if repeats and tall:
                    target, wide = at["scores"] + number * line + row * SCORE_BYTES, tall * SCORE_BYTES
                    store = Pieces(target, apart * line, queries, wide, WRITE, 2, advance=block * SCORE_BYTES)
                    entries, load = _tile(index, index.set_of(number), row, tall, pages, at)
                    writer.step(load, [store], repeats, (queries * indexer.heads, tall, indexer.dim), entries)
    need = STAGES * block * indexer.row_bytes + indexer.queries * query
    useful = {"index_q": sizes["index_q"], "index": index.sets * rows * indexer.row_bytes}
    tensors = tuple(Tensor(name, at[name], size, useful.get(name, size)) for name, size in sizes.items())
    listed, read = sizes.get("table", 0), sum(useful.values())
    return Trace("scan", tensors, indexer.dtype, need, STAGES, None, read, listed, sizes["scores"], writer.chunks())


def _tile(
    index: IndexRows, own: int, row: int, tall: int, pages: int, at: dict[str, int]
) -> tuple[list[Move | Pieces], list[Move | Pieces]]:
    """Runs of the block-table entries and of the index rows of a tile of set `own`; repeats advance them."""
    size, block = index.indexer.row_bytes, index.indexer.block
    if index.page is None:
        return [], [(at["index"] + (own * index.rows + row) * size, tall * size, block * size, READ, 1)]
    sequence, wide = own // index.own, index.table.shape[1]
    entry = at["table"] + (sequence * wide + row // index.page) * SCORE_BYTES
    entries = entry, ceil(tall / index.page) * SCORE_BYTES, block // index.page * SCORE_BYTES, READ, 3
    return [entries], [*index.pieces(own, row, tall, pages + sequence * wide, (at["index"], 1))]


def search(index: IndexRows) -> Trace:
    """One program for each list descends the tree of index rows: rows of a level are requested after those above are
    scored; the scores of the last level are written."""
    indexer, tree, lists = index.indexer, index.indexer.tree, index.lists
    assert tree is not None
    query, size = indexer.heads * indexer.dim * element_bytes(indexer.dtype), indexer.row_bytes
    sizes = {"index_q": lists * query, "index": index.bytes, "scores": lists * index.scored * SCORE_BYTES}
    at, levels, writer = bases(sizes), tree.levels(index.rows), Writer()
    starts = [int(start) for start in np.cumsum([0, *levels[:-1]])]
    read: set[tuple[int, int]] = set()
    for number in range(lists):
        own = index.set_of(number)
        begin = at["index"] + own * index.set_rows * size
        writer.program(number)
        writer.step([(at["index_q"] + number * query, query, 0, READ, 0)], [])
        scores: list[Move] = [
            (at["scores"] + number * index.scored * SCORE_BYTES, index.scored * SCORE_BYTES, 0, WRITE, 2)
        ]
        last = len(levels) == 1
        writer.step(
            [(begin, levels[0] * size, 0, READ, 1)],
            scores if last else [],
            product=(indexer.heads, levels[0], indexer.dim),
        )
        read |= {(own, row) for row in range(levels[0])}
        for start, parents in zip(starts[1:], tree.walk(index.rows, number), strict=True):
            last = start == starts[-1]
            family = tree.fanout * size
            load = Pieces(begin + start * size, family, len(parents), family, READ, 1, writer.numbers(parents))
            tall = len(parents) * tree.fanout
            writer.step([load], scores if last else [], product=(indexer.heads, tall, indexer.dim))
            read |= {(own, start + int(p) * tree.fanout + i) for p in parents for i in range(tree.fanout)}
    useful = {"index_q": sizes["index_q"], "index": len(read) * size, "scores": sizes["scores"]}
    tensors = tuple(Tensor(name, at[name], bytes_, useful[name]) for name, bytes_ in sizes.items())
    need, once = tree.beam * tree.fanout * size + query, useful["index_q"] + useful["index"]
    return Trace("search", tensors, indexer.dtype, need, 1, None, once, 0, sizes["scores"], writer.chunks())


def select(main: Trace, lists: int, scores: int, dtype: DType, passes: int, selectors: int) -> Trace:
    """Programs that each read a share of the scores of a list (`scores` of them), `passes` times, and write the numbers
    of the best: as many as the attention `main` reads."""
    size = scores * SCORE_BYTES
    entries = next(tensor.bytes for tensor in main.tensors if tensor.name == "indices")
    sizes = {"scores": lists * size, "indices": entries}
    at, own, writer = bases(sizes), entries // lists, Writer()
    sharing = min(selectors, scores)
    for number in range(lists):
        for part in range(sharing):
            begin, end = (scores * i // sharing * SCORE_BYTES for i in (part, part + 1))
            first, last = (own // SCORE_BYTES * i // sharing * SCORE_BYTES for i in (part, part + 1))
            whole, rest = divmod(end - begin, SCORE_TILE)
            writer.program(number)
            for _ in range(passes):
                start = at["scores"] + number * size + begin
                if whole:
                    writer.step([(start, SCORE_TILE, SCORE_TILE, READ, 0)], [], whole)
                if rest:
                    writer.step([(start + whole * SCORE_TILE, rest, 0, READ, 0)], [])
            if first < last:
                writer.step([], [(at["indices"] + number * own + first, last - first, 0, WRITE, 1)])
    tensors = tuple(Tensor(name, at[name], bytes_, bytes_) for name, bytes_ in sizes.items())
    need = STAGES * SCORE_TILE
    return Trace("select", tensors, dtype, need, STAGES, None, lists * size, 0, entries, writer.chunks())
