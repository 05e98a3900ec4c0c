"""The request for a step of a model on chips, with open values filled in from chip and model."""

from __future__ import annotations

from dataclasses import dataclass

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip
from memgrain.models.prefetch_policy import PrefetchPolicy
from memgrain.runs.validated import Subject
from memgrain.runs.validated.subject import NODES, ONE_CHIP, ONE_NODE, STEP, WHOLE, chip_name
from memgrain.workloads.key_errors import checked
from memgrain.workloads.layers.fusion import Fusion
from memgrain.workloads.layers.step import Shard, Step, Stored
from memgrain.workloads.models.model import Model
from memgrain.workloads.shape import DType, Phase

CHUNK = 2048
"""Tokens of a chunk of a prompt (vLLM, max_num_batched_tokens of chunked prefill, default)."""
MEMORY_SHARE = 0.9
"""Share of a chip's memory that weights, cache and activations may take (vLLM, gpu_memory_utilization, default)."""


@dataclass(frozen=True)
class ModelRequest:
    """A model, a chip, a step, and how chips share the model."""

    chip: Chip
    """The chip, each of them."""
    model: Model
    """The model."""
    step: Step
    """The step of one group of chips that holds the model; its batch is that of the group."""
    shard: Shard
    """How chips share the model."""
    memory_share: float
    """Share of a chip's memory that weights, cache and activations may take."""
    accepted: float | None = None
    """Mean number of drafts that a step accepts. The model's own draft layer makes `step.tokens - 1` drafts before each
    step (multi-token prediction). None: no draft passes, and every new token counts."""
    fusions: tuple[Fusion, ...] = ()
    """Kernels that are fused."""
    prefetch: PrefetchPolicy | None = None
    """What is fetched before its kernel begins; None: nothing."""

    def subject(self) -> Subject:
        """The properties of the step that validation distinguishes."""
        chips, near = self.shard.chips, self.chip.interconnect.node.chips if self.chip.interconnect else None
        links = ONE_CHIP if chips == 1 else NODES if near is not None and chips > near else ONE_NODE
        return Subject(
            STEP,
            chip_name(self.chip),
            WHOLE,
            pattern=f"{self.model.name}, {self.step.phase}",
            links=links,
            tokens=self.step.context,
            batch=self.step.batch * self.shard.data,
        )

    @classmethod
    def of(
        cls,
        chip: Chip,
        model: Model,
        phase: Phase,
        context: int,
        batch: int = 1,
        tokens: int | None = None,
        shard: Shard | None = None,
        cache: str | None = None,
        weights: Stored | None = None,
        page: int | None = None,
        memory_share: float = MEMORY_SHARE,
        seed: int = 0,
        accepted: float | None = None,
        fusions: tuple[Fusion, ...] = (),
        prefetch: PrefetchPolicy | None = None,
    ) -> ModelRequest:
        """The request with open values filled in; `batch` counts the sequences of all chips together.

        On a chip without fp8, weights of 8 and 4 bits are integers, and the cache has the first form whose elements the
        chip has a rate for. Raises MemgrainError or WorkloadError for a value that cannot be.
        """
        shard = shard or Shard()
        _check(model, phase, context, batch, tokens or 1, shard, memory_share, accepted)
        rates = chip.matmul_core.matmul.macs_per_cycle if chip.matmul_core.matmul else {}
        floats = "fp8" in rates
        form = cache or next(
            name for name, kept in model.caches.items() if floats or (kept.element != "fp8" and not kept.kv_row)
        )
        new = (1 if phase == "decode" else CHUNK) if tokens is None else tokens
        step = {
            "phase": phase,
            "batch": batch // shard.data,
            "context": context,
            "tokens": new if phase == "decode" else min(new, context),
            "cache": form,
            "page": chip.pages.rows if page is None else page,
            "inner": chip.pages.order,
            "weights": weights,
            "integers": not floats and "int8" in rates,
            "product": _product(model, weights, set(rates)),
            "index_product": "fp8" if floats else "int8" if "int8" in rates else "bf16",
            "seed": seed,
        }
        return cls(chip, model, checked(Step, step, "step"), shard, memory_share, accepted, fusions, prefetch)


def _check(
    model: Model,
    phase: Phase,
    context: int,
    batch: int,
    tokens: int,
    shard: Shard,
    memory_share: float,
    accepted: float | None,
) -> None:
    """Raise MemgrainError for values that exclude each other."""
    if shard.context > 1 and phase == "prefill":
        raise MemgrainError(
            f"{shard.context} context parts in prefill, where every chip of a group reads all tokens: they are for "
            "decode; leave them out"
        )
    if batch % shard.data:
        raise MemgrainError(
            f"batch {batch} cannot be shared evenly by {shard.data} groups of chips; "
            f"choose a multiple of {shard.data}, or fewer groups"
        )
    if phase == "prefill" and batch != shard.data:
        raise MemgrainError(
            f"batch {batch} in prefill, must be 1 for each group of chips: prompts are read one after the other, "
            f"in chunks; set batch to {shard.data}"
        )
    if model.context is not None and context > model.context:
        raise MemgrainError(
            f"context {context} exceeds the {model.context} tokens that {model.name} is made for; lower it"
        )
    if not 0 < memory_share <= 1:
        raise MemgrainError(f"memory share {memory_share} must be above 0 and at most 1; correct it")
    if accepted is not None and (phase != "decode" or not model.mtp_layers or not 0 <= accepted <= tokens - 1):
        raise MemgrainError(
            f"accepted {accepted} of {tokens - 1} drafts: that is for a decode of a model with mtp_layers, "
            "from 0 to all; correct tokens or accepted"
        )


def _product(model: Model, weights: Stored | None, rates: set[str]) -> DType:
    """Element type of products: that of 8-bit weights where the chip has a rate for it, else bf16, to which weights are
    converted."""
    stored = weights or (model.weights.rest if model.weights else "bf16")
    if stored in ("fp8", "fp4") and "fp8" in rates:
        return "fp8"
    return "int8" if stored in ("fp8", "fp4", "int8", "int4") and "int8" in rates else "bf16"
