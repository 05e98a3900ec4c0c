"""Which bytes of a tensor a trace touches, for comparison with lists written from a definition."""

from __future__ import annotations

from collections import Counter

from memgrain.workloads import Trace, expand


def touched(trace: Trace, name: str, op: int) -> Counter[int]:
    """How often each byte of a tensor, counted from its beginning, is read or written."""
    number = next(i for i, tensor in enumerate(trace.tensors) if tensor.name == name)
    found: Counter[int] = Counter()
    for access in expand(trace):
        if access["tensor"] == number and access["op"] == op:
            first = int(access["address"]) - trace.tensors[number].base
            found.update(range(first, first + int(access["bytes"])))
    return found
