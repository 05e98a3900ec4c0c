"""A step of a whole model as a point that is compared with a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.hwmodels import Chip
from memgrain.inputs.keys import validate
from memgrain.models.job import ModelJob
from memgrain.models.request import ModelRequest
from memgrain.runs.rows import Row
from memgrain.runs.validated import Subject
from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layers.step import Shard, Stored
from memgrain.workloads.models.model import load_model
from memgrain.workloads.shape import Phase

KIND = "model_run"
"""Kind of such a point in a YAML file."""


class StepSpec(BaseModel):
    """A step as a file of points describes it; see `ModelRequest.of`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["model_run"]
    """Kind of the point."""
    name: str = Field(min_length=1)
    """Name of the point."""
    model: str = Field(min_length=1)
    """A model by name, or its YAML file."""
    phase: Phase
    """decode or prefill."""
    context: Annotated[int, Field(ge=1)]
    """Tokens of each sequence."""
    batch: Annotated[int, Field(ge=1)] = 1
    """Sequences of all chips."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """New tokens of each."""
    accepted: float | None = None
    """Drafts that are accepted."""
    cache: str | None = None
    """Form of the cache."""
    weights: Stored | None = None
    """Element type of all weights."""
    shard: Shard = Shard()
    """How chips share the model."""


@dataclass(frozen=True)
class ModelPoint:
    """A step of a model on a chip: a job with an identity and a row."""

    chip: Chip
    """The chip."""
    spec: StepSpec
    """The step."""

    @classmethod
    def of(cls, chip: Chip, raw: Mapping[str, Any]) -> ModelPoint:
        """The point of a raw mapping; raises WorkloadError or MemgrainError, in one line, if it is none."""
        point = cls(chip, validate(StepSpec, raw, str(raw.get("name", KIND)), WorkloadError))
        point.request()
        return point

    def request(self) -> ModelRequest:
        """The request; values that the file leaves open are filled in."""
        keys = {"kind", "name", "model", "shard", "phase", "context"}
        spec, more = self.spec, self.spec.model_dump(exclude=keys)
        return ModelRequest.of(self.chip, load_model(spec.model), spec.phase, spec.context, shard=spec.shard, **more)

    def subject(self) -> Subject:
        """What validation distinguishes of the step."""
        return self.request().subject()

    def id(self) -> str:
        """Identity of the step; see `ModelJob.id`."""
        return ModelJob(self.request()).id()

    def run(self) -> Row:
        """The row: times, tokens, bytes."""
        return {**ModelJob(self.request()).run(), "workload": self.spec.name}

    def __str__(self) -> str:
        return f"{self.chip.name} {self.spec.name}"
