"""When shapes of another head dimension may be compared as if of one quality: a condition, not a finding."""

from __future__ import annotations

from collections.abc import Iterable

from memgrain.runs.execute import DOMAIN
from memgrain.runs.task import Files, Task, attention_of
from memgrain.workloads import AttentionShape

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


def size_notes(tasks: Iterable[Task]) -> list[str]:
    """What an answer that compares these tasks has to say of quality: one line, none if head_dim and heads are the same
    in all. Tasks without attention, and those that their chip refuses, are left out."""
    shapes = _shapes(tasks)
    if len({(shape.head_dim, shape.q_heads, shape.kv_heads) for shape in shapes}) < 2:
        return []
    said = (
        "quality: q_heads x head_dim and kv_heads x head_dim are the same in these rows, so that much of the condition "
        "below is met."
        if holds_size(shapes)
        else "quality: these rows differ in q_heads x head_dim or kv_heads x head_dim, so they are not models of one "
        "size: their times may be compared, their quality not."
    )
    return [f"{said} {CONDITIONS}"]


def _shapes(tasks: Iterable[Task]) -> list[AttentionShape]:
    """The shapes of tasks; of those that set it alike, the first's."""
    files: Files = {}
    found: dict[str, AttentionShape] = {}
    for task in tasks:
        sizes = {name: value for name, value in task.workload_set.items() if "shape" in name.split(".")}
        key = repr((task.workload, sizes))
        if key in found:
            continue
        try:
            attended = attention_of(task.resolve(files).workload)
        except DOMAIN:
            continue
        if attended is not None:
            found[key] = attended.shape
    return list(found.values())
