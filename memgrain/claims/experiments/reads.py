"""Bytes read by a decode step of a model at one context length, weights included, divided by those at another."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.claims.interval import ValueInterval
from memgrain.claims.options import ExperimentOptions
from memgrain.claims.result import ExperimentResult
from memgrain.workloads.layers.matrices import met_bytes
from memgrain.workloads.layers.step import Step
from memgrain.workloads.models.model import load_model


class ReadBytesRatio(BaseModel):
    """A model, the number of sequences decoded together, and two context lengths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["reads"]
    model: str = Field(min_length=1, description="a model by name or file")
    context: int = Field(gt=0, description="tokens of each sequence, above the line")
    beside: int = Field(gt=0, description="tokens of each sequence, below the line")
    sequences: int = Field(default=1, gt=0, description="sequences decoded together, which share the reads of weights")

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """The ratio if tokens choose experts uniformly at random. Its interval extends to the case that all tokens
        choose the same experts. Raises WorkloadError if the model's file does not state its weights."""
        model = load_model(self.model)
        caches = [self.sequences * model.read_bytes(length) for length in (self.context, self.beside)]
        weights = met_bytes(model, Step(phase="decode", batch=1, context=self.context), self.sequences)
        alike, apart = ((read + caches[0]) / (read + caches[1]) for read in weights)
        command = f"memgrain model show {self.model} --context {self.beside} --context {self.context}"
        note = "each token meets any expert with equal chance, or, at the other end, all meet the same"
        return ExperimentResult(ValueInterval.of(apart, (alike, apart)), "", command, note if alike != apart else "")
