"""The table of patterns: which tokens a query may read. Each pattern has a definition (`mask`) and an enumeration
(`visits`)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from memgrain.workloads.patterns.block_sparse import BlockSparse
from memgrain.workloads.patterns.causal import Causal
from memgrain.workloads.patterns.dense import Dense
from memgrain.workloads.patterns.heavy_hitters import HeavyHitters
from memgrain.workloads.patterns.hierarchical import Hierarchical
from memgrain.workloads.patterns.sliding_window import SlidingWindow
from memgrain.workloads.patterns.streaming import Streaming
from memgrain.workloads.patterns.vertical_slash import VerticalSlash
from memgrain.workloads.patterns.visits import Range, Seen, Visits, in_units, merged, seen_in_units

AnyPattern = Dense | Causal | SlidingWindow | BlockSparse | Hierarchical | VerticalSlash | Streaming | HeavyHitters
Pattern = Annotated[AnyPattern, Field(discriminator="kind")]
EVICTING: dict[str, type[Streaming] | type[HeavyHitters]] = {"streaming": Streaming, "heavy_hitters": HeavyHitters}
"""Patterns of caches that keep only what they read, by `kind`; their context decides shape.kv_len."""

PATTERNS: dict[str, type[AnyPattern]] = {
    "dense": Dense,
    "causal": Causal,
    "sliding_window": SlidingWindow,
    "block_sparse": BlockSparse,
    "hierarchical": Hierarchical,
    "vertical_slash": VerticalSlash,
    **EVICTING,
}
"""Every pattern by its `kind`."""

__all__ = [
    "EVICTING",
    "PATTERNS",
    "BlockSparse",
    "Causal",
    "Dense",
    "HeavyHitters",
    "Hierarchical",
    "Pattern",
    "Range",
    "Seen",
    "SlidingWindow",
    "Streaming",
    "VerticalSlash",
    "Visits",
    "in_units",
    "merged",
    "seen_in_units",
]
