"""Kernels that run one after the other in one memory: tensors of the same name are the same tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layouts.layout import bases
from memgrain.workloads.trace import Chunk, Tensor, Trace

MOST_TENSORS = 255
"""Most tensors that a run record can distinguish."""


@dataclass(frozen=True, eq=False)
class MovedChunks:
    """The chunk stream of a trace whose tensors were moved."""

    trace: Trace
    """The original chunks."""
    shifts: NDArray[np.int64]
    """Bytes by which each of its tensors moves, by index."""
    numbers: NDArray[np.uint8]
    """The index of each of its tensors among all."""

    def __call__(self) -> Iterator[Chunk]:
        """The chunks in launch order."""
        for chunk in self.trace.chunks():
            runs, tensor = chunk.runs.copy(), chunk.runs["tensor"]
            runs["base"] = (runs["base"].astype(np.int64) + self.shifts[tensor]).astype(np.uint64)
            runs["tensor"] = self.numbers[tensor]
            yield replace(chunk, runs=runs)


def in_one_memory(traces: Sequence[Trace], names: Sequence[Mapping[str, str]] | None = None) -> tuple[Trace, ...]:
    """The traces with all their tensors in one memory, each named tensor once, in order of first appearance.

    `names` gives for each trace the tensors that have another name than in the trace: O of one kernel may be Q of a
    later one. A tensor takes the bytes of the largest tensor with its name. Raises WorkloadError if there is no trace,
    if `names` has a tensor that a trace lacks, or if there are more than MOST_TENSORS.
    """
    if not traces:
        raise WorkloadError("no kernel to run in sequence; give one at least")
    renames = names if names is not None else [{}] * len(traces)
    sizes: dict[str, int] = {}
    useful: dict[str, int] = {}
    for trace, rename in zip(traces, renames, strict=True):
        own = [tensor.name for tensor in trace.tensors]
        if unknown := sorted(set(rename) - set(own)):
            raise WorkloadError(f"{trace.name} has no tensor {unknown[0]}; it has {', '.join(own)}")
        for tensor in trace.tensors:
            name = rename.get(tensor.name, tensor.name)
            sizes[name] = max(sizes.get(name, 0), tensor.bytes)
            useful[name] = max(useful.get(name, 0), tensor.useful_bytes)
    if len(sizes) > MOST_TENSORS:
        raise WorkloadError(f"{len(sizes)} tensors in sequence, at most {MOST_TENSORS} are distinguished; share names")
    placed, order = bases(sizes), list(sizes)
    tensors = tuple(Tensor(name, placed[name], sizes[name], useful[name]) for name in order)
    return tuple(_moved(trace, rename, tensors, placed) for trace, rename in zip(traces, renames, strict=True))


def _moved(trace: Trace, rename: Mapping[str, str], tensors: tuple[Tensor, ...], placed: Mapping[str, int]) -> Trace:
    order = [tensor.name for tensor in tensors]
    own = [rename.get(tensor.name, tensor.name) for tensor in trace.tensors]
    shifts = [placed[name] - tensor.base for name, tensor in zip(own, trace.tensors, strict=True)]
    numbers = [order.index(name) for name in own]
    moved = MovedChunks(trace, np.array(shifts, np.int64), np.array(numbers, np.uint8))
    return replace(trace, tensors=tensors, make_chunks=moved)
