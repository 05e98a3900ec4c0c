"""A question as a job: what a pool of processes runs, with an identity and a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from memgrain.models.prompt import prompt_time
from memgrain.models.question import Question
from memgrain.models.run import run_model
from memgrain.runs.identity import chip_inputs, digest
from memgrain.runs.rows import Row

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
        """Digest of everything the row depends on."""
        asked = self.question
        return digest(
            {
                "chip": chip_inputs(asked.chip, links=True),
                "model": asked.model.model_dump(mode="json", exclude=PROSE),
                "step": asked.step.model_dump(mode="json"),
                "shard": asked.shard.model_dump(mode="json"),
                "accepted": asked.accepted,
                "memory_share": asked.memory_share,
                "fusions": list(asked.fusions),
                "ahead": asdict(asked.ahead) if asked.ahead else None,
                "prompt": self.prompt,
            }
        )

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
