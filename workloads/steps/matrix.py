"""Matrices that all cores move without a product: tiled reads into the scratchpad, and elementwise operations.

A step of these traces is one request of a DMA engine. Cores have a matrix unit or a vector unit; reads may bypass the
caches, as in kernels that use data once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layouts.layout import bases
from memgrain.workloads.shape import DType, element_bytes
from memgrain.workloads.trace import PROGRAM, READ, RUN, STEP, UNCACHED, WRITE, Chunk, Cores, Records, Tensor, Trace

Size = Annotated[int, Field(ge=1, le=2**31)]
IN_FLIGHT = 64
"""Most steps of a read in flight: more than a core's window holds, so that the window is the limit."""


class MatrixRead(BaseModel):
    """All cores read a matrix, tile by tile, and discard it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["matrix_read"]
    """Value of `kind` in the YAML."""
    name: str = Field(min_length=1)
    """Name in tables and figures."""
    rows: Size
    """Rows of the matrix; a multiple of programs."""
    columns: Size
    """Elements of a row; rows follow each other without a gap, so that an odd number misaligns them."""
    dtype: DType
    """Element type."""
    tile: tuple[Size, Size]
    """Rows and columns that one DMA command moves; the last tile of a row may be narrower."""
    programs: Size
    """Programs, each with an equal block of rows."""
    cores: Cores
    """Kind of core that runs the programs."""
    order: Literal["own", "same", "rotated"]
    """own: each program reads its block; same: each reads all blocks, from the first; rotated: all, from its own block
    on."""
    bands: Size = 1
    """Parts of the columns that are read one after the other."""
    passes: Size = 1
    """Times that a program reads a band before the next one."""
    cached: bool = True
    """Whether the reads go through the caches; false: they bypass them."""
    rows_per_step: Size
    """Rows of one request: larger tiles are cut into steps, smaller ones are joined, so that the bytes in flight of a
    core are several steps."""

    @model_validator(mode="after")
    def _whole(self) -> MatrixRead:
        block, tile = self.rows // self.programs, self.tile[0]
        if self.rows % self.programs or block % tile:
            raise WorkloadError(
                f"rows {self.rows} over programs {self.programs} is no multiple of the tile's {tile} rows; "
                "change programs or tile"
            )
        if self.columns % self.bands:
            raise WorkloadError(f"columns {self.columns} is no multiple of bands {self.bands}; change bands")
        if self.rows_per_step > tile and (block // tile * self.tiles_across) % (self.rows_per_step // tile):
            raise WorkloadError(
                f"rows_per_step {self.rows_per_step} joins {self.rows_per_step // tile} tiles, which does not divide "
                f"the {block // tile * self.tiles_across} of a block; lower it"
            )
        return self

    @property
    def tiles_across(self) -> int:
        """Tiles of a band, side by side."""
        return -(-self.columns // self.bands // self.tile[1])

    def trace(self) -> Trace:
        """The trace."""
        size = self.rows * self.columns * element_bytes(self.dtype)
        tensors = (Tensor("X", 0, size, size),)
        return Trace(self.name, tensors, self.dtype, 0, IN_FLIGHT, None, size, 0, 0, ReadChunks(self), cores=self.cores)


@dataclass(frozen=True)
class ReadChunks:
    """The chunk stream of a tiled read."""

    workload: MatrixRead

    def __call__(self) -> Iterator[Chunk]:
        """One chunk: a program for each share of the rows."""
        programs: list[tuple[int, ...]] = []
        steps: list[Records] = []
        runs: list[Records] = []
        for number in range(self.workload.programs):
            mine, count = self._program(number)
            own = np.zeros(len(mine) // count, STEP)
            own["first_run"] = number * len(mine) + count * np.arange(len(own))
            own["load_runs"], own["repeats"] = count, 1
            programs.append((number * len(own), len(own), 0, 0))
            steps.append(own)
            runs.append(mine)
        yield Chunk(np.array(programs, PROGRAM), np.concatenate(steps), np.concatenate(runs), np.zeros(0, np.int32))

    def _program(self, number: int) -> tuple[Records, int]:
        """The runs of a program in order, and how many of them are a step."""
        workload = self.workload
        size, (height, width) = element_bytes(workload.dtype), workload.tile
        tiles = self._tiles(number)
        rows = min(workload.rows_per_step, height)
        parts = np.arange(0, height, rows)
        runs = np.zeros((len(tiles), len(parts)), RUN)
        pitch = workload.columns * size
        runs["base"] = (tiles[:, 0] * pitch + tiles[:, 1] * size)[:, None] + parts * pitch
        runs["stride"], runs["index"] = pitch, -1
        runs["count"] = np.minimum(rows, height - parts)
        end = (tiles[:, 1] // (workload.columns // workload.bands) + 1) * (workload.columns // workload.bands)
        runs["bytes"] = (np.minimum(width, end - tiles[:, 1]) * size)[:, None]
        runs["op"] = READ if workload.cached else UNCACHED
        return runs.ravel(), max(1, workload.rows_per_step // height)

    def _tiles(self, number: int) -> NDArray[np.int64]:
        """First row and first column of the program's tiles, in order."""
        workload = self.workload
        height, width = workload.tile
        block, across = workload.rows // workload.programs, workload.columns // workload.bands
        blocks = np.array([number]) if workload.order == "own" else np.arange(workload.programs)
        if workload.order == "rotated":
            blocks = (blocks + number) % workload.programs
        downward = (blocks[:, None] * block + np.arange(0, block, height)).ravel()
        sideways = np.arange(0, across, width)
        once = np.stack(np.meshgrid(downward, sideways, indexing="ij"), axis=-1).reshape(-1, 2)
        bands = [np.tile(once + np.array([0, band * across]), (workload.passes, 1)) for band in range(workload.bands)]
        return np.concatenate(bands).astype(np.int64)


