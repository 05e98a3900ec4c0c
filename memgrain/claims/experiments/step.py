"""Time per token of a model on chips, divided by that of another model or on other chips."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from memgrain.claims.interval import ValueInterval
from memgrain.claims.options import ExperimentOptions
from memgrain.claims.result import ExperimentResult
from memgrain.hwmodels import load_chip
from memgrain.inputs.keys import validate
from memgrain.models import ModelRequest, ModelRun, PrefetchPolicy, run_model
from memgrain.models.prefetch_policy import What
from memgrain.runs.validated import bounded
from memgrain.uncertainty.uncertain_result import uncertain_result_of
from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layers.fusion import Fusion
from memgrain.workloads.layers.step import Shard
from memgrain.workloads.models.model import load_model


class StepOf(BaseModel):
    """A decode step of a model on chips that share it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chip: str = Field(min_length=1, description="a chip by name or file")
    model: str = Field(min_length=1, description="a model by name or file")
    context: int = Field(gt=0, description="tokens of context of each sequence")
    chips: int = Field(default=1, gt=0, description="chips that share the model")
    batch: int = Field(default=1, gt=0, description="sequences at once")
    page: int | None = Field(default=None, description="tokens of a page, if not the chip's default")
    fuse: list[Fusion] = Field(default_factory=list, description="kernels that are fused")
    prefetch: list[What] = Field(default_factory=list, description="what is prefetched before its kernel begins")

    def request(self) -> ModelRequest:
        """The request; raises MemgrainError, WorkloadError or HardwareError for what cannot be."""
        chip, model = load_chip(self.chip), load_model(self.model)
        experts = self.chips > 1 and any(ffn.routed for ffn in model.ffn.values())
        shard = validate(
            Shard, {"tensor": self.chips, "context": 1, "data": 1, "expert": experts}, "chips", WorkloadError
        )
        room = chip.cache.capacity // 2 if chip.cache else 1 << 20
        policy = PrefetchPolicy(tuple(self.prefetch), 1.0, 1, room, "cache") if self.prefetch else None
        return ModelRequest.of(
            chip,
            model,
            "decode",
            self.context,
            self.batch,
            shard=shard,
            page=self.page,
            fusions=tuple(self.fuse),
            prefetch=policy,
        )

    def run(self) -> ModelRun:
        """The step."""
        return run_model(self.request())

    def command(self) -> str:
        """The command that runs it."""
        parts = [f"memgrain model run {self.chip} {self.model} --context {self.context}"]
        parts += [f"--chips {self.chips}"] if self.chips > 1 else []
        parts += [f"--batch {self.batch}"] if self.batch > 1 else []
        parts += [f"--page {self.page}"] if self.page is not None else []
        parts += [f"--fuse {name}" for name in self.fuse] + [f"--prefetch {name}" for name in self.prefetch]
        return " ".join(parts)


class StepRatio(BaseModel):
    """Two steps whose times are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["step"]
    over: StepOf = Field(description="the step above the line")
    under: StepOf = Field(description="the step below the line")

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """The ratio of the times per token. Its interval holds nine of ten draws of both steps' errors."""
        runs = self.over.run(), self.under.run()
        times = np.array([run.time_per_token for run in runs], float)
        notes = [f"{run.request.model.name} on {run.request.chip.name}: {run.trust.sentence}" for run in runs]
        errors = bounded([run.trust for run in runs])
        chips = [run.request.chip.name for run in runs]
        found = uncertain_result_of(
            "ratio", times, np.empty((0, 2)), errors, 1, np.divide, notes, chips, options.run.seed
        )
        command = f"{self.over.command()} && {self.under.command()}"
        ends = (found.combined.low, found.combined.high)
        return ExperimentResult(ValueInterval.of(found.nominal, ends), "", command, "; ".join(found.notes))
