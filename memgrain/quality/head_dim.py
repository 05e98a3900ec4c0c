"""The condition under which shapes of different head dimension may be compared at equal quality. It is an
assumption."""

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
"""Note printed with every output."""


def holds_size(shapes: Iterable[AttentionShape]) -> bool:
    """Whether all shapes have the same q_heads x head_dim and kv_heads x head_dim, and so the same projection weights.

    A shape does not contain layers, feed-forward part, training and selection; the caller must keep them equal.
    """
    return len({(shape.q_heads * shape.head_dim, shape.kv_heads * shape.head_dim) for shape in shapes}) <= 1


def size_notes(tasks: Iterable[Task]) -> list[str]:
    """The note on quality for a comparison of these tasks: one line, or none if head_dim and heads are the same in all.
    Tasks without attention and tasks that their chip refuses are ignored."""
    shapes = _shapes(tasks)
    if len({(shape.head_dim, shape.q_heads, shape.kv_heads) for shape in shapes}) < 2:
        return []
    statement = (
        "quality: q_heads x head_dim and kv_heads x head_dim are the same in these rows, so that much of the condition "
        "below is met."
        if holds_size(shapes)
        else "quality: these rows differ in q_heads x head_dim or kv_heads x head_dim, so they are not models of one "
        "size: their times may be compared, their quality not."
    )
    return [f"{statement} {CONDITIONS}"]


def _shapes(tasks: Iterable[Task]) -> list[AttentionShape]:
    """The distinct attention shapes of the tasks; tasks with the same workload file and shape overrides count once."""
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
