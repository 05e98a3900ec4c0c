"""How a kernel feeds the units of a core: its matrix instruction, and the parts of a program that take turns."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Instruction = Literal["mma", "wgmma", "cube", "fma"]


class Engine(BaseModel):
    """What the time of a step follows from, beside the sizes of its products, where the kernel's code was not timed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: Instruction
    """mma: operands come from registers, which every warp fills from the scratchpad for itself (mma.sync); wgmma: the
    unit reads operands in the scratchpad, once for a warpgroup; cube: out of buffers of its own (Ascend); fma: there is
    no matrix unit in it, the vector units multiply."""
    groups: int = Field(ge=1, le=64)
    """Parts of a program that compute side by side and meet at the units: warpgroups (a warp on each quarter of a core)
    that share its rows; on Ascend the tiles that are under way between matrix and vector cores."""
    shares: Literal["rows", "columns"] = "rows"
    """What wgmma's groups share out: query rows, so that each reads all of K and V; or tokens and columns of V, so that
    each element is read once."""
    convert_cycles: int = Field(default=0, ge=0, le=2**20)
    """Cycles of the vector units that a token takes to be converted before the products."""

    def plain(self) -> tuple[str, int, str, int]:
        """The fields in order, as a trace carries them."""
        return self.instruction, self.groups, self.shares, self.convert_cycles
