"""Tiling of a matrix product's output, and its fit to a chip's budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.tiling import Auto, Budget

Edge = Annotated[int, Field(ge=1, le=2**16)]

BLOCK_ROWS, BLOCK_COLUMNS = (16, 32, 64, 128, 256), (64, 128, 256)
"""Edges of a tile of C that an automatic tiling chooses from (CUTLASS's and DeepGEMM's kernels for Hopper; few rows, as
where tokens take the short side of the instruction)."""
SMALL_COLUMNS = (32, 16)
"""Columns tried where none of the others fits the scratchpad."""
LARGEST_TILE = 128 * 256
"""Elements of C that a core's accumulators hold: 128 KiB of fp32, two warpgroups' registers on Hopper, the L0C of an
Ascend 910B."""
REUSE = 64
"""Multiply-accumulates of a core per fetched element: a tile with fewer waits for its operands. H100: 2048 of bf16, or
4096 of fp8, a cycle, against 64 bytes a cycle."""
SHARED_REUSE, MEMORY_REUSE = 130, 320
"""The same for all cores together, per element from the last cache and from memory: H100, 2048 a cycle of 132 cores at
1.98 GHz against 8.2 and 3.35 TB/s. A product bound by these gains nothing from finer tiles."""
MOST_STAGES = 16
"""Most steps in flight of an automatic tiling, as in the names of cuBLAS's kernels for Hopper."""
STAGING_BYTES = 16 << 10
"""Scratchpad reserved for the output of C, if two stages leave it: the stages in those names (4 of 256 x 128, 6 of 128
x 128, 10 of 64 x 96, 13 of 64 x 64) leave 11 to 19 KiB of the 227."""
LEAST_SPLIT = 512
"""Fewest elements of k of a split."""
MERGE = 2**17
"""Cost of the merge of partial sums, in elements that a core fetches meanwhile: cuBLAS's splitKreduce_kernel takes 1.7
us on an H100 and starts 0.9 us after the product, at 127 GB/s a core and two bytes an element."""
PARTIAL_ELEMENTS = 4
"""Cost of an element of a partial sum, written and read as fp32, in elements of two bytes."""
BANDS = (8, 16)
"""Candidates for the tiles down C that are computed together (DeepGEMM's rule takes the better)."""


class LinearTiling(BaseModel):
    """Tile sizes of a matrix product; `fit_linear` resolves "auto".

    Tiles and splits: those with the least work per core, in whole waves (the rule of DeepGEMM, get_best_configs, with
    waits for operands and merges counted); split, as many as give every core work (split-K of cuBLAS and CUTLASS).
    Stages: as many as fit (CUTLASS, StageCountAutoCarveout).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_m: Edge | Auto = "auto"
    """Rows of a tile of C: 16 to 256, a power of two."""
    block_n: Edge | Auto = "auto"
    """Columns of a tile of C: 64 to 256, fewer where the scratchpad is small."""
    block_k: Edge | Auto = "auto"
    """Elements of k of a step: one of the chip's largest requests of A."""
    splits: Annotated[int, Field(ge=1, le=1024)] | Auto = "auto"
    """Programs that share the k of a tile: 1, or more where there are fewer tiles than cores."""
    stages: Annotated[int, Field(ge=1, le=64)] | Auto = "auto"
    """Steps that may be loaded ahead, the one computed included: as many as fit, at most 16."""
    band: Edge | Auto = "auto"
    """Tiles down C that are computed together before the next columns ("swizzle"): 8 or 16, whichever reads less."""
    cluster: Literal[1, 2] | Auto = "auto"
    """Tiles, one below the other, whose programs each load a part of every step's W and pass it to one another (thread
    block cluster, multicast): 2 if C has several down, k is not split and the chip supports it."""
    launch_cycles: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = (0, 0)
    """Cycles of a launch in the kernel's code: of the launch, and for each program that begins with it."""


@dataclass(frozen=True)
class FittedLinear:
    """A tiling in which every figure is known."""

    block_m: int
    """Rows of a tile."""
    block_n: int
    """Columns of a tile."""
    block_k: int
    """Elements of k of a step."""
    splits: int
    """Programs that share the k of a tile, each with at least one step."""
    stages: int
    """Steps in flight."""
    band: int
    """Tiles down C that are made together."""
    cluster: int
    """Tiles that share their loads of W."""
    scratchpad_bytes: int
    """Scratchpad of one program in bytes."""


