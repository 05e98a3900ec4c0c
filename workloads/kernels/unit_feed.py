"""How a kernel feeds the units of a core: its matrix instruction, and the groups of a program that alternate."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Instruction = Literal["mma", "wgmma", "cube", "fma"]


class UnitFeed(BaseModel):
    """Inputs of a step's time, besides the sizes of its products, for kernels whose code was not timed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: Instruction
    """mma: operands come from registers, which every warp fills from the scratchpad (mma.sync); wgmma: the unit reads
    operands from the scratchpad, once for a warpgroup; cube: from its own buffers (Ascend); fma: no matrix unit, the
    vector units multiply."""
    groups: int = Field(ge=1, le=64)
    """Groups of a program that compute side by side and contend for the units: warpgroups (a warp on each quarter of a
    core) that share its rows; on Ascend, tiles in flight between matrix and vector cores."""
    shares: Literal["rows", "columns"] = "rows"
    """What wgmma's groups divide: query rows, so that each group reads all of K and V; or tokens and columns of V, so
    that each element is read once."""
    convert_cycles: int = Field(default=0, ge=0, le=2**20)
    """Cycles of the vector units to convert a token before the products."""
    copy_rows: int = Field(default=0, ge=0, le=2**20)
    """Tokens of K, of V or of probabilities that one copy brings into a core's scratchpad. The core waits for each copy
    with a flag, and the next copy of the same DMA engine begins when it is complete; 0: copies overlap."""

    def plain(self) -> tuple[str, int, str, int, int]:
        """The fields in order, as a trace carries them."""
        return self.instruction, self.groups, self.shares, self.convert_cycles, self.copy_rows
