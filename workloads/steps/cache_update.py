"""Cache-update kernels of a step: they write the new token's rows, the state of compressors, and the accumulated
attention of each kept token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.kernels.tiling import WAVES, Budget
from memgrain.workloads.layouts.layout import Placement, bases, place
from memgrain.workloads.patterns import HeavyHitters, Streaming
from memgrain.workloads.steps.indexer import IndexRows
from memgrain.workloads.steps.matrix import Size
from memgrain.workloads.steps.token_selection import SCORE_BYTES, STAGES
from memgrain.workloads.steps.writer import Move, Writer, joined
from memgrain.workloads.trace import READ, WRITE, Tensor, Trace
from memgrain.workloads.workload import Workload

ROW_TILE = 1 << 14
"""Bytes of a row of accumulated attention that a program requests at once."""


class Compressor(BaseModel):
    """A compressor makes one row of K of several tokens (DeepSeek V4): every token changes a state, and the last token
    of a group completes the row and its index row, if there is one. The window's rows lie after the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: Size
    """Tokens that become one row."""
    token: Annotated[int, Field(ge=1, le=2**31)]
    """Number of the new token in its row, from 1; number `tokens` completes the row."""
    window: Size
    """Uncompressed rows of the newest tokens, at the end of K."""
    state_row_bytes: Size
    """Bytes of the state that a token adds."""
    state_rows: Size
    """Tokens whose state the last one reads to complete the row, its own included."""


def write(workload: Workload, index: IndexRows | None) -> Trace:
    """A trace with one program for each batch entry, which writes the new token's rows of K, of V and of the index.

    Batch entries that share a context are its newest tokens, one after the other.
    """
    shape, placed = workload.shape, place(workload.layout, workload.shape, workload.dtypes)
    sizes = _kv_sizes(placed) | ({} if index is None else {"index": index.bytes})
    at, names, writer = bases(sizes), list(sizes), Writer()
    pattern, reads, writes = workload.pattern, 0, 0
    for batch in range(shape.batch):
        loads: list[Move] = []
        stores: list[Move] = []
        before = shape.batch - 1 - batch if workload.layout.shared else 0
        for head in range(shape.kv_heads):
            row = shape.kv_len - 1 - before
            if isinstance(pattern, Streaming | HeavyHitters):
                row = pattern.slot(batch, head)
            stores += _rows(placed, at, names, (batch, head, row))
        if index is not None and touched(index, before):
            target = at["index"], names.index("index")
            newest = index.rows - 1 - before // index.indexer.tokens
            for number in range(placed.context(batch) * index.own, (placed.context(batch) + 1) * index.own):
                if index.indexer.update == "modify":
                    loads.append(index.row(number, newest, READ, target))
                stores.append(index.row(number, newest, WRITE, target))
        reads, writes = reads + sum(size for _, size, *_ in loads), writes + sum(size for _, size, *_ in stores)
        writer.program(batch)
        writer.step(joined(loads), joined(stores))
    tensors = tuple(Tensor(name, at[name], bytes_, 0) for name, bytes_ in sizes.items())
    return Trace("write", tensors, workload.dtypes.q, 0, 1, 1, reads, 0, writes, writer.chunks())


def touched(index: IndexRows, before: int) -> bool:
    """Whether the token at distance `before` from the newest changes an index row: not if the row waits for more
    tokens."""
    whole = (index.workload.shape.kv_len - before - index.indexer.newest) % index.indexer.tokens == 0
    return index.indexer.update != "complete" or whole


def compress(workload: Workload, compressor: Compressor, index: IndexRows | None) -> Trace:
    """A trace with one program for each sequence, which writes the new token's part of the state; with the last token
    of a row it also reads the row's whole state and writes the row and its index row."""
    shape, placed = workload.shape, place(workload.layout, workload.shape, workload.dtypes)
    whole = compressor.token == compressor.tokens
    row, rows = compressor.state_row_bytes, compressor.state_rows
    sizes = {"state": shape.batch * rows * row} | (_kv_sizes(placed) if whole else {})
    if whole and index is not None:
        sizes["index"] = index.bytes
    at, names, writer, written = bases(sizes), list(sizes), Writer(), 0
    for batch in range(shape.batch):
        state = at["state"] + batch * rows * row
        stores: list[Move] = [(state + (compressor.token - 1) % rows * row, row, 0, WRITE, 0)]
        loads: list[Move] = [(state, rows * row, 0, READ, 0)] if whole else []
        for head in range(shape.kv_heads) if whole else ():
            stores += _rows(placed, at, names, (batch, head, shape.kv_len - compressor.window - 1))
        if whole and index is not None:
            target = at["index"], names.index("index")
            own = range(batch * index.own, (batch + 1) * index.own)
            stores += [index.row(number, index.rows - 1, WRITE, target) for number in own]
        written += sum(size for _, size, *_ in stores)
        writer.program(batch)
        writer.step(joined(loads), joined(stores))
    read = sizes["state"] if whole else 0
    tensors = tuple(Tensor(name, at[name], size, read if name == "state" else 0) for name, size in sizes.items())
    return Trace("compress", tensors, workload.dtypes.q, 0, 1, 1, read, 0, written, writer.chunks())


def _kv_sizes(placed: Placement) -> dict[str, int]:
    """Bytes of the tensors that hold K and V."""
    return {name: size for kv in placed.shape.kv_tensors for name, size in placed.tensor_bytes(kv).items()}


def _rows(placed: Placement, at: dict[str, int], names: list[str], which: tuple[int, int, int]) -> Iterator[Move]:
    """The writes of one token's rows of K and V; `which` is (batch entry, head, token)."""
    for kv in placed.shape.kv_tensors:
        for tensor, offset, size in placed.stored(kv, *which):
            yield at[tensor] + offset, size, 0, WRITE, names.index(tensor)


def account(workload: Workload, budget: Budget) -> Trace:
    """Programs that add the new token's attention to the accumulated attention of each kept token (fp32, one row a KV
    head): rows are read and written. The new values come from the attention's registers."""
    shape, row = workload.shape, workload.shape.kv_len * SCORE_BYTES
    rows = shape.batch * shape.kv_heads
    splits = max(1, min(-(-row // ROW_TILE), -(-min(WAVES, budget.max_programs) * budget.cores // rows)))
    writer = Writer()
    for number in range(rows):
        for part in range(splits):
            begin, end = (shape.kv_len * i // splits * SCORE_BYTES for i in (part, part + 1))
            whole, rest = divmod(end - begin, ROW_TILE)
            writer.program(number // shape.kv_heads)
            for start, repeats, size in ((begin, whole, ROW_TILE), (end - rest, 1, rest)):
                if repeats and size:
                    at = number * row + start
                    writer.step([(at, size, size, READ, 0)], [(at, size, size, WRITE, 0)], repeats)
    tensor = Tensor("attended", 0, rows * row, rows * row)
    need = STAGES * ROW_TILE
    return Trace("account", (tensor,), "fp32", need, STAGES, None, rows * row, 0, rows * row, writer.chunks())
