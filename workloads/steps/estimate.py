"""The estimation pass of a prompt's heads: its last queries are multiplied with all keys (MInference)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.kernels.tiling import WAVES, Budget
from memgrain.workloads.layouts.layout import bases, place
from memgrain.workloads.steps.matrix import Size
from memgrain.workloads.steps.token_selection import SCORE_BYTES, STAGES
from memgrain.workloads.steps.writer import Pieces, Writer
from memgrain.workloads.trace import READ, WRITE, Tensor, Trace
from memgrain.workloads.workload import Workload


class Estimate(BaseModel):
    """Settings of the estimation pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: Size
    """Last queries of the prompt (64 in arXiv 2407.02490)."""
    block: Size
    """Tokens of a tile of K."""
    passes: Annotated[int, Field(ge=1, le=64)]
    """Passes of the choice over the scores: sums over columns and diagonals, and the selection of the largest."""
    selectors: Size
    """Programs that share the scores of a head in the choice."""


def estimate(workload: Workload, settings: Estimate, budget: Budget) -> Trace:
    """Programs that share the tiles of K of each query head, and write a score (fp32) for each query and token."""
    shape, placed = workload.shape, place(workload.layout, workload.shape, workload.dtypes)
    queries, tokens, heads = settings.queries, shape.kv_len, shape.batch * shape.q_heads
    line = tokens * SCORE_BYTES
    sizes = {"Q": placed.bytes_of("Q"), "scores": heads * queries * line} | placed.tensor_bytes("K")
    at, names, writer = bases(sizes), list(sizes), Writer()
    tiles = -(-tokens // settings.block)
    splits = max(1, min(tiles, -(-min(WAVES, budget.max_programs) * budget.cores // heads)))
    share = -(-tiles // splits)
    for number in range(heads):
        batch, head = divmod(number, shape.q_heads)
        rows = placed.packed("Q", shape.q_len - queries, shape.q_len, 1)[0]
        query = at["Q"] + placed.origin("Q", batch, head) + rows.offset
        for first in range(0, tiles, share):
            begin, end = first * settings.block, min((first + share) * settings.block, tokens)
            writer.program(batch)
            writer.step([Pieces(query, rows.stride, rows.count, rows.bytes, READ, 0)], [])
            whole, rest = divmod(end - begin, settings.block)
            for token, repeats, tall in ((begin, whole, settings.block), (end - rest, 1, rest)):
                if repeats and tall:
                    load = []
                    for slot in placed.slots["K"]:
                        own, keys = slot.stretch(token, tall), placed.begin(slot, batch, head // shape.group)
                        piece = at[slot.tensor] + keys + own.offset, own.stride, own.count, own.bytes
                        on = settings.block * slot.stride
                        load.append(Pieces(*piece, READ, names.index(slot.tensor), advance=on))
                    target, on = (
                        at["scores"] + number * queries * line + token * SCORE_BYTES,
                        settings.block * SCORE_BYTES,
                    )
                    store = Pieces(target, line, queries, tall * SCORE_BYTES, WRITE, 1, advance=on)
                    writer.step(load, [store], repeats, (queries, tall, shape.head_dim))
    useful = {"Q": heads * queries * placed.row("Q")}
    tensors = tuple(Tensor(name, at[name], size, useful.get(name, size)) for name, size in sizes.items())
    need = STAGES * settings.block * placed.row("K") + queries * placed.row("Q")
    read, written = useful["Q"] + placed.bytes_of("K"), sizes["scores"]
    seen = queries * tokens - queries * (queries - 1) // 2  # a query sees no token after itself
    return Trace(
        "estimate",
        tensors,
        workload.dtypes.q,
        need,
        STAGES,
        None,
        read,
        0,
        written,
        writer.chunks(),
        macs=heads * seen * shape.head_dim,
        exps=0,
    )
