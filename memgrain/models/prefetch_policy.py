"""The policy by which weights, or a part of the K/V cache, are fetched before the kernel that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from memgrain.workloads.layers.step import KEPT, WEIGHTS
from memgrain.workloads.steps.prefetch import Prefetch
from memgrain.workloads.trace import READ, Trace

What = Literal["weights", "cache"]
Where = Literal["cache", "scratchpad"]
WHAT: tuple[What, ...] = ("weights", "cache")
"""What may be fetched: weights of projections and networks, or K, V and index."""
PIECE = 1 << 16
"""Bytes of a piece of weights."""


@dataclass(frozen=True)
class PrefetchPolicy:
    """Parameters of a prefetch; see `memgrain.workloads.steps.prefetch.Prefetch`."""

    what: tuple[What, ...]
    """What is fetched."""
    hit_probability: float
    """Probability that a piece is one that the kernel will read."""
    lead: int
    """Number of kernels by which a prefetch is ahead."""
    limit: int
    """Most bytes that are fetched for a kernel."""
    into: Where = "cache"
    """Destination: the last cache or the scratchpads."""

    def orders(self, kernels: Sequence[Trace], page_bytes: int) -> tuple[Prefetch, ...]:
        """An order for each kernel that reads such tensors and that another kernel precedes. Pieces of the cache are
        pages of `page_bytes`."""
        found = []
        for number, kernel in enumerate(kernels):
            read = {int(i) for chunk in kernel.chunks() for i in chunk.runs["tensor"][chunk.runs["op"] == READ]}
            names = [tensor.name for place, tensor in enumerate(kernel.tensors) if place in read]
            for what, piece in (("weights", PIECE), ("cache", page_bytes)):
                chosen = tuple(n for n in names if (n.startswith(WEIGHTS) if what == "weights" else n in KEPT))
                if number and what in self.what and chosen:
                    lead = min(self.lead, number)
                    found.append(
                        Prefetch(
                            number,
                            chosen,
                            piece,
                            lead,
                            hit_probability=self.hit_probability,
                            limit=self.limit,
                            into=self.into,
                        )
                    )
        return tuple(found)
