"""Attention that picks its tokens first: small index rows of all tokens (or of blocks) are scored, the best are chosen,
and their K and V rows are read.

A decode step is four kernels in one memory: the new token's rows are written; a scan multiplies all index rows with the
index queries and writes a score for each; a selection reads the scores and writes the list of the best; attention reads
that list and gathers. DeepSeek's sparse attention scores every token (132 bytes of key and scale, one list for all
heads; github deepseek-ai/DeepSeek-V3.2-Exp, inference/model.py), Quest every page by its least and largest keys (arXiv
2406.10774), MoBA every block by its mean key (arXiv 2502.13189). DeepSeek V4's compressed attention does the same on
rows that stand for 4 tokens each; the newest tokens, which its window reads as they are, then follow these rows in K.
NSA (arXiv 2502.11089) scores blocks by attention over compressed rows: its index rows are these, K and V.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from workloads.attention import attention
from workloads.errors import WorkloadError
from workloads.layout import bases, place
from workloads.matrix import Size
from workloads.selection import lists_of
from workloads.sequence import in_one_memory
from workloads.shape import DType, element_bytes
from workloads.tiling import WAVES, Budget
from workloads.trace import READ, WRITE, Tensor, Trace
from workloads.workload import Workload
from workloads.writer import Move, Writer

SCORE_BYTES = 4
"""Bytes of a score (fp32) and of an entry of a list (int32)."""
SCORE_TILE = 1 << 14
"""Bytes of scores that a program of the selection asks for at once."""
STAGES = 2
"""Tiles of index rows or scores in flight."""


class Indexer(BaseModel):
    """What is scored to choose tokens, and how it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: Size
    """Tokens that an index row stands for."""
    newest: Annotated[int, Field(ge=0, le=2**31)] = 0
    """Newest tokens without index rows: a window that is always read, beside what is indexed."""
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
    """Times that the selection reads the scores (a radix selection reads them once for each digit that it needs)."""
    selectors: Size
    """Programs that share out the scores of a list in the selection."""


