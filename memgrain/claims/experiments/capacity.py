"""How full the memory of chips is with a model's weights and the cache of its sequences: above 1 they do not fit."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.claims.experiments.step import StepOf
from memgrain.claims.interval import ValueInterval
from memgrain.claims.options import ExperimentOptions
from memgrain.claims.result import ExperimentResult
from memgrain.models.capacity import capacity


class Fill(BaseModel):
    """A model on chips."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fill"]
    step: StepOf = Field(description="the model, the chips and the context")

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """What is needed of a chip's memory, as a share of what may be taken of it, activations aside."""
        asked = self.step.question()
        held = capacity(asked, 0)
        note = f"{asked.memory_share:.0%} of the memory may be taken"
        return ExperimentResult(ValueInterval.of(held.need / held.memory), "", self.step.command(), note)
