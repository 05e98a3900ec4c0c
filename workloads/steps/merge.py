"""The kernel that merges the partial outputs of a split decode, as far as an implementation describes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from memgrain.workloads.errors import WorkloadError

Count = Annotated[int, Field(ge=1, le=2**20)]
Cycles = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]


def _course(cycles: Cycles) -> Cycles:
    """Return `cycles`; raises WorkloadError if the issue slots exceed the duration."""
    alone, slots = cycles
    if slots > alone:
        raise WorkloadError(
            f"{slots} issue slots in {alone} cycles, must be one a cycle at most; lower the "
            f"second number to {alone}, or raise the first"
        )
    return cycles


Course = Annotated[Cycles, AfterValidator(_course)]
"""Cycles of code: (duration of a program alone on a core, issue slots of the core in it)."""


class Merge(BaseModel):
    """Tiling of the merge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: Count
    """Query rows, heads included, of a program."""
    columns: Count
    """Elements of the output of a program."""
    spare: Annotated[int, Field(ge=0, le=2**20)] = 0
    """Programs of a sequence (and of a range of columns) beyond those that rows need; they end at once."""
    ahead: Count = 1
    """Splits whose partial outputs are in flight at once."""
    cycles: Course = (0, 0)
    """Cycles that the code of a program takes."""
    always: bool = False
    """Whether it is launched even if nothing is split; its programs then end at once."""
