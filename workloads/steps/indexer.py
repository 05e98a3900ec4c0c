"""Index rows that a step reads to choose its tokens: their number, owners and addresses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.layouts.layout import Paged, place
from memgrain.workloads.selection import lists_of
from memgrain.workloads.shape import DType
from memgrain.workloads.steps.matrix import Size
from memgrain.workloads.steps.writer import Move, Pieces
from memgrain.workloads.trace import READ
from memgrain.workloads.workload import Workload


class Tree(BaseModel):
    """A search from the root of a tree of index rows to its leaves instead of a full scan (HiP, arXiv 2406.09827,
    searches in O(log n) rows of the n of a list)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fanout: Annotated[int, Field(ge=2, le=2**16)]
    """Nodes below a node."""
    beam: Size
    """Best nodes of a level whose children are scored."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the choice of the best nodes (PCG64); the list is mixed in."""

    def nodes(self, rows: int) -> list[int]:
        """Nodes of each level, from the first scored level, all of whose nodes are scored, to the leaves."""
        found = [rows]
        while found[0] > self.fanout * self.beam:
            found.insert(0, ceil(found[0] / self.fanout))
        return found

    def levels(self, rows: int) -> list[int]:
        """Rows of each level in memory: its nodes, and below the first level all children of the level above."""
        nodes = self.nodes(rows)
        return [nodes[0], *(above * self.fanout for above in nodes[:-1])]

    def walk(self, rows: int, number: int) -> list[NDArray[np.int32]]:
        """For list `number`, the nodes of each level except the last whose children are scored: ascending, random."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self.seed, number))))
        found: list[NDArray[np.int32]] = []
        nodes = self.nodes(rows)
        scored: NDArray[np.int32] = np.arange(nodes[0], dtype=np.int32)
        for level in nodes[:-1]:
            best = np.sort(rng.permutation(scored[scored < level])[: self.beam]).astype(np.int32)
            found.append(best)
            scored = np.ravel(best[:, None] * np.int32(self.fanout) + np.arange(self.fanout, dtype=np.int32))
        return found


class Indexer(BaseModel):
    """The index: which rows are scored to choose tokens, and how they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: Size
    """Tokens represented by an index row."""
    newest: Annotated[int, Field(ge=0, le=2**31)] = 0
    """Newest tokens without index rows: a window that is always read, besides the indexed tokens."""
    row_bytes: Size
    """Bytes of an index row, scales included."""
    heads: Size
    """Index queries that are multiplied with each row of a list."""
    dim: Size
    """Elements of a row that are multiplied."""
    dtype: DType
    """Element type of the products."""
    block: Size
    """Index rows of a tile."""
    passes: Annotated[int, Field(ge=1, le=64)]
    """Passes of the selection over the scores (a radix selection reads them once for each digit that it needs)."""
    selectors: Size
    """Programs that share the scores of a list in the selection."""
    update: Literal["write", "modify", "complete"] = "write"
    """Effect of a new token on the newest index row: it is written; it is read, changed and written (least and greatest
    keys, means); or it is written once all its tokens are there."""
    paged: bool = False
    """Whether index rows lie in pages, found through the block table of K; each holds the rows of a page of tokens."""
    queries: Size = 1
    """Queries of one context that a program of the scan multiplies at once; more than 1 where K and V are shared."""
    tree: Tree | None = None
    """Tree search over the index rows; absent: all are scanned."""


@dataclass(frozen=True, eq=False)
class IndexRows:
    """The index rows of a step in memory."""

    workload: Workload
    """The attention over the chosen tokens."""
    indexer: Indexer
    """The index."""

    @property
    def rows(self) -> int:
        """Index rows of a list."""
        return ceil((self.workload.shape.kv_len - self.indexer.newest) / self.indexer.tokens)

    @property
    def lists(self) -> int:
        """Lists of all sequences."""
        selection, shape = self.workload.selection, self.workload.shape
        assert selection is not None
        return shape.batch * lists_of(selection.share, shape)

    @property
    def contexts(self) -> int:
        """Contexts with index rows of their own: the batch entries, or one where these share K and V."""
        return 1 if self.workload.layout.shared else self.workload.shape.batch

    @property
    def own(self) -> int:
        """Sets of index rows of a context: one for each list, but heads of a group score the same rows."""
        shape = self.workload.shape
        return min(self.lists // shape.batch, shape.kv_heads)

    @property
    def sets(self) -> int:
        """Sets of index rows of all contexts."""
        return self.contexts * self.own

    def set_of(self, number: int) -> int:
        """The set for list `number`."""
        batch, mine = divmod(number, self.lists // self.workload.shape.batch)
        first = 0 if self.workload.layout.shared else batch * self.own
        return first + mine // (self.lists // self.workload.shape.batch // self.own)

    @cached_property
    def scored(self) -> int:
        """Scores of a list that the selection reads: of all rows, or of the leaves that a search reaches."""
        tree = self.indexer.tree
        if tree is None:
            return self.rows
        levels = tree.levels(self.rows)
        return levels[0] if len(levels) == 1 else len(tree.walk(self.rows, 0)[-1]) * tree.fanout

    @property
    def bytes(self) -> int:
        """Bytes of all sets, whole pages included."""
        if self.page is not None:
            return self.table.size * self.page * self.own * self.indexer.row_bytes
        return self.sets * self.set_rows * self.indexer.row_bytes

    @property
    def set_rows(self) -> int:
        """Rows of a set, the inner nodes of a tree included."""
        tree = self.indexer.tree
        return self.rows if tree is None else sum(tree.levels(self.rows))

    @property
    def page(self) -> int | None:
        """Index rows of a page; None where they lie one after the other."""
        layout = self.workload.layout
        return layout.page // self.indexer.tokens if self.indexer.paged and isinstance(layout, Paged) else None

    @cached_property
    def table(self) -> NDArray[np.int32]:
        """Physical page of each logical page of K, [contexts, pages of a context]; empty without pages."""
        table = place(self.workload.layout, self.workload.shape, self.workload.dtypes).table
        return np.zeros((0, 0), np.int32) if table is None else table

    def row(self, number: int, index: int, op: int, target: tuple[int, int]) -> Move:
        """The run of row `index` of set `number`; `target` is the address and the number of the tensor."""
        (at, tensor), own, size = target, self.own, self.indexer.row_bytes
        if self.page is None:
            leaves = self.rows if self.indexer.tree is None else self.indexer.tree.levels(self.rows)[-1]
            row = (number + 1) * self.set_rows - leaves + index
            return at + row * size, size, 0, op, tensor
        page, row = divmod(index, self.page)
        physical = int(self.table[number // own, page])
        return at + ((physical * own + number % own) * self.page + row) * size, size, 0, op, tensor

    def pieces(self, number: int, first: int, rows: int, pages: int, target: tuple[int, int]) -> list[Pieces]:
        """Gathered runs of a tile of `rows` rows of set `number`, from the first row of a page; each repeat advances by
        a tile. Only for paged rows.

        `pages` is the position of the physical pages of the set's context in the chunk's indices, `target` the address
        and index of the tensor.
        """
        assert self.page is not None
        own, size = self.own, self.indexer.row_bytes
        base, stride = target[0] + number % own * self.page * size, own * self.page * size
        whole, rest = divmod(rows, self.page)
        begin = pages + first // self.page
        found = [Pieces(base, stride, whole, self.page * size, READ, target[1], begin, whole)] if whole else []
        if rest:
            found.append(Pieces(base, stride, 1, rest * size, READ, target[1], begin + whole))
        return found
