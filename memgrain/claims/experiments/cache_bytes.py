"""KV-cache bytes of one model for a context, divided by those of another model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.claims.interval import ValueInterval
from memgrain.claims.options import ExperimentOptions
from memgrain.claims.result import ExperimentResult
from memgrain.workloads.models.model import load_model


class CacheBytesRatio(BaseModel):
    """Two models and a context."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["kept"]
    over: str = Field(min_length=1, description="the model above the line")
    under: str = Field(min_length=1, description="the model below the line")
    context: int = Field(gt=0, description="tokens")
    per_layer: bool = Field(
        default=False, description="whether the bytes of one layer are compared; default: of all layers"
    )

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """The ratio of KV-cache bytes. Raises WorkloadError if there is no such model."""
        sizes = []
        for name in (self.over, self.under):
            model = load_model(name)
            sizes.append(model.kept_bytes(self.context) / (len(model.order) if self.per_layer else 1))
        command = f"memgrain model show {self.over} && memgrain model show {self.under}"
        return ExperimentResult(ValueInterval.of(sizes[0] / sizes[1]), "", command)
