"""Fusion of a layer's kernels: tensors between them stay in the scratchpads, and there is one launch.

Real fusions include an epilogue (an activation after its product) or a whole mixture of experts (DeepGEMM's MegaMoE).
Attention with its projections, and a layer in one kernel, are hypothetical. Cores still wait for one another between
parts, since every output needs every input; the intermediate tensors are assumed to lie in all scratchpads together,
with no access time. The saving is therefore an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.tiling import Budget
from memgrain.workloads.layers.step import Stage
from memgrain.workloads.trace import Chunk, Trace, count_bytes, count_macs

Fusion = Literal["ffn", "attention", "layer"]
FUSIONS: tuple[Fusion, ...] = ("ffn", "attention", "layer")
"""Fusions: the products of a feed-forward network, attention with its projections, all kernels of a layer."""
ENDS: dict[Fusion, tuple[tuple[str, str], ...]] = {
    "ffn": (("gate_up", "down"), ("experts_gate_up", "experts_down")),
    "attention": (("q", "o"), ("qkv", "o"), ("qkv_a", "o"), ("qkv_a", "o_b")),
    "layer": (("norm", "add_experts"), ("norm", "down")),
}
"""First and last kernel of each fusion; the first pair that a layer has is used."""


@dataclass(frozen=True)
class Fused:
    """The effect of a fusion."""

    name: str
    """Names of its first and last kernel."""
    kernels: int
    """Number of fused kernels."""
    saved_bytes: int
    """Bytes that cores no longer read and write."""
    kept_bytes: int
    """Bytes of intermediate tensors in a core's scratchpad."""
    tile_bytes: int
    """Bytes of scratchpad of the largest program, besides the intermediate tensors."""


def fuse(stages: Sequence[Stage], what: Fusion, budget: Budget) -> tuple[tuple[Stage, ...], tuple[Fused, ...]]:
    """The stages after the fusion, and its effect; unchanged if the layer has no such kernels.

    An exchange between chips ends a fused kernel. Raises WorkloadError if a core's scratchpad cannot hold the
    intermediate tensors and the largest tile.
    """
    found, changes = list(stages), []
    names = [stage.name for stage in stages]
    pairs = [pair for pair in ENDS[what] if set(pair) <= set(names)]
    for first, last in pairs if what == "ffn" else pairs[:1]:
        names = [stage.name for stage in found]
        begin, end = names.index(first), names.index(last) + 1
        parts: list[Stage] = []
        for group in _groups(found[begin:end]):
            if len(group) > 1:
                outside = [stage for stage in found if stage not in group]
                group, change = _one(group, outside, budget)
                changes.append(change)
            parts += group
        found[begin:end] = parts
    return tuple(found), tuple(changes)


def _groups(stages: Sequence[Stage]) -> Iterator[list[Stage]]:
    """Groups of kernels between exchanges; each exchange is a group."""
    group: list[Stage] = []
    for stage in stages:
        if stage.trace is None:
            yield from ([group] if group else [])
            yield [stage]
            group = []
        else:
            group.append(stage)
    yield from ([group] if group else [])


def _one(group: Sequence[Stage], outside: Sequence[Stage], budget: Budget) -> tuple[list[Stage], Fused]:
    """The kernels of a group as one."""
    kept, saved, size = _passed(group, outside)
    share = -(-size // budget.cores)
    tile = max(stage.trace.scratchpad_bytes for stage in group if stage.trace is not None)
    name = f"{group[0].name} to {group[-1].name}"
    if share + tile > budget.scratchpad_bytes:
        raise WorkloadError(
            f"fusing {name} keeps {size} B on the chip, {share} B a core, beside tiles of {tile} B; a core has "
            f"{budget.scratchpad_bytes} B: fuse less, or lower the batch or the chunk"
        )
    found: list[Stage] = []
    for stage in group:
        trace = _without(stage, kept)
        idle = not count_macs(trace) and not any(sum(moved) for moved in count_bytes(trace).values())
        if not idle:
            room = max(1, (budget.scratchpad_bytes - share) // max(1, trace.scratchpad_bytes))
            resident = min(room, trace.resident or budget.max_programs)
            found.append(replace(stage, trace=replace(trace, resident=resident, joined=bool(found))))
    return found, Fused(name, len(group), saved, share, tile)


def _passed(group: Sequence[Stage], outside: Sequence[Stage]) -> tuple[set[str], int, int]:
    """Tensors that only the group's kernels use and that are written before they are read; the bytes that cores move of
    them; and the most bytes of them that exist at a time."""
    uses = [_uses(stage) for stage in group]
    needed = {name for stage in outside for name, use in _uses(stage).items() if use[0]}
    spans: dict[str, tuple[int, int, int]] = {}
    saved = 0
    for name in dict.fromkeys(name for use in uses for name in use):
        kernels = [kernel for kernel, use in enumerate(uses) if name in use]
        read = [kernel for kernel in kernels if uses[kernel][name][0]]
        written = [kernel for kernel in kernels if uses[kernel][name][1]]
        if read and written and min(written) <= min(read) and name not in needed:
            if min(written) == min(read) and not uses[min(read)][name][2]:
                continue
            spans[name] = min(kernels), max(kernels), max(uses[kernel][name][3] for kernel in kernels)
            saved += sum(sum(uses[kernel][name][:2]) for kernel in kernels)
    alive = [sum(size for low, high, size in spans.values() if low <= kernel <= high) for kernel in range(len(group))]
    return set(spans), saved, max(alive, default=0)


def _uses(stage: Stage) -> dict[str, tuple[int, int, bool, int]]:
    """For each tensor of a stage: bytes read, bytes written, whether it is the kernel's scratch, and its size."""
    if stage.trace is None:
        return {}
    moved = count_bytes(stage.trace)
    sizes = {tensor.name: tensor.bytes for tensor in stage.trace.tensors}
    return {
        stage.names.get(name, name): (read, written, name == "partial", sizes[name])
        for name, (read, written) in moved.items()
        if read or written
    }


def _without(stage: Stage, kept: set[str]) -> Trace:
    """The stage's trace without runs of tensors in `kept`."""
    trace = stage.trace
    assert trace is not None
    numbers = [i for i, tensor in enumerate(trace.tensors) if stage.names.get(tensor.name, tensor.name) in kept]
    return replace(trace, make_chunks=FewerRuns(trace, np.array(numbers, np.uint8))) if numbers else trace


@dataclass(frozen=True, eq=False)
class FewerRuns:
    """The chunk stream of a trace without the runs of some tensors."""

    trace: Trace
    """The trace."""
    tensors: NDArray[np.uint8]
    """Indices of the tensors."""

    def __call__(self) -> Iterator[Chunk]:
        """The chunks in launch order."""
        for chunk in self.trace.chunks():
            stays = ~np.isin(chunk.runs["tensor"], self.tensors)
            before = np.concatenate([[0], np.cumsum(stays)])
            steps = chunk.steps.copy()
            at = chunk.steps["first_run"].astype(np.int64)
            steps["first_run"] = before[at]
            for name in ("index_runs", "load_runs", "store_runs"):
                end = at + chunk.steps[name]
                steps[name] = before[end] - before[at]
                at = end
            yield replace(chunk, steps=steps, runs=chunk.runs[stays])
