"""A request as a job for a pool of processes, with an identity and a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from memgrain.models.prompt import prompt_time
from memgrain.models.request import ModelRequest
from memgrain.models.run import run_model
from memgrain.runs.identity import chip_inputs, digest
from memgrain.runs.rows import Row

PROSE = {"title": True, "note": True, "sources": True, "assumed": True, "unchecked": True, "missing": True}
"""Fields of a model for people: no result depends on them."""


@dataclass(frozen=True)
class ModelJob:
    """A step of a model on chips; or a whole prompt, from its first chunk and its last."""

    request: ModelRequest
    """The step."""
    prompt: bool = False
    """Whether the time of the whole prompt is wanted too."""

    def id(self) -> str:
        """Digest of everything the row depends on."""
        request = self.request
        return digest(
            {
                "chip": chip_inputs(request.chip, links=True),
                "model": request.model.model_dump(mode="json", exclude=PROSE),
                "step": request.step.model_dump(mode="json"),
                "shard": request.shard.model_dump(mode="json"),
                "accepted": request.accepted,
                "memory_share": request.memory_share,
                "fusions": list(request.fusions),
                "prefetch": asdict(request.prefetch) if request.prefetch else None,
                "prompt": self.prompt,
            }
        )

    def run(self) -> Row:
        """The row: times, tokens, bytes."""
        found = run_model(self.request)
        return {
            "id": self.id(),
            "chip": self.request.chip.name,
            "workload": str(self),
            "time_us": found.time / 1e6,
            "time_per_token_us": found.time_per_token / 1e6,
            "tokens_per_second": found.tokens_per_second,
            "prompt_time_us": prompt_time(found) / 1e6 if self.prompt else None,
            "read_bytes": found.read_bytes,
        }

    def __str__(self) -> str:
        step = self.request.step
        return f"{self.request.model.name}, {step.phase} at {step.context} tokens, on {self.request.chip.name}"
