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
from memgrain.workloads.trace import PROGRAM, READ, RUN, STEP, WRITE, Chunk, Tensor, Trace

Place = tuple[int, int]
"""First row and first column of a tile of C."""


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

    def tiles(self, gemm: Gemm) -> list[list[Place]]:
        """The tiles of each core: down the columns of its rectangle."""
        (height, width), part = gemm.block, gemm.m // self.row_parts
        down, across = (-(-part // self.grid[0] // height) * height, -(-gemm.n // self.grid[1] // width) * width)
        found = []
        for row in range(0, self.grid[0] * down, down):
            for column in range(0, self.grid[1] * across, across):
                rows, columns = range(row, min(row + down, part), height), range(column, min(column + across, gemm.n))
                found.append([(p * part + r, c) for p in range(self.row_parts) for c in columns[::width] for r in rows])
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

    def tiles(self, gemm: Gemm) -> list[list[Place]]:
        """The tiles of each core."""
        (height, width), band = gemm.block, self.band
        down, across = -(-gemm.m // height), -(-gemm.n // width)
        order = []
        for number, first in enumerate(range(0, across, band or across)):
            rows = range(down) if number % 2 == 0 else range(down - 1, -1, -1)
            order += [(r, c) for r in rows for c in range(first, min(first + (band or across), across))]
        places = [(r * height, c * width) for r, c in order]
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
    """Columns of A and rows of B; a multiple of both of k_steps."""
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
    deal: Annotated[Rectangles | RoundRobin, Field(discriminator="kind")]
    """Assignment of C's tiles to cores."""

    @model_validator(mode="after")
    def _whole(self) -> Gemm:
        large, small = max(self.k_steps), min(self.k_steps)
        if self.k % large or large % small:
            raise WorkloadError(f"k {self.k} and k_steps {self.k_steps} must divide one another; change k_steps")
        if isinstance(self.deal, Rectangles) and self.m % self.deal.row_parts:
            raise WorkloadError(f"m {self.m} is no multiple of row_parts {self.deal.row_parts}; change it")
        return self

    def trace(self) -> Trace:
        """The trace."""
        size = element_bytes(self.dtype)
        sizes = {"A": self.m * self.k * size, "B": self.k * self.n * size}
        read = sum(sizes.values())
        sizes["C"] = self.m * self.n * element_bytes(self.out_dtype)
        at = bases(sizes)
        tensors = tuple(Tensor(name, base, sizes[name], sizes[name]) for name, base in at.items())
        held = self.stages * sum(edge * step for edge, step in zip(self.block, self.k_steps, strict=True)) * size
        chunks = GemmChunks(self, tuple(at.values()))
        return Trace(self.name, tensors, self.dtype, held, self.stages, 1, read, 0, sizes["C"], chunks)


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
        times = self.gemm.k // max(self.gemm.k_steps)
        for tiles in self.gemm.deal.tiles(self.gemm):
            first = len(steps)
            for place in tiles:
                for start, repeats in ((0, times - 1), (times - 1, 1)):
                    if repeats:
                        steps.append(self._step(place, start, repeats, runs))
            if len(steps) > first:
                programs.append((first, len(steps) - first, 0, 0))
        yield Chunk(np.array(programs, PROGRAM), np.array(steps, STEP), np.array(runs, RUN), np.zeros(0, np.int32))

    def _step(self, place: Place, start: int, repeats: int, runs: list[tuple[int, ...]]) -> tuple[int, ...]:
        """A step from step `start` along k on, repeated; its runs are appended."""
        gemm, (a, b, c), (row, column) = self.gemm, self.at, place
        size, wide, whole = element_bytes(gemm.dtype), element_bytes(gemm.out_dtype), max(gemm.k_steps)
        height, width = min(gemm.block[0], gemm.m - row), min(gemm.block[1], gemm.n - column)
        first, loads = len(runs), 0
        for part in range(0, whole, gemm.k_steps[0]):
            k = start * whole + part
            base, pitch = a + (row * gemm.k + k) * size, gemm.k * size
            runs.append((base, pitch, height, gemm.k_steps[0] * size, -1, whole * size, READ, 0, 1))
            loads += 1
        for part in range(0, whole, gemm.k_steps[1]):
            k = start * whole + part
            if gemm.b_rows == "k":
                base, pitch = b + (column * gemm.k + k) * size, gemm.k * size
                runs.append((base, pitch, width, gemm.k_steps[1] * size, -1, whole * size, READ, 1, 1))
            else:
                base, pitch = b + (k * gemm.n + column) * size, gemm.n * size
                runs.append((base, pitch, gemm.k_steps[1], width * size, -1, whole * pitch, READ, 1, 1))
            loads += 1
        last = start + repeats == gemm.k // whole
        if last:
            runs.append((c + (row * gemm.n + column) * wide, gemm.n * wide, height, width * wide, -1, 0, WRITE, 2, 1))
        return first, 0, loads, int(last), repeats, height, width, whole, 0, 0, 0, 0
