"""When shapes of another head dimension may be compared as if of one quality: a condition, not a finding."""

from __future__ import annotations

from collections.abc import Iterable

from workloads import AttentionShape

CONDITIONS = (
    "Head dimension is no axis of quality here: no source gives quality as a function of head dimension at fixed "
    "sparsity. Comparing head dimensions as if quality were constant is an assumption, and only stands where hidden "
    "size and parameter count are held (q_heads x head_dim and kv_heads x head_dim the same) with the same layers, "
    "training, selected unit and share."
)
"""What every output says."""


def holds_size(shapes: Iterable[AttentionShape]) -> bool:
    """Whether q_heads x head_dim and kv_heads x head_dim, and so the projections' weights, are the same in all.

    Layers, the feed-forward part, training and selection are not in a shape: they are for the caller to hold.
    """
    return len({(shape.q_heads * shape.head_dim, shape.kv_heads * shape.head_dim) for shape in shapes}) <= 1
