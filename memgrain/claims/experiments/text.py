"""A text from a chip's file, such as the standard of its DRAM."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.claims.options import ExperimentOptions
from memgrain.claims.result import ExperimentResult
from memgrain.errors import MemgrainError
from memgrain.hwmodels import load_chip


class TextOf(BaseModel):
    """A chip and the name of a text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["text"]
    chip: str = Field(min_length=1, description="a chip by name or file")
    of: Literal["dram.standard", "vendor"] = Field(description="the DRAM's standard, or the chip's vendor")

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """The text; raises HardwareError if there is no such chip."""
        chip = load_chip(self.chip)
        found: Any = chip.dram.standard.name if self.of == "dram.standard" else chip.vendor
        if not found:
            raise MemgrainError(f"{self.chip} does not state its {self.of}; add it to the file")
        return ExperimentResult(str(found), "", f"memgrain chips {self.chip}")
