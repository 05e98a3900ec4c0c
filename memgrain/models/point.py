"""A step of a whole model as a point that may be held against a measurement, or run by a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.hwmodels import Chip
from memgrain.inputs.keys import validate
from memgrain.models.job import digest, inputs
from memgrain.models.question import Question
from memgrain.models.run import run_model
from memgrain.runs.rows import Row
from memgrain.runs.validated import Subject
from memgrain.workloads.errors import WorkloadError
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
        """The point of a raw mapping; raises WorkloadError or CodesignError, in one line, if it is none."""
        point = cls(chip, validate(Asked, raw, str(raw.get("name", KIND)), WorkloadError))
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
        """SHA-256 of the resolved inputs and the model's version."""
        return digest(inputs(self.question()))

    def run(self) -> Row:
        """The row: times, tokens, bytes."""
        found = run_model(self.question())
        return {
            "id": self.id(),
            "chip": self.chip.name,
            "workload": self.asked.name,
            "time_us": found.time / 1e6,
            "time_per_token_us": found.time_per_token / 1e6,
            "tokens_per_second": found.tokens_per_second,
            "read_bytes": found.read_bytes,
        }

    def __str__(self) -> str:
        return f"{self.chip.name} {self.asked.name}"
