"""A tiled matrix product C = A x B on cores with a matrix unit: the assignment of C's tiles to cores, and their
order."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.shape import DType, element_bytes
from memgrain.workloads.steps.gemm_trace import BLOCK_BYTES, Tile, kernels_of
from memgrain.workloads.steps.matrix import Size
from memgrain.workloads.steps.serial_product import InSeries, serial_trace
from memgrain.workloads.steps.sliding_window import SlidingWindow
from memgrain.workloads.trace import Cores, Trace


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
    """What a band consists of: columns of tiles, passed row by row, or rows of tiles, passed column by column."""
    consecutive: bool = False
    """Whether a core's tiles follow one another in that order; false: they are dealt one by one."""

    def tiles(self, gemm: Gemm) -> list[list[Tile]]:
        """The tiles of each core."""
        (height, width), along = gemm.block, self.band_of == "columns"
        down, across = gemm.grid if along else gemm.grid[::-1]
        order, band = [], self.band or across
        for number, first in enumerate(range(0, across, band)):
            lines = range(down) if number % 2 == 0 else range(down - 1, -1, -1)
            order += [(i, j) for i in lines for j in range(first, min(first + band, across))]
        tiles = [gemm.tile(r * height, c * width) for r, c in (order if along else ((i, j) for j, i in order))]
        if not self.consecutive:
            return [tiles[core :: self.programs] for core in range(self.programs)]
        ends = [len(tiles) * core // self.programs for core in range(self.programs + 1)]
        return [tiles[first:end] for first, end in pairwise(ends)]


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
    """Columns of A and rows of B; the last step along k has what is left."""
    dtype: DType
    """Element type of A and B, in which the product runs."""
    out_dtype: DType
    """Element type of C."""
    b_rows: Literal["n", "k", "blocks"]
    """Dimension along a row of B in memory: k (B is stored transposed: [n, k]) or n ([k, n]); blocks: B is stored in
    columns of 32 bytes, [n / 16, k, 16] for elements of two bytes (zN of the Ascend)."""
    block: tuple[Size, Size]
    """Rows and columns of a tile of C, which a core computes at once."""
    k_steps: tuple[Size, Size]
    """Elements along k that a DMA command moves of A and of B; one a multiple of the other."""
    splits: Size = 1
    """Parts of k that different cores multiply; vector cores add their results."""
    finish: Literal["cube", "vector"] = "cube"
    """What writes C: the matrix cores, or the vector cores, which read a tile's sums of four bytes from a workspace and
    convert them (as in a product with dequantisation). The vector cores work beside the products, so that the last
    tile of each core, or all of C where k is split, comes behind them."""
    keep_a: bool = False
    """Whether a core keeps all of A's rows in its scratchpad while it computes tiles of one row of C."""
    stages: Annotated[int, Field(ge=1, le=16)]
    """Steps (of the larger of k_steps) that may be loaded ahead, the one computed included: 2 is double buffering."""
    one_result: bool = False
    """Whether a core has room for one tile of C only, so that its next tile waits until the last one is stored."""
    store: Cores = "matmul"
    """Cores whose ports C leaves by: those that compute it, or the vector cores, which take it from them directly."""
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
        if self.in_series and (self.finish == "vector" or self.keep_a or self.b_rows == "blocks"):
            raise WorkloadError("in_series goes with finish: cube, rows of B and no keep_a; change them")
        if self.store == "vector" and self.finish == "vector":
            raise WorkloadError(
                "store and finish are both vector; with finish: vector these cores write C anyway, drop store"
            )
        return self

    @model_validator(mode="after")
    def _whole(self) -> Gemm:
        large, small = max(self.k_steps), min(self.k_steps)
        if large % small:
            raise WorkloadError(f"k_steps {self.k_steps} must divide one another; change one of them")
        if self.splits > self.steps:
            raise WorkloadError(f"splits {self.splits} of {self.steps} steps along k; lower splits")
        if self.splits > 1 and (self.finish == "cube" or self.keep_a or not isinstance(self.deal, RoundRobin)):
            raise WorkloadError(
                f"splits {self.splits} needs finish: vector, deal.kind: round_robin, and no keep_a; change them"
            )
        if self.b_rows == "blocks" and self.block[1] * element_bytes(self.dtype) % BLOCK_BYTES:
            raise WorkloadError(f"block {self.block} has no whole columns of {BLOCK_BYTES} B; change block")
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

    @property
    def steps(self) -> int:
        """Steps along k, of the larger of k_steps."""
        return -(-self.k // max(self.k_steps))

    def part(self, split: int) -> tuple[int, int]:
        """The range of k of a split: whole steps, of which the first splits have one more."""
        each, more = divmod(self.steps, self.splits)
        first, last = (i * each + min(i, more) for i in (split, split + 1))
        return first * max(self.k_steps), min(last * max(self.k_steps), self.k)

    def tasks(self) -> list[list[tuple[Tile, int]]]:
        """The tiles of each core, each with its split."""
        cores = self.deal.tiles(self)
        if self.splits == 1:
            return [[(tile, 0) for tile in mine] for mine in cores]
        tiles = sum(map(len, cores))
        order = [cores[i % len(cores)][i // len(cores)] for i in range(tiles)]
        every = [(tile, split) for split in range(self.splits) for tile in order]
        return [every[core :: self.deal.programs] for core in range(self.deal.programs)]

    def trace(self) -> Trace:
        """The trace of the products."""
        return self.kernels()[0]

    def kernels(self) -> tuple[Trace, ...]:
        """The traces of the products, and of what vector cores do behind them."""
        return (serial_trace(self, self.in_series),) if self.in_series else kernels_of(self)
