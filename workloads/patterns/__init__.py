"""The table of patterns: which tokens a query may read; each pattern defines itself (mask) and enumerates (visits)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from workloads.patterns.block_sparse import BlockSparse
from workloads.patterns.causal import Causal
from workloads.patterns.dense import Dense
from workloads.patterns.hierarchical import Hierarchical
from workloads.patterns.sliding_window import SlidingWindow
from workloads.patterns.visits import Range, Visits, in_units, merged

Pattern = Annotated[Dense | Causal | SlidingWindow | BlockSparse | Hierarchical, Field(discriminator="kind")]

PATTERNS: dict[str, type[Dense] | type[Causal] | type[SlidingWindow] | type[BlockSparse] | type[Hierarchical]] = {
    "dense": Dense,
    "causal": Causal,
    "sliding_window": SlidingWindow,
    "block_sparse": BlockSparse,
    "hierarchical": Hierarchical,
}
"""Every pattern by its `kind`."""

__all__ = [
    "PATTERNS",
    "BlockSparse",
    "Causal",
    "Dense",
    "Hierarchical",
    "Pattern",
    "Range",
    "SlidingWindow",
    "Visits",
    "in_units",
    "merged",
]
