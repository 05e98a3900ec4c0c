"""A question as a job: what a pool of processes runs, with an identity and a row."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from memgrain.models.prompt import prompt_time
from memgrain.models.question import Question
from memgrain.models.run import run_model
from memgrain.runs.rows import Row
from memgrain.sim import MODEL_VERSION

PROSE = {"title": True, "note": True, "sources": True, "assumed": True, "unchecked": True, "missing": True}
"""What a model's file tells people."""


@dataclass(frozen=True)
class ModelJob:
    """A step of a model on chips; or a whole prompt, from its first chunk and its last."""

    question: Question
    """The step."""
    prompt: bool = False
    """Whether the time of the whole prompt is wanted too."""

    def id(self) -> str:
        """SHA-256 of the resolved inputs and the model's version."""
        asked = self.question
        more = {
            "memory_share": asked.memory_share,
            "fusions": list(asked.fusions),
            "ahead": asdict(asked.ahead) if asked.ahead else None,
            "prompt": self.prompt,
        }
        return digest({**inputs(asked), **more})

    def run(self) -> Row:
        """The row: times, tokens, bytes."""
        found = run_model(self.question)
        return {
            "id": self.id(),
            "chip": self.question.chip.name,
            "workload": str(self),
            "time_us": found.time / 1e6,
            "time_per_token_us": found.time_per_token / 1e6,
            "tokens_per_second": found.tokens_per_second,
            "prompt_time_us": prompt_time(found) / 1e6 if self.prompt else None,
            "read_bytes": found.read_bytes,
        }

    def __str__(self) -> str:
        step = self.question.step
        return f"{self.question.model.name}, {step.phase} at {step.context} tokens, on {self.question.chip.name}"


def inputs(question: Question) -> dict[str, Any]:
    """What a step's answer depends on, where nothing is fused or fetched ahead."""
    return {
        "chip": question.chip.model_dump(mode="json", exclude={"title": True, "vendor": True, "note": True}),
        "model": question.model.model_dump(mode="json", exclude=PROSE),
        "step": question.step.model_dump(mode="json"),
        "shard": question.shard.model_dump(mode="json"),
        "accepted": question.accepted,
        "model_version": MODEL_VERSION,
    }


def digest(found: dict[str, Any]) -> str:
    """SHA-256 of plain values."""
    text = json.dumps(found, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
