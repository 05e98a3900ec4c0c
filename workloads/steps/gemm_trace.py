"""Traces of a tiled matrix product: the products of the matrix cores, and what vector cores do behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memgrain.workloads.layouts.layout import bases
from memgrain.workloads.shape import element_bytes
from memgrain.workloads.steps.writer import Move, Pieces, Writer
from memgrain.workloads.trace import PROGRAM, READ, RUN, STEP, WRITE, Chunk, Tensor, Trace

if TYPE_CHECKING:
    from memgrain.workloads.steps.gemm import Gemm

Tile = tuple[int, int, int, int]
"""A tile of C: its first row and first column, its rows and columns."""
BLOCK_BYTES = 32
"""Bytes of a column of blocks, in which B may be stored."""
SUM_BYTES = 4
"""Bytes of a sum that is not converted yet (fp32, int32)."""
SHARED = 2
"""Vector cores beside a matrix core, which share its tiles."""
ROWS = 32
"""Rows of a tile that a vector core converts at once (catlass, EpilogueTileShape)."""
REDUCED = 1 << 14
"""Sums that a vector core adds at once: a third of its scratchpad for each of two buffers and the result."""
WORKSPACES = 2
"""Tiles of sums that a core has in the workspace: one is converted while the next one is computed."""


def kernels_of(gemm: Gemm) -> tuple[Trace, ...]:
    """The traces of a product."""
    size, wide = element_bytes(gemm.dtype), element_bytes(gemm.out_dtype)
    sizes = {"A": gemm.m * gemm.k * size, "B": gemm.k * gemm.n * size, "C": gemm.m * gemm.n * wide}
    read = sizes["A"] + sizes["B"]
    if gemm.finish == "vector":
        tiles = gemm.deal.programs * WORKSPACES * gemm.block[0] * gemm.block[1]
        sizes["sums"] = SUM_BYTES * (tiles if gemm.splits == 1 else gemm.m * gemm.n * gemm.splits)
    if gemm.splits > 1:
        sizes["total"] = SUM_BYTES * gemm.m * gemm.n
    at = bases(sizes)
    useful = {name: 0 if name in ("sums", "total") else size for name, size in sizes.items()}
    tensors = tuple(Tensor(name, base, sizes[name], useful[name]) for name, base in at.items())
    edges = tuple(edge * step for edge, step in zip(gemm.block, gemm.k_steps, strict=True))
    kept = gemm.block[0] * gemm.k if gemm.keep_a else gemm.stages * edges[0]
    held = (kept + gemm.stages * edges[1]) * size
    written = sizes["C"] if gemm.finish == "cube" else 0
    products = Trace(
        gemm.name,
        tensors,
        gemm.dtype,
        held,
        gemm.stages,
        1,
        read,
        0,
        written,
        GemmChunks(gemm, tuple(at.values())),
        mixed=gemm.finish == "vector",
        one_result=gemm.one_result,
        stores_by=gemm.store,
    )
    behind = ([_reduce(gemm, tensors)] if gemm.splits > 1 else []) + ([_convert(gemm, tensors)] if not written else [])
    return products, *behind


@dataclass(frozen=True)
class GemmChunks:
    """The chunk stream of a product; `at` are the addresses of A, B and C, and of the workspace if there is one."""

    gemm: Gemm
    at: tuple[int, ...]

    def __call__(self) -> Iterator[Chunk]:
        """One chunk: for each tile of C, the whole steps along k as repeats, what is left of k, and the last step,
        which stores it."""
        programs: list[tuple[int, ...]] = []
        steps: list[tuple[int, ...]] = []
        runs: list[tuple[int, ...]] = []
        whole = max(self.gemm.k_steps)
        for core, tasks in enumerate(self.gemm.tasks()):
            first, row = len(steps), -1
            for number, (tile, split) in enumerate(tasks):
                begin, end = self.gemm.part(split)
                full, rest = divmod(end - begin, whole)
                kept = self.gemm.keep_a and tile[0] == row
                cuts = [(full, whole), (1, rest)] if rest else [(full - 1, whole), (1, whole)]
                for repeats, depth in cuts:
                    if repeats:
                        last = begin + repeats * depth == end
                        store = self._store(tile, split, core, number) if last else None
                        steps.append(self._step(tile, begin, (repeats, depth), kept, store, runs))
                    begin += repeats * depth
                row = tile[0]
            if len(steps) > first:
                programs.append((first, len(steps) - first, 0, 0))
        yield Chunk(np.array(programs, PROGRAM), np.array(steps, STEP), np.array(runs, RUN), np.zeros(0, np.int32))

    def _step(
        self,
        tile: Tile,
        start: int,
        along: tuple[int, int],
        kept: bool,
        store: tuple[int, ...] | None,
        runs: list[tuple[int, ...]],
    ) -> tuple[int, ...]:
        """A step from element `start` along k on; `along` is (repeats, elements); its runs are appended."""
        gemm, (row, column, height, width), (repeats, depth) = self.gemm, tile, along
        size, first = element_bytes(gemm.dtype), len(runs)
        for k, wide in _cut(start, depth, 0 if kept else gemm.k_steps[0]):
            base = self.at[0] + (row * gemm.k + k) * size
            runs.append((base, gemm.k * size, height, wide * size, -1, depth * size, READ, 0, 1))
        for k, wide in _cut(start, depth, gemm.k_steps[1]):
            runs.append((*self._rows_of_b(column, width, k, wide, depth), READ, 1, 1))
        loads = len(runs) - first
        runs += [store] if store else []
        return first, 0, loads, int(store is not None), repeats, height, width, depth, 0, 0, 0, 0

    def _rows_of_b(self, column: int, width: int, k: int, wide: int, depth: int) -> tuple[int, ...]:
        """Base, stride, count, bytes, index and advance of the rows of a part of B."""
        gemm, size, base = self.gemm, element_bytes(self.gemm.dtype), self.at[1]
        if gemm.b_rows == "k":
            return base + (column * gemm.k + k) * size, gemm.k * size, width, wide * size, -1, depth * size
        if gemm.b_rows == "blocks":
            pitch = gemm.k * BLOCK_BYTES
            first, last = column * size // BLOCK_BYTES, -(-(column + width) * size // BLOCK_BYTES)
            at = base + first * pitch + k * BLOCK_BYTES
            return at, pitch, last - first, wide * BLOCK_BYTES, -1, depth * BLOCK_BYTES
        pitch = gemm.n * size
        return base + k * pitch + column * size, pitch, wide, width * size, -1, depth * pitch

    def _store(self, tile: Tile, split: int, core: int, number: int) -> tuple[int, ...]:
        """The run that stores a tile: into C, or its sums into the workspace."""
        gemm, (row, column, height, width) = self.gemm, tile
        if gemm.finish == "cube":
            wide = element_bytes(gemm.out_dtype)
            return self.at[2] + (row * gemm.n + column) * wide, gemm.n * wide, height, width * wide, -1, 0, WRITE, 2, 1
        if gemm.splits > 1:
            base = self.at[3] + ((split * gemm.m + row) * gemm.n + column) * SUM_BYTES
            return base, gemm.n * SUM_BYTES, height, width * SUM_BYTES, -1, 0, WRITE, 3, 1
        base = self.at[3] + _workspace(gemm, core, number)
        return base, width * SUM_BYTES, height, width * SUM_BYTES, -1, 0, WRITE, 3, 1


def _cut(start: int, depth: int, step: int) -> Iterator[tuple[int, int]]:
    """(first element, elements) of the parts of `depth` elements along k; none for a step of 0."""
    for at in range(0, depth, step) if step else ():
        yield start + at, min(step, depth - at)


def _workspace(gemm: Gemm, core: int, number: int) -> int:
    """Offset of the sums of a core's tile in the workspace."""
    return (core * WORKSPACES + number % WORKSPACES) * gemm.block[0] * gemm.block[1] * SUM_BYTES


