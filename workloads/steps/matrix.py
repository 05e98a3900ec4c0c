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
Operations = Annotated[float, Field(ge=0, le=1024)]
SUM_BYTES = 4
"""Bytes of the sum of a piece."""
OPERATION_BYTES = 4
"""Bytes of an element on which an elementwise operation takes the time of one fp32 operation of the vector unit."""
REQUEST = 16384
"""Bytes of a request, of which a DMA engine has several under way for one synchronous command."""
IN_FLIGHT = 64
"""Most steps in flight of a read, or of a program with synchronous copies: more than a core's window holds, so that the
window or the program's buffers are the limit."""


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
    read_columns: Size | None = None
    """Columns that are read, from the first on; absent: all."""
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
        if self.width > self.columns:
            raise WorkloadError(f"read_columns {self.width} exceeds columns {self.columns}; lower it")
        if self.width % self.bands:
            raise WorkloadError(f"columns {self.width} is no multiple of bands {self.bands}; change bands")
        if self.rows_per_step > tile and (block // tile * self.tiles_across) % (self.rows_per_step // tile):
            raise WorkloadError(
                f"rows_per_step {self.rows_per_step} joins {self.rows_per_step // tile} tiles, which does not divide "
                f"the {block // tile * self.tiles_across} of a block; lower it"
            )
        return self

    @property
    def width(self) -> int:
        """Columns that are read."""
        return self.read_columns or self.columns

    @property
    def tiles_across(self) -> int:
        """Tiles of a band, side by side."""
        return -(-self.width // self.bands // self.tile[1])

    def trace(self) -> Trace:
        """The trace."""
        size = self.rows * self.columns * element_bytes(self.dtype)
        useful = size // self.columns * self.width
        tensors = (Tensor("X", 0, size, useful),)
        chunks = ReadChunks(self)
        return Trace(self.name, tensors, self.dtype, 0, IN_FLIGHT, None, useful, 0, 0, chunks, cores=self.cores)


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
        band = workload.width // workload.bands
        end = (tiles[:, 1] // band + 1) * band
        runs["bytes"] = (np.minimum(width, end - tiles[:, 1]) * size)[:, None]
        runs["op"] = READ if workload.cached else UNCACHED
        return runs.ravel(), max(1, workload.rows_per_step // height)

    def _tiles(self, number: int) -> NDArray[np.int64]:
        """First row and first column of the program's tiles, in order."""
        workload = self.workload
        height, width = workload.tile
        block, across = workload.rows // workload.programs, workload.width // workload.bands
        blocks = np.array([number]) if workload.order == "own" else np.arange(workload.programs)
        if workload.order == "rotated":
            blocks = (blocks + number) % workload.programs
        downward = (blocks[:, None] * block + np.arange(0, block, height)).ravel()
        sideways = np.arange(0, across, width)
        once = np.stack(np.meshgrid(downward, sideways, indexing="ij"), axis=-1).reshape(-1, 2)
        bands = [np.tile(once + np.array([0, band * across]), (workload.passes, 1)) for band in range(workload.bands)]
        return np.concatenate(bands).astype(np.int64)


class FirstPass(BaseModel):
    """A kernel before an elementwise operation that reads the inputs for statistics, as a normalisation does.

    It writes a sum for each piece."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of every program's pieces that it reads: less than 1 where the statistics are sampled."""
    operations: Operations = 0.0
    """Elementwise operations on each element read."""


class Elementwise(BaseModel):
    """All cores read equal stretches of some matrices, combine them element by element, and write one.

    With no inputs it fills a matrix. An operation or an exponential that is done row by row, such as a softmax, is one
    too where a piece is a row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["elementwise"]
    """Value of `kind` in the YAML."""
    name: str = Field(min_length=1)
    """Name in tables and figures."""
    inputs: Annotated[int, Field(ge=0, le=8)]
    """Matrices read; 0: a fill."""
    in_place: bool = False
    """Whether the result replaces the first input."""
    rows: Size
    """Rows of each, dealt evenly to the programs; the first programs take one more if there is a remainder."""
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
    """Kind of core that runs the programs."""
    operations: Operations = 0.0
    """Elementwise operations on each element of the result, beside those of exponentials. An operation on an element
    of 2 bytes takes half the time of one on 4, since a vector holds twice as many."""
    exps: Annotated[int, Field(ge=0, le=64)] = 0
    """Exponentials of each element, each with the operations of a softmax: maximum, difference, sum and scale."""
    first_pass: FirstPass | None = None
    """A kernel before it that reads the inputs; absent: there is none."""
    stored: Size | None = None
    """Elements of a row of the stores, which a memory merges where they are less than its accesses; absent: whole
    pieces."""
    synchronous: bool = False
    """Whether a program waits for the store of a piece before it goes on, so that with one buffer load, operation and
    store follow each other; false: stores run beside what follows. Commands of such programs are cut into requests,
    so that the bytes in flight of a core are several."""
    cached: bool = True
    """Whether the reads go through the caches; false: they bypass them. Writes always go through."""

    @model_validator(mode="after")
    def _enough(self) -> Elementwise:
        if not self.inputs and (self.in_place or self.first_pass):
            raise WorkloadError(
                "inputs 0 is a fill, which reads nothing; remove in_place and first_pass, or raise inputs"
            )
        if self.stored and (self.piece % self.stored or self.columns % self.stored):
            raise WorkloadError(
                f"stored {self.stored} must divide piece {self.piece} and columns {self.columns}; change stored"
            )
        if self.programs > self.rows:
            raise WorkloadError(f"programs {self.programs} exceeds rows {self.rows}; lower programs")
        return self

    def trace(self) -> Trace:
        """The trace."""
        size = self.rows * self.columns * element_bytes(self.dtype)
        names = [f"X{i}" for i in range(self.inputs)] + ([] if self.in_place else ["O"])
        sizes = dict.fromkeys(names, size)
        if self.first_pass:
            sizes["sums"] = SUM_BYTES * (self.rows * self.columns // self.piece + self.programs)
        at = bases(sizes)
        tensors = tuple(Tensor(name, base, sizes[name], sizes[name]) for name, base in at.items())
        return Trace(
            self.name,
            tensors,
            self.dtype,
            len(names) * self.buffers * self.piece * element_bytes(self.dtype),
            IN_FLIGHT if self.synchronous else self.buffers,
            1,
            self.inputs * size,
            0,
            size,
            ElementwiseChunks(self, tuple(at.values())),
            cores=self.cores,
            synchronous=self.buffers if self.synchronous else 0,
        )


@dataclass(frozen=True)
class ElementwiseChunks:
    """The chunk stream of an elementwise operation; `at` are the addresses of the inputs and of the output, which may
    be that of the first input."""

    workload: Elementwise
    at: tuple[int, ...]

    def __call__(self) -> Iterator[Chunk]:
        """A chunk for the first pass, if there is one, and a chunk for the operation."""
        workload, first = self.workload, self.workload.first_pass
        if first is not None:
            yield self._chunk(len(self.at) - 1, first.share, first.operations, 0, sums=True)
        output = 0 if workload.in_place else workload.inputs
        yield self._chunk(output, 1.0, workload.operations, workload.exps)

    def _chunk(self, output: int, share: float, operations: float, exps: int, sums: bool = False) -> Chunk:
        """A kernel that reads a share of the inputs and writes the tensor `output`: as much as it read, or one sum for
        each piece with `sums`. The operation waits for the kernel with the sums."""
        workload, size, start, pieces = self.workload, element_bytes(self.workload.dtype), 0, 0
        read = READ if workload.cached else UNCACHED
        programs: list[tuple[int, ...]] = []
        steps: list[tuple[int, ...]] = []
        runs: list[tuple[int, ...]] = []
        for number in range(workload.programs):
            rows = workload.rows // workload.programs + (number < workload.rows % workload.programs)
            first, at, own = len(steps), start, rows * workload.columns * size
            for repeats, length in _pieces(max(1, round(share * own)), workload.piece * size):
                for load, piece, times in self._steps(length, repeats):
                    work = (round(operations * piece / OPERATION_BYTES), 0, exps * piece // size)
                    steps.append((len(runs), 0, workload.inputs, piece > 0, times, 0, 0, 0, 1, *work))
                    for tensor in range(workload.inputs):
                        runs.append((self.at[tensor] + at, load, load, read, tensor))
                    at += load * times
                    if piece:
                        stored = SUM_BYTES if sums else piece
                        base = self.at[output] + (pieces * SUM_BYTES if sums else at - load * (times - 1) - piece)
                        row = workload.stored * size if workload.stored and not sums else stored
                        runs.append((base, stored, row, WRITE, output))
                        pieces += times
            start += own
            programs.append((first, len(steps) - first, 0, 0))
        arrays = np.array(programs, PROGRAM), np.array(steps, STEP), _contiguous(runs), np.zeros(0, np.int32)
        return Chunk(*arrays, barrier=workload.first_pass is not None and not sums)

    def _steps(self, length: int, repeats: int) -> Iterator[tuple[int, int, int]]:
        """What the steps for `repeats` pieces of `length` bytes load and store, and how often in a row: one that is
        repeated, or, where copies are synchronous, steps that load a request each before one that loads the last and
        stores the piece."""
        if not self.workload.synchronous or not self.workload.inputs or length <= REQUEST:
            yield length, length, repeats
            return
        last = (length - 1) % REQUEST + 1
        for _ in range(repeats):
            yield REQUEST, 0, length // REQUEST - (last == REQUEST)
            yield last, length, 1


def _contiguous(pieces: list[tuple[int, ...]]) -> Records:
    """Runs given as (base, bytes, bytes of a row, op, tensor), whose rows and repeats follow each other without a
    gap."""
    runs = np.zeros(len(pieces), RUN)
    runs["base"], runs["advance"], runs["bytes"], runs["op"], runs["tensor"] = np.array(pieces, np.int64).T
    runs["count"], runs["stride"], runs["index"] = runs["advance"] // runs["bytes"], runs["bytes"], -1
    runs["block"] = 1
    return runs


def _pieces(bytes: int, piece: int) -> list[tuple[int, int]]:
    """How often pieces of how many bytes cover so many bytes."""
    return [(n, length) for n, length in ((bytes // piece, piece), (1, bytes % piece)) if n and length]
