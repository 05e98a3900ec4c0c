"""A step of a whole model as a point that may be held against a measurement, or run by a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.hwmodels import Chip
from memgrain.models.job import ModelJob
from memgrain.models.question import Question
from memgrain.runs.rows import Row
from memgrain.runs.validated import Subject
from memgrain.workloads.key_errors import checked
from memgrain.workloads.layers.step import Shard, Stored
from memgrain.workloads.models.model import load_model
from memgrain.workloads.shape import Phase

KIND = "model_run"
"""What the YAML of such a point says first."""


class Asked(BaseModel):
    """A step as a file of points writes it down; see `Question.of`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["model_run"]
    """What the YAML says first."""
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
    asked: Asked
    """The step."""

    @classmethod
    def of(cls, chip: Chip, raw: Mapping[str, Any]) -> ModelPoint:
        """The point of a raw mapping; raises WorkloadError or MemgrainError, in one line, if it is none."""
        point = cls(chip, checked(Asked, raw, str(raw.get("name", KIND))))
        point.question()
        return point

    def question(self) -> Question:
        """The question."""
        keys = {"kind", "name", "model", "shard", "phase", "context"}
        asked, more = self.asked, self.asked.model_dump(exclude=keys)
        return Question.of(self.chip, load_model(asked.model), asked.phase, asked.context, shard=asked.shard, **more)

    def subject(self) -> Subject:
        """What validation distinguishes of the step."""
        return self.question().subject()

    def id(self) -> str:
        """Identity of the step; see `ModelJob.id`."""
        return ModelJob(self.question()).id()

    def run(self) -> Row:
        """The row: times, tokens, bytes."""
        return {**ModelJob(self.question()).run(), "workload": self.asked.name}

    def __str__(self) -> str:
        return f"{self.chip.name} {self.asked.name}"
