"""Traces: read, write, count, and selections fitted to recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memgrain.errors import MemgrainError
from memgrain.workloads import Trace, count_bytes, count_flops, count_issued_macs, count_steps
from memgrain.workloads.formats import FORMATS, GRANULE, accesses_of, export, format_of, load
from memgrain.workloads.formats.reuse import measure
from memgrain.workloads.selection.fit import FittedSelection, fit, load_recording


def load_trace(path: str | Path, *, form: str | None = None, granule: int = GRANULE) -> Trace:
    """The trace in a file of ours (.parquet, .npz) or of another simulator; see `memgrain.workloads.formats`.

    `form` names the format, found out if left out; `granule` is the number of bytes of an access where the file does
    not say. Raises WorkloadError.
    """
    return load(Path(path), form, granule)


def save_trace(
    traces: Trace | Sequence[Trace], path: str | Path, *, form: str | None = None, granule: int = GRANULE
) -> None:
    """Write a trace, or the kernels of a workload in order, to a file; its name tells the format unless `form` does.

    Flat formats of other simulators get accesses of `granule` bytes. Raises WorkloadError or MemgrainError.
    """
    target = Path(path)
    named = form or format_of(target)
    if named is None:
        raise MemgrainError(f"'{target.name}' does not tell a format; name one of {', '.join(FORMATS)}")
    export((traces,) if isinstance(traces, Trace) else tuple(traces), target, named, granule)


def fit_selection(path: str | Path, *, layer: int | None = None) -> FittedSelection:
    """The parameters of a local selection fitted to a recording, an .npz with positions [layer, step, K]; the mean of
    all layers unless `layer` is given. Raises WorkloadError."""
    return fit(load_recording(Path(path)), layer)


def trace_statistics(
    traces: Trace | Sequence[Trace], *, granule: int = GRANULE, name: str | None = None
) -> dict[str, Any]:
    """Counts of a trace, or of the kernels of a workload: programs, bytes by tensor, footprint, and how lines of
    `granule` bytes are used again (`stack_distances`). Raises WorkloadError for another granule than a
    power of two."""
    traces = (traces,) if isinstance(traces, Trace) else tuple(traces)
    tensors = traces[0].tensors
    reuse = measure(accesses_of(traces, granule), granule, len(tensors))
    moved = [count_bytes(trace) for trace in traces]
    chunks = [chunk for trace in traces for chunk in trace.chunks()]
    by_tensor = {
        tensor.name: {
            "bytes": tensor.bytes,
            "read_bytes": sum(each[tensor.name][0] for each in moved),
            "written_bytes": sum(each[tensor.name][1] for each in moved),
            "lines": lines,
        }
        for tensor, lines in zip(tensors, reuse.lines, strict=True)
    }
    edges = [0, *(1 << k for k in range(len(reuse.distances)))]
    return {
        "name": name or traces[0].name,
        "kernels": [trace.name for trace in traces],
        "programs": sum(len(chunk.programs) for chunk in chunks),
        "steps": sum(count_steps(trace) for trace in traces),
        "runs": sum(len(chunk.runs) for chunk in chunks),
        "flops": sum(count_flops(trace) for trace in traces),
        "issued_flops": 2 * sum(count_issued_macs(trace) for trace in traces),
        "granule": granule,
        "accesses": reuse.reads + reuse.writes,
        "reads": reuse.reads,
        "writes": reuse.writes,
        "read_bytes": sum(part["read_bytes"] for part in by_tensor.values()),
        "written_bytes": sum(part["written_bytes"] for part in by_tensor.values()),
        "tensor_bytes": sum(tensor.bytes for tensor in tensors),
        "footprint_bytes": reuse.distinct * granule,
        "distinct_lines": reuse.distinct,
        "mean_uses": reuse.uses,
        "stack_distances": [
            {"from": low, "to": max(low, 2 * low - 1), "accesses": number}
            for low, number in zip(edges, reuse.distances, strict=False)
        ],
        "tensors": by_tensor,
    }
