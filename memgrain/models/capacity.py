"""Whether the memory of a chip holds its part of a model: weights, cache of the sequences, activations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from memgrain.inputs.quantities import format_bytes
from memgrain.models.request import ModelRequest
from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layers.attention import heads_on_chip
from memgrain.workloads.layers.matrices import draft_bytes, weight_bytes

FEWEST = 16
"""Tokens of the shortest context that is worth proposing."""
MOST_CHIPS = 1024
"""Most chips that are proposed, where the chip's links set no bound."""


@dataclass(frozen=True)
class Capacity:
    """Bytes of one chip's memory."""

    memory: int
    """Bytes of it that may be taken."""
    weights: int
    """Its part of the weights, embeddings included, and the layer that makes drafts if there are any."""
    sequence: int
    """Its part of the cache of one sequence."""
    sequences: int
    """Sequences of which the chip holds a part."""
    activations: int
    """Hidden states, scores and partial results of the largest layer."""
    most_sequences: int
    """Most sequences of that context that fit."""
    most_tokens: int
    """Tokens of the longest context that fits, with that many sequences."""

    @property
    def need(self) -> int:
        """Sum of all parts."""
        return self.weights + self.sequences * self.sequence + self.activations

    @property
    def fits(self) -> bool:
        """Whether the memory holds all parts."""
        return self.need <= self.memory

    def refusal(self, request: ModelRequest) -> str:
        """One line: what does not fit, and what would fit."""
        parts = f"weights {format_bytes(self.weights)}, cache {format_bytes(self.sequences * self.sequence)}"
        most, enough = self.most_sequences * request.shard.data, enough_chips(request, self.activations)
        mends = [f"share it among {enough} chips"] if enough else []
        if self.most_tokens >= FEWEST:
            mends.append(f"shorten the context to {self.most_tokens}")
        if most:
            mends.append(f"lower the batch to {most}")
        elif self.most_tokens < FEWEST:
            mends.append("take weights of fewer bits or a chip with more memory")
        return (
            f"{request.model.name} does not fit {request.chip.name}: it needs {format_bytes(self.need)} a chip "
            f"({parts}), {request.memory_share:.0%} of {request.chip.dram.name} are {format_bytes(self.memory)}; "
            f"{', or '.join(mends)}"
        )


def capacity(request: ModelRequest, activations: int) -> Capacity:
    """What one chip holds; `activations` are bytes of the largest layer's tensors beside weights and cache."""
    memory, one = int(request.chip.dram.capacity * request.memory_share), cache_bytes(request, request.step.context)
    weights = weight_bytes(request.model, request.step, request.shard)
    if request.accepted is not None and request.step.tokens > 1:
        weights += draft_bytes(request.model, request.step, request.shard)
    room, wanted = memory - weights - activations, request.step.batch
    low, high = 0, request.model.context or 1 << 20
    while low < high and room > 0:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if wanted * cache_bytes(request, middle) <= room else (low, middle - 1)
    return Capacity(memory, weights, one, wanted, activations, max(0, room // one), low)


def enough_chips(request: ModelRequest, activations: int) -> int | None:
    """Chips, twice as many as requested or four times and so on, on as many groups, that would hold the model; None if
    the chip's links join no such number, or if none of them could share it evenly."""
    links, many = request.chip.interconnect, any(ffn.routed for ffn in request.model.ffn.values())
    if links is None:
        return None
    most = (links.network.chips if links.network else links.node.chips) or MOST_CHIPS
    expert, tensor = request.shard.expert or (request.shard.chips == 1 and many), 2 * request.shard.tensor
    while tensor * request.shard.data <= most:
        shard = request.shard.model_copy(update={"tensor": tensor, "expert": expert})
        try:
            if capacity(replace(request, shard=shard), activations).fits:
                return shard.chips
        except WorkloadError:  # these chips cannot share it evenly
            pass
        tensor *= 2
    return None


def cache_bytes(request: ModelRequest, length: int) -> int:
    """Bytes that one chip keeps of a sequence of `length` tokens."""
    model, heads = request.model, heads_on_chip(request.model, request.shard)
    kept = model.kept_bytes(length, request.step.cache)
    return -(-kept * heads.kv_heads // (model.heads.kv_heads * request.shard.context))
