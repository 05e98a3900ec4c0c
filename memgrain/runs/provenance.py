"""How many of a chip's numbers are assumed, and values as their file writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from memgrain.hwmodels import Provenance

KINDS = ("measured", "vendor", "derived", "assumed", "override", "unsourced")


def assumed(provenance: Iterable[Provenance]) -> str:
    """How many of a chip's numbers are known and how many assumed, in one line."""
    kinds = Counter(item.kind for item in provenance)
    total = sum(kinds.values())
    named = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
    return f"{kinds['assumed'] / max(total, 1):.0%} of the chip's {total} numbers are assumed ({named})"


def with_unit(value: Any) -> str:
    """A value as the file writes it, unit included."""
    return str(value).lower() if isinstance(value, bool) else str(value)
