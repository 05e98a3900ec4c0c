"""Memory use of a model's weights and KV cache as a fraction of the chips' memory; above 1 they do not fit."""

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
        """The needed memory of a chip as a fraction of the usable memory, without activations."""
        request = self.step.request()
        held = capacity(request, 0)
        note = f"{request.memory_share:.0%} of the memory may be taken"
        return ExperimentResult(ValueInterval.of(held.need / held.memory), "", self.step.command(), note)
