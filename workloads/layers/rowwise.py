"""Row-wise kernels without a product: norms, activations, rotations, permutations, sampling."""

from __future__ import annotations

from collections.abc import Mapping

from memgrain.workloads.kernels.tiling import Budget
from memgrain.workloads.layouts.layout import bases
from memgrain.workloads.shape import DType
from memgrain.workloads.steps.writer import Move, Writer
from memgrain.workloads.trace import READ, WRITE, Tensor, Trace

PIECE = 1 << 14
"""Bytes of a row that a program requests at once."""


def rowwise(name: str, rows: int, reads: Mapping[str, int], writes: Mapping[str, int], budget: Budget) -> Trace:
    """A trace with one program for each row, or for a share of the rows if there are more rows than cores; each row is
    read and written whole. `reads` and `writes` give the bytes of a row of each tensor; a tensor may be in both."""
    sizes = {tensor: rows * max(reads.get(tensor, 0), writes.get(tensor, 0)) for tensor in (*reads, *writes)}
    at, order, writer = bases(sizes), list(sizes), Writer()
    programs = min(rows, budget.cores)
    for number in range(programs):
        first, last = rows * number // programs, rows * (number + 1) // programs
        writer.program(0)
        pieces = -(-max([*reads.values(), *writes.values()]) // PIECE)

        def moves(
            tensors: Mapping[str, int], op: int, part: int, first: int = first, pieces: int = pieces
        ) -> list[Move]:
            found = []
            for tensor, size in tensors.items():
                low, high = size * part // pieces, size * (part + 1) // pieces
                if low < high:
                    found.append((at[tensor] + first * size + low, high - low, size, op, order.index(tensor)))
            return found

        for part in range(pieces):
            writer.step(moves(reads, READ, part), moves(writes, WRITE, part), last - first)
    tensors = tuple(Tensor(tensor, at[tensor], size, rows * reads.get(tensor, 0)) for tensor, size in sizes.items())
    read, written = rows * sum(reads.values()), rows * sum(writes.values())
    dtype: DType = "bf16"
    need = 2 * min(PIECE, max([*reads.values(), *writes.values()])) * (len(reads) + len(writes))
    return Trace(name, tensors, dtype, need, 2, None, read, 0, written, writer.chunks(), cores="vector")