@dataclass(frozen=True)
class Operands:
    """Properties of a product that the fit uses."""

    rows: Sequence[int]
    """Rows of C of each matrix."""
    columns: int
    """Columns of C."""
    inner: int
    """Elements of k."""
    a_bytes: int
    """Bytes of an element of A."""
    w_bits: int
    """Bits of an element of W."""

    def tiles(self, block_m: int, block_n: int) -> int:
        """Tiles of C."""
        return sum(-(-rows // block_m) for rows in self.rows) * -(-self.columns // block_n)


def fit_linear(tiling: LinearTiling, operands: Operands, budget: Budget) -> FittedLinear:
    """Resolve every "auto" of `tiling`; raises WorkloadError if nothing fits the scratchpad."""
    block_k = budget.request_bytes // operands.a_bytes if tiling.block_k == "auto" else tiling.block_k
    block_k = min(block_k, operands.inner)
    block_m, block_n, splits, stages = _tile(tiling, operands, budget, block_k)
    tiles, steps = operands.tiles(block_m, block_n), -(-operands.inner // block_k)
    each = -(-steps // min(splits, steps))
    better = min(BANDS, key=lambda size: size * block_m + -(-budget.cores // size) * block_n)
    band = better if tiling.band == "auto" else tiling.band
    several = operands.tiles(2 * block_m, block_n) < tiles and splits == 1
    cluster: int = min(2, budget.multicast) if tiling.cluster == "auto" else tiling.cluster
    need = stages * _step_bytes(operands, block_m, block_n, block_k)
    return FittedLinear(block_m, block_n, block_k, -(-steps // each), stages, band, cluster if several else 1, need)


def _tile(tiling: LinearTiling, operands: Operands, budget: Budget, block_k: int) -> tuple[int, int, int, int]:
    """Rows and columns of a tile, splits and stages: the cheapest that fit with two stages, else of smaller ones."""
    fixed = tiling.block_m != "auto" and tiling.block_n != "auto"
    rows = BLOCK_ROWS if tiling.block_m == "auto" else (tiling.block_m,)
    least = 1 if tiling.stages == "auto" else tiling.stages
    for columns in (BLOCK_COLUMNS, SMALL_COLUMNS) if tiling.block_n == "auto" else ((tiling.block_n,),):
        for stages in dict.fromkeys((max(2, least), least)):
            room = budget.scratchpad_bytes // stages
            found = [
                (height, width, splits)
                for height, width in product(rows, columns)
                if (fixed or height * width <= LARGEST_TILE) and _step_bytes(operands, height, width, block_k) <= room
                for splits in _splits(tiling, operands, budget.cores, operands.tiles(height, width))
            ]
            if found:
                cluster = min(2, budget.multicast) if tiling.cluster == "auto" else tiling.cluster
                best = min(found, key=lambda choice: _cost(operands, budget.cores, cluster, *choice))
                most = (budget.scratchpad_bytes - STAGING_BYTES) // _step_bytes(operands, *best[:2], block_k)
                return *best, max(stages, min(most, MOST_STAGES)) if tiling.stages == "auto" else tiling.stages
    need = least * _step_bytes(operands, rows[0], columns[-1], block_k)
    raise WorkloadError(
        f"the smallest tile needs {need} B of scratchpad, the core has {budget.scratchpad_bytes} B; "
        'lower tiling.block_m, block_n, block_k or stages, or leave them "auto"'
    )


def _splits(tiling: LinearTiling, operands: Operands, cores: int, tiles: int) -> tuple[int, ...]:
    """Candidate numbers of splits: one, and as many as fill the cores."""
    if tiling.splits != "auto":
        return (tiling.splits,)
    return 1, max(1, min(cores // max(1, tiles), operands.inner // LEAST_SPLIT))


def _cost(
    operands: Operands, cores: int, cluster: int, block_m: int, block_n: int, splits: int
) -> tuple[float, float, float]:
    """Work of a core over all its waves, in multiply-accumulates for an element of k, at least the time of its share of
    cache and memory reads; the same without that bound; and the elements that all cores fetch."""
    tiles = operands.tiles(block_m, block_n)
    waves = -(-tiles * splits // cores)
    work = waves * max(block_m * block_n, REUSE * (block_m + block_n)) / splits
    several = splits == 1 and operands.tiles(2 * block_m, block_n) < tiles
    fetched = tiles * (block_m + block_n / (cluster if several else 1))
    distinct = sum(rows + operands.columns for rows in operands.rows if rows)
    merge = REUSE * (MERGE + waves * PARTIAL_ELEMENTS * block_m * block_n) / operands.inner if splits > 1 else 0
    floor = max(SHARED_REUSE * fetched, MEMORY_REUSE * distinct) / cores
    return max(work, floor) + merge, work + merge, fetched


def _step_bytes(operands: Operands, block_m: int, block_n: int, block_k: int) -> int:
    """Scratchpad of a step's operands."""
    return block_k * block_m * operands.a_bytes + -(-block_k * block_n * operands.w_bits // 8)
