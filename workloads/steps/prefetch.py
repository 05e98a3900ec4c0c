"""A prefetch: the tensors that are fetched ahead of the kernel that reads them, its start, its pieces, and the accuracy
of its predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.trace import READ, Chunk, Tensor, Trace

Addresses = NDArray[np.int64]


@dataclass(frozen=True)
class Prefetch:
    """A command to a prefetch engine beside the cores, for a sequence of kernels.

    With the defaults of the last three fields the engine is ideal: it is never the limit, so the gain of a prefetch is
    an upper bound. The requirements of real engines are not published; CANN's `npu_prefetch` only names whole tensors.
    Raises WorkloadError if a value is out of its range.
    """

    kernel: int
    """Index in the sequence, from 0, of the kernel that will read."""
    tensors: tuple[str, ...]
    """Tensors that are fetched: names in the sequence."""
    piece: int
    """Bytes of a piece, counted from the beginning of its tensor: the unit of prediction and request (a page of K and
    V, a tile of weights)."""
    lead: int = 1
    """Kernels ahead: the prefetch begins with the first programs of kernel `kernel - lead`; 0 is that kernel itself."""
    after: int = 0
    """Delay in ps from there to the first request."""
    hit_probability: float = 1.0
    """Probability that a predicted piece will be read; otherwise it is another piece of these tensors or, if the kernel
    reads all of them, memory next to them."""
    seed: int = 0
    """Seed of the draws."""
    limit: int | None = None
    """Most bytes requested; None: all that the kernel reads of the tensors."""
    into: Literal["cache", "scratchpad"] = "cache"
    """Destination: the last cache before the DRAM, or the scratchpads of the cores that will run the kernel's first
    programs."""
    bandwidth: int | None = None
    """Bytes per second of the engine; None: the peak of the chip's DRAM."""
    startup: int = 0
    """Time in ps from one piece's command to the next, besides the time of its bytes."""
    in_flight: int | None = None
    """Most bytes in flight (one piece is always allowed); None: twice the bytes that hide the DRAM's latency."""

    def __post_init__(self) -> None:
        if not self.tensors:
            raise WorkloadError("a prefetch names no tensor; name one at least")
        if not 0 <= self.hit_probability <= 1:
            raise WorkloadError(f"hit_probability is {self.hit_probability}, must be from 0 to 1; mend it")
        least = {"kernel": 0, "lead": 0, "after": 0, "seed": 0, "startup": 0, "piece": 1}
        least |= {"limit": 0, "bandwidth": 1, "in_flight": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise WorkloadError(f"{name} of a prefetch is {value}, must be at least {low}; raise it")
        if self.lead > self.kernel:
            raise WorkloadError(f"lead {self.lead} begins before the first kernel; lower it to {self.kernel} at most")


@dataclass(frozen=True)
class Guesses:
    """Predicted pieces in the order of their requests."""

    addresses: Addresses
    """First byte of each."""
    bytes: Addresses
    """Bytes of each."""
    right: NDArray[np.bool_]
    """Whether it will be read."""


def pieces_read(trace: Trace, prefetch: Prefetch) -> Iterator[Addresses]:
    """For each program in launch order, addresses of the pieces that it reads, each once, in the order of its requests.

    Raises WorkloadError if the trace has no tensor of a name.
    """
    chosen = chosen_tensors(trace.tensors, prefetch)
    bases = np.array([tensor.base for tensor in trace.tensors], np.int64)
    for chunk in trace.chunks():
        wanted = np.isin(chunk.runs["tensor"], chosen) & (chunk.runs["op"] == READ)
        for program in chunk.programs:
            first, found = int(program["first_step"]), [np.zeros(0, np.int64)]
            for step in chunk.steps[first : first + int(program["steps"])]:
                first_run = int(step["first_run"])
                runs = first_run + int(step["index_runs"]) + int(step["load_runs"])
                own = np.flatnonzero(wanted[first_run:runs]) + first_run
                if len(own):
                    found.append(_of_step(chunk, own.tolist(), int(step["repeats"]), bases, prefetch.piece))
            yield in_order(np.concatenate(found))


def chosen_tensors(tensors: Sequence[Tensor], prefetch: Prefetch) -> list[int]:
    """Indices of the tensors of a prefetch; raises WorkloadError for an unknown name."""
    names = [tensor.name for tensor in tensors]
    if unknown := [name for name in prefetch.tensors if name not in names]:
        raise WorkloadError(f"no tensor {unknown[0]} to prefetch; the sequence has {', '.join(names)}")
    return [names.index(name) for name in prefetch.tensors]


def accesses(run: np.void, indices: NDArray[np.integer], repeats: Sequence[int] | NDArray[np.int64]) -> Addresses:
    """First addresses of a run's pieces: [repeat, piece]."""
    count, moved = int(run["count"]), np.asarray(repeats, np.int64)[:, None] * int(run["advance"])
    numbers = np.arange(count, dtype=np.int64)
    if run["index"] < 0:
        return int(run["base"]) + moved + numbers * int(run["stride"])
    found: Addresses = int(run["base"]) + indices[int(run["index"]) + moved + numbers].astype(np.int64) * int(
        run["stride"]
    )
    return found


def spans(low: Addresses, size: int, unit: int) -> Addresses:
    """Indices of all units of `unit` bytes that ranges of `size` bytes from `low` touch, in order."""
    first, last = low // unit, (low + size - 1) // unit
    lengths = last - first + 1
    if (lengths == 1).all():
        return first
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    found: Addresses = np.repeat(first, lengths) + within
    return found


def in_order(values: Addresses) -> Addresses:
    """Each value once, in the order of first appearance."""
    return values[np.sort(np.unique(values, return_index=True)[1])]


def guess(
    wanted: Addresses, trace: Trace, prefetch: Prefetch, limit: int | None, rng: np.random.Generator, beside: int
) -> Guesses:
    """Predictions for `wanted` pieces, at most `limit` bytes, each right with the prefetch's probability.

    A wrong prediction replaces the right one: a piece of the same tensors that is not wanted, drawn without
    replacement, or, when these are used up, consecutive pieces from address `beside`.
    """
    tensors = [trace.tensors[number] for number in chosen_tensors(trace.tensors, prefetch)]
    ends = sorted((tensor.base, tensor.base + tensor.bytes) for tensor in tensors)
    addresses, right = wanted.copy(), rng.random(len(wanted)) < prefetch.hit_probability
    wrong = int((~right).sum())
    if wrong:
        every = np.concatenate([np.arange(low, high, prefetch.piece, dtype=np.int64) for low, high in ends])
        others = rng.permutation(np.setdiff1d(every, wanted))[:wrong]
        beyond = beside + prefetch.piece * np.arange(wrong - len(others), dtype=np.int64)
        addresses[~right] = np.concatenate([others, beyond])
    sizes = np.full(len(addresses), prefetch.piece, np.int64)
    for low, high in ends:
        inside = (addresses >= low) & (addresses < high)
        sizes[inside] = np.minimum(prefetch.piece, high - addresses[inside])
    kept = len(sizes) if limit is None else int(np.searchsorted(np.cumsum(sizes), limit, "right"))
    return Guesses(addresses[:kept], sizes[:kept], right[:kept])


def _of_step(chunk: Chunk, runs: Sequence[int], repeats: int, bases: Addresses, piece: int) -> Addresses:
    """Addresses of the pieces that some runs of a step touch, repeat by repeat."""
    found = []
    for run in chunk.runs[runs]:
        low, size, base = accesses(run, chunk.indices, np.arange(repeats)), int(run["bytes"]), bases[run["tensor"]]
        if run["index"] < 0 and run["stride"] == run["bytes"]:
            low, size = low[:, :1], size * int(run["count"])
        numbers = [spans(part - base, size, piece) for part in (low if len(runs) > 1 else [low.ravel()])]
        found.append([base + piece * part for part in numbers])
    return np.concatenate([part for parts in zip(*found, strict=True) for part in parts])
