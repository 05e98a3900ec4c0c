"""A product with weights, C = A x W^T: a projection, a feed-forward matrix, heads or experts side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.tiling import Budget
from memgrain.workloads.layouts.layout import bases
from memgrain.workloads.shape import DType, element_bytes
from memgrain.workloads.steps.linear_tiling import FittedLinear, LinearTiling, Operands, fit_linear
from memgrain.workloads.steps.matrix import Size
from memgrain.workloads.trace import PROGRAM, READ, RUN, STEP, WRITE, Chunk, Records, Tensor, Trace

WeightFormat = Literal["bf16", "fp16", "fp8", "int8", "fp4", "int4"]
Ints = NDArray[np.int64]
PARTIAL_BYTES = 4
"""Bytes of an element of a partial sum (fp32)."""
MERGED = 256
"""Fewest elements of C of a merge program."""


@dataclass(frozen=True)
class WeightStorage:
    """Storage of weights of a type."""

    bits: int
    """Bits of an element."""
    group: tuple[int, int]
    """Outputs and inputs that share a scale; (0, 0): no scales."""
    scale_bytes: int
    """Bytes of a scale."""


STORAGE: dict[WeightFormat, WeightStorage] = {
    "bf16": WeightStorage(16, (0, 0), 0),
    "fp16": WeightStorage(16, (0, 0), 0),
    "fp8": WeightStorage(8, (128, 128), 4),
    "int8": WeightStorage(8, (0, 0), 0),
    "fp4": WeightStorage(4, (1, 32), 1),
    "int4": WeightStorage(4, (1, 128), 2),
}
"""fp8: an fp32 scale for 128 x 128 (DeepSeek-V3, arXiv 2412.19437, 3.3.2); fp4: a byte for 32 inputs (OCP Microscaling
Formats 1.0, MXFP4); int4: an fp16 scale for 128 inputs (AWQ, arXiv 2306.00978; zero points are not counted). Those of
int8, one an output (SmoothQuant, arXiv 2211.10438), are not counted either."""


class Linear(BaseModel):
    """A product of A [tokens, inputs] with weights W [outputs, inputs], or several such products side by side.

    A and C are stored row by row, the rows of one matrix after those of the one before. W is stored row by row if it
    has A's type. If it is converted in the core, it is stored tile by tile, as kernels for such weights require
    (Marlin, arXiv 2408.11743; TensorRT-LLM's weight-only kernels). Its scales follow in the order of the tiles and
    count as W. The conversion itself takes no time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["linear"]
    """Value of `kind` in the YAML."""
    name: str = Field(min_length=1)
    """Name in tables and figures."""
    tokens: Size
    """Rows of A and C of each matrix; of all matrices together where `rows` is given."""
    inputs: Size
    """Columns of A and W."""
    outputs: Size
    """Rows of W and columns of C."""
    matrices: Size = 1
    """Independent products, each with its own weights and rows: heads of a batched product, experts."""
    rows: tuple[Annotated[int, Field(ge=0, le=2**31)], ...] | None = None
    """Rows of A of each matrix, if they differ (tokens routed to each expert); their sum is `tokens`. A matrix without
    rows reads nothing."""
    weights: WeightFormat
    """Element type of W in memory."""
    dtype: DType
    """Element type of A, in which the product runs."""
    out_dtype: DType
    """Element type of C."""
    tiling: LinearTiling = LinearTiling()
    """How the kernel cuts C into tiles."""

    @model_validator(mode="after")
    def _agree(self) -> Linear:
        if self.rows is None:
            return self
        if len(self.rows) != self.matrices:
            raise WorkloadError(f"rows has {len(self.rows)} numbers for {self.matrices} matrices; give one for each")
        if sum(self.rows) != self.tokens:
            raise WorkloadError(f"rows add to {sum(self.rows)}, tokens is {self.tokens}; set tokens: {sum(self.rows)}")
        return self

    @property
    def row_counts(self) -> tuple[int, ...]:
        """Rows of A of each matrix."""
        return self.rows if self.rows is not None else (self.tokens,) * self.matrices

    @property
    def matrix_bytes(self) -> int:
        """Bytes of the elements of one W."""
        return self.outputs * self.inputs * STORAGE[self.weights].bits // 8

    def fit(self, budget: Budget) -> FittedLinear:
        """The tiling on a chip; raises WorkloadError if no tile fits."""
        operands = Operands(
            self.row_counts, self.outputs, self.inputs, element_bytes(self.dtype), STORAGE[self.weights].bits
        )
        return fit_linear(self.tiling, operands, budget)

    def trace(self, budget: Budget) -> Trace:
        """The trace: at most one persistent program a core, which computes tiles of C in turn (as CUTLASS's and
        cuBLAS's kernels for Hopper). If k is split, partial sums go to memory and a separate kernel adds them (cuBLAS's
        splitKreduce_kernel).

        Raises WorkloadError if no tile fits the scratchpad.
        """
        if self.inputs * STORAGE[self.weights].bits % 8:
            raise WorkloadError(f"inputs {self.inputs} of {self.weights} are no whole bytes; make it even")
        fitted = self.fit(budget)
        stored, rows = STORAGE[self.weights], sum(self.row_counts)
        moved = scale_bytes(stored, fitted.block_n, fitted.block_k)
        tiles = -(-self.outputs // fitted.block_n)
        scales = tiles * -(-self.inputs // fitted.block_k) * moved
        active = sum(count > 0 for count in self.row_counts)
        sizes = {
            "A": rows * self.inputs * element_bytes(self.dtype),
            "W": self.matrices * (self.matrix_bytes + scales),
            "C": rows * self.outputs * element_bytes(self.out_dtype),
        }
        if fitted.splits > 1:
            sizes["partial"] = fitted.splits * rows * self.outputs * PARTIAL_BYTES
        at = bases(sizes)
        useful = sizes | {"W": active * (self.matrix_bytes + scale_bytes(stored, self.outputs, self.inputs))}
        useful |= dict.fromkeys(useful.keys() & {"partial"}, 0)
        return Trace(
            self.name,
            tuple(Tensor(name, base, sizes[name], useful[name]) for name, base in at.items()),
            self.dtype,
            fitted.scratchpad_bytes,
            fitted.stages,
            1,
            useful["A"] + useful["W"],
            0,
            sizes["C"],
            LinearChunks(self, fitted, budget.cores, tuple(at.values())),
            launch_cycles=self.tiling.launch_cycles,
        )


def scale_bytes(stored: WeightStorage, outputs: int, inputs: int) -> int:
    """Bytes of the scales of a part of W (a matrix, or the part of a step), rounded up to whole scales."""
    down, across = stored.group
    return -(-outputs // down) * -(-inputs // across) * stored.scale_bytes if down else 0


@dataclass(frozen=True)
class OutputTiles:
    """Tiles of C, or parts of k of them, in the order in which they are dealt to programs; arrays of one length."""

    matrix: Ints
    """Number of the matrix."""
    first_row: Ints
    """First row of C, over all matrices."""
    height: Ints
    """Rows."""
    column: Ints
    """First column."""
    width: Ints
    """Columns."""
    split: Ints
    """Number of the part of k."""
    first_step: Ints
    """First step along k."""
    steps: Ints
    """Steps along k."""
    member: Ints
    """Position among the tiles that share their loads of W."""
    sharing: Ints
    """Number of those tiles."""

    def take(self, order: Ints) -> OutputTiles:
        """The tiles in another order."""
        return OutputTiles(**{name: values[order] for name, values in vars(self).items()})


@dataclass(frozen=True)
class LinearChunks:
    """The chunk stream of a product; `at` are the addresses of A, W, C and the partial sums if there are any."""

    linear: Linear
    fitted: FittedLinear
    cores: int
    at: tuple[int, ...]

    def __call__(self) -> Iterator[Chunk]:
        """The products, and where k is split the merge."""
        yield self._products()
        if self.fitted.splits > 1:
            yield self._merge()

    def _tiles(self) -> OutputTiles:
        """All tiles, matrix by matrix, in bands of rows, down before across, so that tiles that share loads of W are
        computed at the same time; the parts of a tile are adjacent."""
        linear, fitted = self.linear, self.fitted
        across, begin = -(-linear.outputs // fitted.block_n), 0
        found: list[Ints] = []
        for number, rows in enumerate(linear.row_counts):
            down = -(-rows // fitted.block_m)
            row, column = np.divmod(np.arange(down * across), across)
            order = np.lexsort((row, column, row // fitted.band))
            row, column = row[order] * fitted.block_m, column[order] * fitted.block_n
            height, place = np.minimum(fitted.block_m, rows - row), row // fitted.block_m
            member = place % fitted.band % fitted.cluster
            end = np.minimum((place // fitted.band + 1) * fitted.band, down)
            sharing = np.where(place - member + fitted.cluster <= end, fitted.cluster, 1)
            member = np.where(sharing > 1, member, 0)
            found.append(np.stack([np.full(len(row), number), begin + row, height, column, member, sharing]))
            begin += rows
        numbers = np.repeat(np.concatenate(found, axis=1), fitted.splits, axis=1)
        matrix, row, height, column, member, sharing = numbers
        total = -(-linear.inputs // fitted.block_k)
        each = -(-total // fitted.splits)
        split = np.arange(len(matrix)) % fitted.splits
        width = np.minimum(fitted.block_n, linear.outputs - column)
        steps = np.minimum(each, total - split * each)
        return OutputTiles(matrix, row, height, column, width, split, split * each, steps, member, sharing)

    def _products(self) -> Chunk:
        """Every program processes one tile after the other: all steps except the last, then the last."""
        tiles = self._tiles()
        programs = min(self.cores, len(tiles.matrix))
        dealt = np.arange(len(tiles.matrix)) % programs
        order = np.argsort(dealt, kind="stable")
        tiles, owner = tiles.take(order), dealt[order]
        body, end = self._steps(tiles, False), self._steps(tiles, True)
        kept = np.stack([tiles.steps > 1, np.full(len(owner), True)], axis=1).ravel()
        steps, runs = (np.stack(pair, axis=1) for pair in zip(body, end, strict=True))
        steps, runs = steps.ravel()[kept], runs.reshape(len(kept), -1)[kept]
        present = runs["count"] > 0
        steps["first_run"] = np.concatenate([[0], np.cumsum(present.sum(axis=1))[:-1]])
        counts = np.bincount(np.repeat(owner, 2)[kept], minlength=programs)
        found = np.zeros(programs, PROGRAM)
        found["steps"], found["first_step"] = counts, np.cumsum(counts) - counts
        return Chunk(found, steps, runs[present], np.zeros(0, np.int32))

    def _steps(self, tiles: OutputTiles, last: bool) -> tuple[Records, Records]:
        """The last step of each tile, or those before it as one step; and their runs of A, W, scales and C. Runs that
        move nothing have no pieces."""
        linear, fitted, stored = self.linear, self.fitted, STORAGE[self.linear.weights]
        size, block_k, whole = element_bytes(linear.dtype), fitted.block_k, linear.inputs
        start = tiles.first_step + (tiles.steps - 1 if last else 0)
        depth = np.minimum(block_k, whole - start * block_k) if last else np.full(len(start), block_k)
        runs = np.zeros((len(start), 4), RUN)
        runs["index"], runs["op"], runs["tensor"] = -1, READ, (0, 1, 1, 2)
        a, w, scales, c = (runs[:, i] for i in range(4))
        a["base"] = self.at[0] + (tiles.first_row * whole + start * block_k) * size
        a["stride"], a["count"], a["bytes"], a["advance"] = whole * size, tiles.height, depth * size, block_k * size
        self._weights(w, tiles, start, depth)
        if moved := scale_bytes(stored, fitted.block_n, fitted.block_k):
            steps_across = -(-whole // block_k)
            tile = tiles.matrix * -(-linear.outputs // fitted.block_n) + tiles.column // fitted.block_n
            scales["base"] = self.at[1] + linear.matrices * linear.matrix_bytes + (tile * steps_across + start) * moved
            scales["count"], scales["bytes"], scales["advance"] = 1, moved, moved
        if last:
            self._output(c, tiles)
        steps = np.zeros(len(start), STEP)
        steps["load_runs"], steps["store_runs"] = 2 + bool(moved), int(last)
        steps["repeats"] = 1 if last else tiles.steps - 1
        steps["m1"], steps["n1"], steps["k1"] = tiles.height, tiles.width, depth
        return steps, runs

    def _weights(self, w: Records, tiles: OutputTiles, start: Ints, depth: Ints) -> None:
        """Fill in the reads of W: rows of A's type, or a range of tiles of another type."""
        linear, bits = self.linear, STORAGE[self.linear.weights].bits
        base, row = self.at[1] + tiles.matrix * linear.matrix_bytes, linear.inputs * bits // 8
        first, stop = (tiles.width * (tiles.member + i) // tiles.sharing for i in (0, 1))
        if linear.weights == linear.dtype:
            w["base"] = base + (tiles.column + first) * row + start * self.fitted.block_k * bits // 8
            w["stride"], w["count"], w["bytes"] = row, stop - first, depth * bits // 8
            w["advance"] = self.fitted.block_k * bits // 8
            return
        before = tiles.width * start * self.fitted.block_k + first * depth
        w["base"] = base + tiles.column * row + before * bits // 8
        w["count"], w["bytes"] = 1, -(-(stop - first) * depth * bits // 8)
        w["advance"] = tiles.width * self.fitted.block_k * bits // 8

    def _output(self, c: Records, tiles: OutputTiles) -> None:
        """Fill in the writes: C, or a partial sum of it."""
        linear, split = self.linear, self.fitted.splits > 1
        size = PARTIAL_BYTES if split else element_bytes(linear.out_dtype)
        rows = sum(linear.row_counts)
        c["base"] = (
            self.at[3 if split else 2]
            + (((tiles.split * rows if split else 0) + tiles.first_row) * linear.outputs + tiles.column) * size
        )
        c["stride"], c["count"], c["bytes"] = linear.outputs * size, tiles.height, tiles.width * size
        c["op"], c["tensor"] = WRITE, 3 if split else 2

    def _merge(self) -> Chunk:
        """Programs that add up equal stretches of the partial sums."""
        linear, splits = self.linear, self.fitted.splits
        wide, total = element_bytes(linear.out_dtype), sum(linear.row_counts) * linear.outputs
        each = -(-total // (self.cores * MERGED)) * MERGED
        start = np.arange(0, total, each)
        length = np.minimum(each, total - start)
        runs = np.zeros((len(start), 2), RUN)
        runs["index"] = -1
        runs["base"] = np.stack([self.at[3] + start * PARTIAL_BYTES, self.at[2] + start * wide], axis=1)
        runs["stride"], runs["count"], runs["op"] = (total * PARTIAL_BYTES, 0), (splits, 1), (READ, WRITE)
        runs["bytes"], runs["tensor"] = np.stack([length * PARTIAL_BYTES, length * wide], axis=1), (3, 2)
        steps = np.zeros(len(start), STEP)
        steps["first_run"], steps["load_runs"] = 2 * np.arange(len(start)), 1
        steps["store_runs"], steps["repeats"] = 1, 1
        programs = np.zeros(len(start), PROGRAM)
        programs["first_step"], programs["steps"] = np.arange(len(start)), 1
        return Chunk(programs, steps, runs.ravel(), np.zeros(0, np.int32), True)
