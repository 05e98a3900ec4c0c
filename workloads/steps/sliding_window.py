"""The deal of a product's tiles by CATLASS's sliding window, which shares the last tiles out among all cores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from memgrain.workloads.steps.gemm_trace import Tile
from memgrain.workloads.steps.matrix import Size

if TYPE_CHECKING:
    from memgrain.workloads.steps.gemm import Gemm


class SlidingWindow(BaseModel):
    """Tiles are dealt in turn, down the columns of a window of rows; where the last round has work for at most half of
    the cores, its tiles are cut and shared by as many as there are ("adaptive sliding window tiling" of CATLASS,
    github hicann/catlass@0dfcf9df include/catlass/gemm/block/block_scheduler_aswt.hpp)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sliding_window"]
    """Value of `kind` in the YAML."""
    programs: Size
    """Cores."""
    window: Size = 4
    """Rows of tiles in a window; what is left of them joins the last window."""

    def tiles(self, gemm: Gemm) -> list[list[Tile]]:
        """The tiles of each core."""
        (height, width), (down, across) = gemm.block, gemm.grid
        window = min(self.window, down)
        firsts = range(0, down // window * window, window)
        order = []
        for number, first in enumerate(firsts):
            rows = range(first, first + window if number + 1 < len(firsts) else down)
            columns = range(across) if number % 2 == 0 else range(across - 1, -1, -1)
            order += [gemm.tile(row * height, column * width) for column in columns for row in rows]
        left = len(order) % self.programs or self.programs
        whole, rest = order[:-left], order[-left:]
        cut = self._cut(gemm, self.programs // left)
        dealt = [whole[core :: self.programs] for core in range(self.programs)]
        for core, part in enumerate(part for tile in rest for part in parts(tile, cut)):
            dealt[core].append(part)
        return [[tile for tile in mine if tile[2] and tile[3]] for mine in dealt]

    @staticmethod
    def _cut(gemm: Gemm, shares: int) -> tuple[int, int]:
        """Parts down and across of a tile of the last round, for which there are `shares` cores each."""
        rows, columns = gemm.last
        down, across = min(rows, shares), min(columns, shares)
        while down * across > shares:
            down, across = (down - 1, across) if down >= across else (down, across - 1)
        return -(-rows // -(-rows // down)), -(-columns // -(-columns // across))


def parts(tile: Tile, cut: tuple[int, int]) -> list[Tile]:
    """A tile in `cut` parts down and across, down first; the last ones may be smaller, or have no rows or columns."""
    row, column, height, width = tile
    step_down, step_across = -(-height // cut[0]), -(-width // cut[1])
    return [
        (
            row + i * step_down,
            column + j * step_across,
            max(0, min(step_down, height - i * step_down)),
            max(0, min(step_across, width - j * step_across)),
        )
        for j in range(cut[1])
        for i in range(cut[0])
    ]
