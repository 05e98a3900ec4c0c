"""A tiled matrix product C = A x B on cores with a matrix unit: the assignment of C's tiles to cores, and their
order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layouts.layout import bases
from memgrain.workloads.shape import DType, element_bytes
from memgrain.workloads.steps.matrix import Size
from memgrain.workloads.steps.serial_product import InSeries, serial_trace
from memgrain.workloads.steps.sliding_window import SlidingWindow, Tile
from memgrain.workloads.trace import PROGRAM, READ, RUN, STEP, WRITE, Chunk, Cores, Tensor, Trace


class Rectangles(BaseModel):
    """Each core computes one rectangle of C, or one rectangle in each of several parts of C's rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["rectangles"]
    """Value of `kind` in the YAML."""
    grid: tuple[Size, Size]
    """Cores down and across C."""
    row_parts: Size = 1
    """Parts of C's rows that all cores compute one after the other, so that A's part and B stay in the cache."""

    @property
    def programs(self) -> int:
        """Cores."""
        return self.grid[0] * self.grid[1]

    def tiles(self, gemm: Gemm) -> list[list[Tile]]:
        """The tiles of each core: down the columns of its rectangle."""
        (height, width), part = gemm.block, gemm.m // self.row_parts
        down, across = (-(-part // self.grid[0] // height) * height, -(-gemm.n // self.grid[1] // width) * width)
        found = []
        for row in range(0, self.grid[0] * down, down):
            for column in range(0, self.grid[1] * across, across):
                rows, columns = range(row, min(row + down, part), height), range(column, min(column + across, gemm.n))
                corners = [(p * part + r, c) for p in range(self.row_parts) for c in columns[::width] for r in rows]
                found.append([gemm.tile(*corner) for corner in corners])
        return found


class RoundRobin(BaseModel):
    """Tiles of C are dealt to the cores in turn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["round_robin"]
    """Value of `kind` in the YAML."""
    programs: Size
    """Cores."""
    band: Size | None = None
    """Tiles of a row of C that are computed together, with alternating direction in successive bands ("swizzle");
    absent: whole rows, one after the other."""
    band_of: Literal["columns", "rows"] = "columns"
    """Whether a band is some columns of C, computed row by row, or some rows, computed column by column."""

    def tiles(self, gemm: Gemm) -> list[list[Tile]]:
        """The tiles of each core."""
        (height, width), along = gemm.block, self.band_of == "columns"
        down, across = gemm.grid if along else gemm.grid[::-1]
        order, band = [], self.band or across
        for number, first in enumerate(range(0, across, band)):
            lines = range(down) if number % 2 == 0 else range(down - 1, -1, -1)
            order += [(i, j) for i in lines for j in range(first, min(first + band, across))]
        places = [gemm.tile(r * height, c * width) for r, c in (order if along else ((i, j) for j, i in order))]
        return [places[core :: self.programs] for core in range(self.programs)]


class Gemm(BaseModel):
    """A product of an [m, k] and a [k, n] matrix, A and C row by row in memory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["gemm"]
    """Value of `kind` in the YAML."""
    name: str = Field(min_length=1)
    """Name in tables and figures."""
    m: Size
    """Rows of A and C."""
    n: Size
    """Columns of B and C."""
    k: Size
    """Columns of A and rows of B."""
    dtype: DType
    """Element type of A and B, in which the product runs."""
    out_dtype: DType
    """Element type of C."""
    b_rows: Literal["n", "k"]
    """Dimension along a row of B in memory: k (B is stored transposed: [n, k]) or n ([k, n])."""
    block: tuple[Size, Size]
    """Rows and columns of a tile of C, which a core computes at once."""
    k_steps: tuple[Size, Size]
    """Elements along k that a DMA command moves of A and of B; one a multiple of the other."""
    stages: Annotated[int, Field(ge=1, le=16)]
    """Steps (of the larger of k_steps) that may be loaded ahead, the one computed included: 2 is double buffering."""
    one_result: bool = False
    """Whether a core has room for one tile of C only, so that its next tile waits until the last one is stored."""
    store: Cores = "matmul"
    """Cores that write C: those that compute it, or the vector cores, which take it from them."""
    deal: Annotated[Rectangles | RoundRobin | SlidingWindow, Field(discriminator="kind")]
    """Assignment of C's tiles to cores."""
    in_series: InSeries | None = None
    """Synchronous copies, with which a program loads, rearranges and multiplies one after the other; absent: loads run
    ahead by `stages`."""

    @model_validator(mode="after")
    def _one_by_one(self) -> Gemm:
        if self.in_series and (self.k_steps[0] != self.k_steps[1] or self.stages > 1):
            raise WorkloadError(
                f"in_series loads equal steps one by one: k_steps {self.k_steps} must be equal and stages "
                f"{self.stages} must be 1; change them"
            )
        return self

    @model_validator(mode="after")
    def _whole(self) -> Gemm:
        if max(self.k_steps) % min(self.k_steps):
            raise WorkloadError(f"k_steps {self.k_steps} must divide one another; change one of them")
        if isinstance(self.deal, Rectangles) and self.m % self.deal.row_parts:
            raise WorkloadError(f"m {self.m} is no multiple of row_parts {self.deal.row_parts}; change it")
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles of C down and across."""
        return -(-self.m // self.block[0]), -(-self.n // self.block[1])

    @property
    def last(self) -> tuple[int, int]:
        """Rows and columns of C's last tile."""
        _, _, rows, columns = self.tile((self.grid[0] - 1) * self.block[0], (self.grid[1] - 1) * self.block[1])
        return rows, columns

    def tile(self, row: int, column: int) -> Tile:
        """The tile of C that begins at a row and a column."""
        return row, column, min(self.block[0], self.m - row), min(self.block[1], self.n - column)

    def trace(self) -> Trace:
        """The trace."""
        if self.in_series:
            return serial_trace(self, self.in_series)
        size = element_bytes(self.dtype)
        sizes = {"A": self.m * self.k * size, "B": self.k * self.n * size}
        read = sum(sizes.values())
        sizes["C"] = self.m * self.n * element_bytes(self.out_dtype)
        at = bases(sizes)
        tensors = tuple(Tensor(name, base, sizes[name], sizes[name]) for name, base in at.items())
        held = self.stages * sum(edge * step for edge, step in zip(self.block, self.k_steps, strict=True)) * size
        chunks = GemmChunks(self, tuple(at.values()))
        return Trace(
            *(self.name, tensors, self.dtype, held, self.stages, 1, read, 0, sizes["C"], chunks),
            one_result=self.one_result,
            stores_by=self.store,
        )


@dataclass(frozen=True)
class GemmChunks:
    """The chunk stream of a product; `at` are the addresses of A, B and C."""

    gemm: Gemm
    at: tuple[int, ...]

    def __call__(self) -> Iterator[Chunk]:
        """One chunk: for each tile of C, the steps along k except the last, as repeats, and the last, which stores
        it."""
        programs: list[tuple[int, ...]] = []
        steps: list[tuple[int, ...]] = []
        runs: list[tuple[int, ...]] = []
        times = -(-self.gemm.k // max(self.gemm.k_steps))
        for tiles in self.gemm.deal.tiles(self.gemm):
            first = len(steps)
            for tile in tiles:
                for start, repeats in ((0, times - 1), (times - 1, 1)):
                    if repeats:
                        steps.append(self._step(tile, start, repeats, runs))
            if len(steps) > first:
                programs.append((first, len(steps) - first, 0, 0))
        yield Chunk(np.array(programs, PROGRAM), np.array(steps, STEP), np.array(runs, RUN), np.zeros(0, np.int32))

    def _step(self, tile: Tile, start: int, repeats: int, runs: list[tuple[int, ...]]) -> tuple[int, ...]:
        """A step from step `start` along k on, repeated; its runs are appended."""
        gemm, (a, b, c), (row, column, height, width) = self.gemm, self.at, tile
        size, wide, whole = element_bytes(gemm.dtype), element_bytes(gemm.out_dtype), max(gemm.k_steps)
        first, last = len(runs), (start + repeats) * whole >= gemm.k
        depth = gemm.k - start * whole if last else whole
        for k, deep in _cuts(start * whole, depth, gemm.k_steps[0]):
            base, pitch = a + (row * gemm.k + k) * size, gemm.k * size
            runs.append((base, pitch, height, deep * size, -1, whole * size, READ, 0))
        for k, deep in _cuts(start * whole, depth, gemm.k_steps[1]):
            if gemm.b_rows == "k":
                base, pitch = b + (column * gemm.k + k) * size, gemm.k * size
                runs.append((base, pitch, width, deep * size, -1, whole * size, READ, 1))
            else:
                base, pitch = b + (k * gemm.n + column) * size, gemm.n * size
                runs.append((base, pitch, deep, width * size, -1, whole * pitch, READ, 1))
        loads = len(runs) - first
        if last:
            runs.append((c + (row * gemm.n + column) * wide, gemm.n * wide, height, width * wide, -1, 0, WRITE, 2))
        return first, 0, loads, int(last), repeats, height, width, depth, 0, 0, 0, 0


def _cuts(start: int, length: int, most: int) -> list[tuple[int, int]]:
    """Beginnings and lengths of the pieces of `length` elements from `start` on, `most` at a time."""
    return [(start + part, min(most, length - part)) for part in range(0, length, most)]