def _reduce(gemm: Gemm, tensors: tuple[Tensor, ...]) -> Trace:
    """Vector cores add the sums of all splits: each an equal stretch of C."""
    at, writer = {tensor.name: tensor.base for tensor in tensors}, Writer()
    cores, total = SHARED * gemm.deal.programs, gemm.m * gemm.n
    for core in range(cores):
        first, end = (total * i // cores * SUM_BYTES for i in (core, core + 1))
        if first == end:
            continue
        writer.program(0)
        for start in range(first, end, REDUCED * SUM_BYTES):
            size = min(REDUCED * SUM_BYTES, end - start)
            for split in range(gemm.splits):
                load = at["sums"] + split * total * SUM_BYTES + start, size, 0, READ, 3
                store = at["total"] + start, size, 0, WRITE, 4
                writer.step([load], [store] if split == gemm.splits - 1 else [])
    return _behind(gemm, "reduce", tensors, 0, writer)


def _convert(gemm: Gemm, tensors: tuple[Tensor, ...]) -> Trace:
    """Vector cores convert the sums that are left when the products end, and write C."""
    at, writer, wide = {tensor.name: tensor.base for tensor in tensors}, Writer(), element_bytes(gemm.out_dtype)
    tiles = gemm.deal.tiles(gemm)
    for core, mine in enumerate(tiles):
        for part in range(SHARED if mine else 0):
            writer.program(0)
            for number, (row, column, height, width) in enumerate(mine):
                if gemm.splits == 1 and number < len(mine) - 1:
                    continue
                first, end = (height * i // SHARED for i in (part, part + 1))
                for line in range(first, end, ROWS):
                    rows = min(ROWS, end - line)
                    if gemm.splits == 1:
                        sums: Move | Pieces = (
                            at["sums"] + _workspace(gemm, core, number) + line * width * SUM_BYTES,
                            rows * width * SUM_BYTES,
                            0,
                            READ,
                            3,
                        )
                    else:
                        base = at["total"] + ((row + line) * gemm.n + column) * SUM_BYTES
                        sums = Pieces(base, gemm.n * SUM_BYTES, rows, width * SUM_BYTES, READ, 4)
                    base = at["C"] + ((row + line) * gemm.n + column) * wide
                    writer.step([sums], [Pieces(base, gemm.n * wide, rows, width * wide, WRITE, 2)])
    return _behind(gemm, "convert", tensors, gemm.m * gemm.n * wide, writer)


def _behind(gemm: Gemm, name: str, tensors: tuple[Tensor, ...], written: int, writer: Writer) -> Trace:
    """A trace of vector cores that belongs to the product's kernel."""
    return Trace(
        f"{gemm.name}, {name}",
        tensors,
        gemm.out_dtype,
        0,
        2,
        None,
        0,
        0,
        written,
        writer.chunks(),
        cores="vector",
        joined=True,
    )
