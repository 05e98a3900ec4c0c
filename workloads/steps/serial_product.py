"""A product whose copies are synchronous: operands are loaded, rearranged and multiplied one after the other.

So do kernels whose matrix unit reads B from a memory of its own (WRAM of an MLU370), into which B's tile is copied in
the unit's order before A's rows pass by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.layouts.layout import bases
from memgrain.workloads.shape import element_bytes
from memgrain.workloads.steps.matrix import IN_FLIGHT, OPERATION_BYTES, Operations, Size
from memgrain.workloads.steps.writer import Pieces, Writer
from memgrain.workloads.trace import READ, WRITE, Chunk, Tensor, Trace

if TYPE_CHECKING:
    from memgrain.workloads.steps.gemm import Gemm
    from memgrain.workloads.steps.gemm_trace import Tile

ACCUMULATOR_BYTES = 4
"""Bytes of an element of C while its products are added up."""


class InSeries(BaseModel):
    """How a program works off a tile of C with synchronous copies.

    In each step along k, B's tile is loaded and prepared, then A's rows, part by part, each multiplied before the next
    one. B's tile stays for the next tile of C where that has the same columns and k is one step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    row_parts: Size = 1
    """Parts of the rows of C's tile, one after the other, that share a step of B."""
    operations: tuple[Operations, Operations, Operations] = (0.0, 0.0, 0.0)
    """Elementwise operations in each step: on an element of A and of B (to transpose, rearrange and copy them), and on
    an element of C's tile (to add up products that the unit does not add up itself)."""
    buffers: Annotated[int, Field(ge=1, le=16)] = 1
    """Parts that may be under way: with 1, copies and products follow each other; with 2, the next part loads beside a
    product."""
    a_rows: Literal["k", "m"] = "k"
    """Dimension along a row of A in memory: k ([m, k]) or m (A is stored transposed: [k, m])."""


def serial_trace(gemm: Gemm, series: InSeries) -> Trace:
    """The trace of a product in series. In the scratchpad lie the part of A's rows and C's tile."""
    size, wide, (height, width) = element_bytes(gemm.dtype), element_bytes(gemm.out_dtype), gemm.block
    sizes = {"A": gemm.m * gemm.k * size, "B": gemm.k * gemm.n * size, "C": gemm.m * gemm.n * wide}
    at = bases(sizes)
    part = series.buffers * -(-height // series.row_parts) * max(gemm.k_steps) * size
    return Trace(
        gemm.name,
        tuple(Tensor(name, base, sizes[name], sizes[name]) for name, base in at.items()),
        gemm.dtype,
        part + height * width * ACCUMULATOR_BYTES,
        IN_FLIGHT,
        1,
        sizes["A"] + sizes["B"],
        0,
        sizes["C"],
        SerialChunks(gemm, series, tuple(at.values())),
        synchronous=series.buffers,
    )


@dataclass(frozen=True)
class SerialChunks:
    """The chunk stream of such a product; `at` are the addresses of A, B and C."""

    gemm: Gemm
    series: InSeries
    at: tuple[int, ...]

    def __call__(self) -> Iterator[Chunk]:
        """One chunk: for each step along k of a tile of C, a step that loads B and one for each part of A's rows."""
        gemm, writer, step = self.gemm, Writer(), max(self.gemm.k_steps)
        for tiles in gemm.deal.tiles(gemm):
            if not tiles:
                continue
            writer.program(0)
            held = None
            for tile in tiles:
                for k in range(0, gemm.k, step):
                    depth = min(step, gemm.k - k)
                    if held != (k, tile[1], tile[3]):
                        self._load_b(writer, tile, (k, depth))
                        held = k, tile[1], tile[3]
                    self._multiply(writer, tile, (k, depth))
        yield from writer.chunks()()

    def _load_b(self, writer: Writer, tile: Tile, along: tuple[int, int]) -> None:
        """Load B's part of a step, which is from `along[0]` on and `along[1]` long, and rearrange it."""
        gemm, size, (_, column, _, width) = self.gemm, element_bytes(self.gemm.dtype), tile
        pieces = _operand(self.at[1], gemm.n, gemm.k, (column, width), along, gemm.b_rows == "k", size, 1)
        writer.step([pieces], [], operations=self._work(1, width * along[1], size))

    def _multiply(self, writer: Writer, tile: Tile, along: tuple[int, int]) -> None:
        """Load, rearrange and multiply each part of A's rows; behind the last step, store that part of C."""
        gemm, size, depth = self.gemm, element_bytes(self.gemm.dtype), along[1]
        (row, column, tall, width), wide = tile, element_bytes(gemm.out_dtype)
        height = -(-gemm.block[0] // self.series.row_parts)
        for first in range(row, row + tall, height):
            rows = min(height, row + tall - first)
            pieces = _operand(self.at[0], gemm.m, gemm.k, (first, rows), along, self.series.a_rows == "k", size, 0)
            work = self._work(0, rows * depth, size) + self._work(2, rows * width, ACCUMULATOR_BYTES)
            place = self.at[2] + (first * gemm.n + column) * wide
            stores = [Pieces(place, gemm.n * wide, rows, width * wide, WRITE, 2)] if sum(along) == gemm.k else []
            writer.step([pieces], stores, product=(rows, width, depth), operations=work)

    def _work(self, operand: int, elements: int, size: int) -> int:
        """Operations, of 4 bytes each, on so many elements of A, B or C."""
        return round(self.series.operations[operand] * elements * size / OPERATION_BYTES)


def _operand(
    at: int, outer: int, inner: int, across: tuple[int, int], along: tuple[int, int], by_k: bool, size: int, tensor: int
) -> Pieces:
    """The run that loads a tile of an operand at address `at`, of `outer` rows (A) or columns (B) by `inner` elements
    along k: from `across[0]` and `along[0]` on, so many of each. `by_k` says that k runs along a row in memory."""
    if by_k:
        base, pitch, count, width = across[0] * inner + along[0], inner, across[1], along[1]
    else:
        base, pitch, count, width = along[0] * outer + across[0], outer, along[1], across[1]
    return Pieces(at + base * size, pitch * size, count, width * size, READ, tensor)