class Indexed(BaseModel):
    """A decode step of attention with an indexer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["indexed"]
    """What the YAML says first."""
    name: str = Field(min_length=1)
    """Name in tables and figures."""
    attention: Workload
    """The attention over chosen tokens; its selection says how many, in which units, and who shares a list."""
    indexer: Indexer
    """What they are chosen by."""

    @model_validator(mode="after")
    def _whole(self) -> Indexed:
        asked, unit = self.attention, self.indexer.tokens
        if asked.phase != "decode" or asked.selection is None:
            kind = f"{asked.phase} {'with' if asked.selection else 'without'} selection"
            raise WorkloadError(
                f"attention of {self.name} is a {kind}, must be a decode with one; set phase: decode and selection"
            )
        if self.indexer.newest >= asked.shape.kv_len:
            raise WorkloadError(
                f"indexer.newest is {self.indexer.newest} of {asked.shape.kv_len} tokens, which leaves none to index; "
                "lower it"
            )
        if asked.unit % unit:
            raise WorkloadError(
                f"selection in units of {asked.unit} tokens, index rows of {unit}; the unit must be whole index rows: "
                "set selection.unit to a multiple of indexer.tokens"
            )
        return self

    @property
    def rows(self) -> int:
        """Index rows of a list."""
        return ceil((self.attention.shape.kv_len - self.indexer.newest) / self.indexer.tokens)

    @property
    def lists(self) -> int:
        """Lists of all sequences."""
        selection, shape = self.attention.selection, self.attention.shape
        assert selection is not None
        return shape.batch * lists_of(selection.share, shape)

    @property
    def sets(self) -> int:
        """Sets of index rows of all sequences: one a list, but lists of the heads of a group score the same rows."""
        return min(self.lists, self.attention.shape.batch * self.attention.shape.kv_heads)

    def kernels(self, budget: Budget) -> tuple[Trace, ...]:
        """The kernels of a step in order, in one memory; raises WorkloadError if the attention does not fit."""
        main = attention(self.attention, budget)
        return in_one_memory((self._append(), self._scan(budget), self._select(main), replace(main, name="attend")))

    def _append(self) -> Trace:
        """A program a sequence writes the new token's rows of K, of V and of the index."""
        shape, placed = self.attention.shape, place(self.attention.layout, self.attention.shape, self.attention.dtypes)
        sets, size = self.sets // shape.batch, self.indexer.row_bytes
        sizes = {name: placed.bytes_of(name) for name in shape.kv_tensors}
        sizes["index"] = self.sets * self.rows * size
        at, names, writer = bases(sizes), list(sizes), Writer()
        newest = np.array([shape.kv_len - 1], np.int32)
        for sequence in range(shape.batch):
            stores: list[Move] = []
            for name in shape.kv_tensors:
                row = int(placed.numbers(sequence, newest, 1)[0]) * placed.token_stride(name)
                for head in range(shape.kv_heads):
                    begin = at[name] + placed.origin(name, sequence, head) + row
                    stores.append((begin, placed.row(name), 0, WRITE, names.index(name)))
            ends = [((sequence * sets + number + 1) * self.rows - 1) * size for number in range(sets)]
            stores += [(at["index"] + end, size, 0, WRITE, names.index("index")) for end in ends]
            writer.program(sequence)
            writer.step([], stores)
        tensors = tuple(Tensor(name, at[name], bytes_, 0) for name, bytes_ in sizes.items())
        written = self.sets * size + shape.batch * shape.kv_heads * sum(placed.row(name) for name in shape.kv_tensors)
        return Trace("write", tensors, self.attention.dtypes.q, 0, 1, 1, 0, 0, written, writer.chunks())

    def _scan(self, budget: Budget) -> Trace:
        """Programs that share out the tiles of each list's index rows, and write a score a row."""
        indexer, rows, lists = self.indexer, self.rows, self.lists
        query = indexer.heads * indexer.dim * element_bytes(indexer.dtype)
        sizes = {"index_q": lists * query, "index": self.sets * rows * indexer.row_bytes}
        sizes["scores"] = lists * rows * SCORE_BYTES
        at, block = bases(sizes), indexer.block
        tiles = ceil(rows / block)
        splits = max(1, min(tiles, ceil(min(WAVES, budget.max_programs) * budget.cores / lists)))
        share = ceil(tiles / splits)
        writer = Writer()
        for number in range(lists):
            for first in range(0, tiles, share):
                begin, end = first * block, min((first + share) * block, rows)
                writer.program(number)
                writer.step([(at["index_q"] + number * query, query, 0, READ, 0)], [])
                whole, rest = divmod(end - begin, block)
                for row, repeats, tall in ((begin, whole, block), (end - rest, 1, rest)):
                    if repeats and tall:
                        size, wide = indexer.row_bytes, SCORE_BYTES
                        source, target = (index * rows + row for index in (number // (lists // self.sets), number))
                        load = at["index"] + source * size, tall * size, block * size, READ, 1
                        store = at["scores"] + target * wide, tall * wide, block * wide, WRITE, 2
                        writer.step([load], [store], repeats, (indexer.heads, tall, indexer.dim))
        need = STAGES * block * indexer.row_bytes + query
        useful = sizes["index"] + sizes["index_q"]
        tensors = tuple(Tensor(name, at[name], size, size) for name, size in sizes.items())
        written = sizes["scores"]
        return Trace("scan", tensors, indexer.dtype, need, STAGES, None, useful, 0, written, writer.chunks())

    def _select(self, main: Trace) -> Trace:
        """Programs that read the scores of each list, a share each, and write the numbers of the best."""
        lists, size = self.lists, self.rows * SCORE_BYTES
        entries = next(tensor.bytes for tensor in main.tensors if tensor.name == "indices")
        sizes = {"scores": lists * size, "indices": entries}
        at, own, writer = bases(sizes), entries // lists, Writer()
        sharing = min(self.indexer.selectors, self.rows)
        for number in range(lists):
            for part in range(sharing):
                begin, end = (self.rows * i // sharing * SCORE_BYTES for i in (part, part + 1))
                first, last = (own // SCORE_BYTES * i // sharing * SCORE_BYTES for i in (part, part + 1))
                whole, rest = divmod(end - begin, SCORE_TILE)
                writer.program(number)
                for _ in range(self.indexer.passes):
                    start = at["scores"] + number * size + begin
                    if whole:
                        writer.step([(start, SCORE_TILE, SCORE_TILE, READ, 0)], [], whole)
                    if rest:
                        writer.step([(start + whole * SCORE_TILE, rest, 0, READ, 0)], [])
                if first < last:
                    writer.step([], [(at["indices"] + number * own + first, last - first, 0, WRITE, 1)])
        tensors = tuple(Tensor(name, at[name], bytes_, bytes_) for name, bytes_ in sizes.items())
        need = STAGES * SCORE_TILE
        return Trace(
            "select", tensors, self.indexer.dtype, need, STAGES, None, lists * size, 0, entries, writer.chunks()
        )
