"""Which heads share a list of selected tokens."""

from __future__ import annotations

from typing import Literal

from memgrain.workloads.shape import AttentionShape

Share = Literal["head", "group", "all"]


def lists_of(share: Share, shape: AttentionShape) -> int:
    """Lists of one batch entry."""
    return {"head": shape.q_heads, "group": shape.kv_heads, "all": 1}[share]


def list_of(share: Share, shape: AttentionShape, q_head: int) -> int:
    """Number of the list that query head `q_head` reads."""
    return {"head": q_head, "group": q_head // shape.group, "all": 0}[share]