class Elementwise(BaseModel):
    """All cores read equal stretches of some matrices, combine them element by element, and write one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["elementwise"]
    """Value of `kind` in the YAML."""
    name: str = Field(min_length=1)
    """Name in tables and figures."""
    inputs: Annotated[int, Field(ge=1, le=8)]
    """Matrices read."""
    rows: Size
    """Rows of each, dealt evenly to the programs, the first ones taking one more where it does not come out."""
    columns: Size
    """Elements of a row."""
    dtype: DType
    """Element type."""
    piece: Size
    """Elements that one DMA command moves."""
    buffers: Annotated[int, Field(ge=1, le=16)]
    """Pieces of each matrix in the scratchpad at once: with 2, the next one loads while one is written."""
    programs: Size
    """Programs."""
    cores: Cores
    """Kind of core that runs the programs; the operation itself takes no time."""
    cached: bool = True
    """Whether the reads go through the caches; false: they bypass them. Writes always go through."""

    @model_validator(mode="after")
    def _enough(self) -> Elementwise:
        if self.programs > self.rows:
            raise WorkloadError(f"programs {self.programs} exceeds rows {self.rows}; lower programs")
        return self

    def trace(self) -> Trace:
        """The trace."""
        size = self.rows * self.columns * element_bytes(self.dtype)
        at = bases({**{f"X{i}": size for i in range(self.inputs)}, "O": size})
        tensors = tuple(Tensor(name, base, size, size) for name, base in at.items())
        return Trace(
            self.name,
            tensors,
            self.dtype,
            (self.inputs + 1) * self.buffers * self.piece * element_bytes(self.dtype),
            self.buffers,
            1,
            self.inputs * size,
            0,
            size,
            ElementwiseChunks(self, tuple(at.values())),
            cores=self.cores,
        )


@dataclass(frozen=True)
class ElementwiseChunks:
    """The chunk stream of an elementwise operation; `at` are the addresses of the inputs and of the output."""

    workload: Elementwise
    at: tuple[int, ...]

    def __call__(self) -> Iterator[Chunk]:
        """One chunk: in a program, the whole pieces are repeats of a step, and what is left is another."""
        workload, size, start = self.workload, element_bytes(self.workload.dtype), 0
        programs: list[tuple[int, ...]] = []
        steps: list[tuple[int, ...]] = []
        runs: list[tuple[int, ...]] = []
        for number in range(workload.programs):
            share = workload.rows // workload.programs + (number < workload.rows % workload.programs)
            left = share * workload.columns
            first = len(steps)
            for repeats, length in ((left // workload.piece, workload.piece), (1, left % workload.piece)):
                if not repeats or not length:
                    continue
                steps.append((len(runs), 0, workload.inputs, 1, repeats, 0, 0, 0, 0, 0, 0, 0))
                for i, base in enumerate(self.at):
                    op = WRITE if i == workload.inputs else READ if workload.cached else UNCACHED
                    runs.append((base + start * size, 0, 1, length * size, -1, length * size, op, i, 1))
                start += repeats * length
            programs.append((first, len(steps) - first, 0, 0))
        yield Chunk(np.array(programs, PROGRAM), np.array(steps, STEP), np.array(runs, RUN), np.zeros(0, np.int32))
