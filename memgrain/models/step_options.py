"""Options of a step of a model as a user gives them: words and numbers, all but the context with a default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip
from memgrain.inputs.keys import validate
from memgrain.models.prefetch_policy import WHAT, PrefetchPolicy, What, Where
from memgrain.models.request import MEMORY_SHARE, ModelRequest
from memgrain.runs.quantities import size_of
from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layers.fusion import FUSIONS, Fusion
from memgrain.workloads.layers.step import Shard, Stored
from memgrain.workloads.models.model import Model
from memgrain.workloads.shape import Phase

PHASES = ("decode", "prefill")
EXPERTS = (None, "whole", "cut")
WEIGHTS = (None, "bf16", "fp8", "fp4", "int8", "int4")
"""Types of weights that a step may have; None: as released."""


@dataclass(frozen=True)
class StepOptions:
    """What a step of a model does, and how chips share it. Raises MemgrainError for a value that cannot be."""

    context: int
    """Tokens of each sequence, the new ones included."""
    phase: str = "decode"
    """decode or prefill."""
    batch: int | None = None
    """Sequences of all chips; None: one for each group of chips."""
    tokens: int | None = None
    """New tokens of each sequence: in prefill those of a chunk; None: 1, in prefill 2048."""
    accepted: float | None = None
    """Decode: how many of the model's own drafts (`tokens` less one) are accepted; None: no drafts are made."""
    chips: int = 1
    """Chips that share the model."""
    groups: int = 1
    """Groups of chips with sequences of their own (data parallel); divides `chips`."""
    context_parts: int = 1
    """Decode: chips of a group that hold different tokens of the same KV heads."""
    experts: str | None = None
    """whole: experts are dealt out over all chips; cut: each is cut over a group; None: whole on several chips."""
    cache: str | None = None
    """Form of the cache; None: the first that the chip computes."""
    weights: str | None = None
    """Type of all weights: bf16, fp8, fp4, int8 or int4; None: as released."""
    page: int | None = None
    """Rows of a page of the cache; None: the chip's own."""
    memory_share: float = MEMORY_SHARE
    """Share of the chip's memory that may be taken."""
    fuse: tuple[str, ...] = ()
    """Kernels that are made one: ffn, attention, layer."""
    prefetch: tuple[str, ...] = ()
    """What is fetched before its kernel begins: weights, cache."""
    prefetch_hit: float | None = None
    """Probability that a prefetched piece is a right one; None: 1."""
    prefetch_lead: int | None = None
    """Kernels by which a prefetch is ahead; None: 1."""
    prefetch_limit: int | str | None = None
    """Bytes prefetched for a kernel at most, such as '8 MiB'; None: half of the last cache."""
    prefetch_into: str | None = None
    """Where to: cache or scratchpad; None: cache."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("phase", self.phase, PHASES),
            ("experts", self.experts, EXPERTS),
            ("weights", self.weights, WEIGHTS),
            *(("fuse", name, FUSIONS) for name in self.fuse),
            *(("prefetch", name, WHAT) for name in self.prefetch),
            ("prefetch into", self.prefetch_into, (None, "cache", "scratchpad")),
        ):
            if value not in known:
                raise MemgrainError(
                    f"{name} {value} is none of {', '.join(word for word in known if word)}; choose one of them"
                )
        if min(self.chips, self.groups) < 1:
            raise MemgrainError(f"{self.chips} chips in {self.groups} groups; give at least 1 of each")
        if self.chips % self.groups:
            raise MemgrainError(
                f"{self.chips} chips cannot be {self.groups} groups of as many; choose a divisor of {self.chips}"
            )
        given = {"hit": self.prefetch_hit, "lead": self.prefetch_lead, "limit": self.prefetch_limit}
        idle = [name for name, value in {**given, "into": self.prefetch_into}.items() if value is not None]
        if idle and not self.prefetch:
            raise MemgrainError(
                f"prefetch {idle[0]} says how, and nothing is fetched; prefetch weights or cache, or leave it out"
            )

    def request(self, chip: Chip, model: Model) -> ModelRequest:
        """The step on a chip, with open values filled in from chip and model."""
        routed = any(ffn.routed for ffn in model.ffn.values())
        whole = self.experts == "whole" or (self.experts is None and self.chips > 1 and routed)
        shared = {"tensor": self.chips // self.groups, "context": self.context_parts, "data": self.groups}
        return ModelRequest.of(
            chip,
            model,
            cast("Phase", self.phase),
            self.context,
            self.batch if self.batch is not None else self.groups,
            self.tokens,
            validate(Shard, {**shared, "expert": whole}, "chips", WorkloadError),
            self.cache,
            cast("Stored | None", self.weights),
            self.page,
            self.memory_share,
            accepted=self.accepted,
            fusions=cast("tuple[Fusion, ...]", self.fuse),
            prefetch=self._policy(chip),
        )

    def _policy(self, chip: Chip) -> PrefetchPolicy | None:
        """The prefetch policy; None if nothing is fetched."""
        if not self.prefetch:
            return None
        limit = self.prefetch_limit
        half = chip.cache.capacity // 2 if chip.cache else 1 << 20
        return PrefetchPolicy(
            tuple(cast("list[What]", list(dict.fromkeys(self.prefetch)))),
            1.0 if self.prefetch_hit is None else self.prefetch_hit,
            1 if self.prefetch_lead is None else self.prefetch_lead,
            half if limit is None else size_of(limit, "prefetch limit"),
            cast("Where", self.prefetch_into or "cache"),
        )
