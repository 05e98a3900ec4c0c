"""A trace as a flat stream of accesses to aligned granules, in blocks: the content of other simulators' formats.

A piece of a trace (see `memgrain.workloads.trace`) becomes one access for each granule that it touches, in address
order, as the simulator's caches see it: rows of 192 bytes read a 128-byte line twice where two rows share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.trace import Chunk, Records, Trace

FLAT = np.dtype([("address", "u8"), ("bytes", "u4"), ("write", "?"), ("tensor", "u1")])
"""One access: first byte, bytes, whether it writes, index in `Trace.tensors`."""
GRANULE = 64
"""Default bytes of an access: the line of most CPUs, and a burst of DDR4 and DDR5."""
BLOCK = 1 << 18
"""Accesses of a block, which bounds the memory in use."""
WRITE = 1
LIMIT = 1 << 62
"""Upper bound of addresses, so that signed arithmetic holds them."""


def accesses(trace: Trace, granule: int = GRANULE) -> Iterator[Records]:
    """The accesses of `trace` in launch order, as FLAT blocks of up to BLOCK. Programs follow one another here; on a
    chip many run at once.

    `granule` is a power of two of bytes; WorkloadError otherwise.
    """
    check_granule(granule)
    for pieces in _pieces(trace):
        first = pieces["address"].astype(np.int64) // granule
        touched = (pieces["address"].astype(np.int64) + pieces["bytes"] - 1) // granule - first + 1
        touched[pieces["bytes"] == 0] = 0
        yield from _granules(pieces, first, touched, granule)


def check_granule(granule: int) -> None:
    """Raise WorkloadError unless `granule` is a power of two of bytes."""
    if not 1 <= granule <= 1 << 31 or granule & (granule - 1):
        raise WorkloadError(f"granule is {granule} bytes, must be a power of two up to 2 GiB; use 32, 64 or 128")


def blocks_of(records: Iterable[Records]) -> Iterator[Records]:
    """The same accesses in blocks of exactly BLOCK, except the last."""
    waiting: list[Records] = []
    size = 0
    for block in records:
        waiting.append(block)
        size += len(block)
        if size >= BLOCK:
            joined = np.concatenate(waiting)
            whole = size // BLOCK * BLOCK
            yield from (joined[at : at + BLOCK] for at in range(0, whole, BLOCK))
            waiting, size = [joined[whole:]], size - whole
    if size:
        yield np.concatenate(waiting)


def _granules(pieces: Records, first: NDArray[np.int64], touched: NDArray[np.int64], granule: int) -> Iterator[Records]:
    """The accesses of pieces that begin in granules `first` and touch `touched` granules each."""
    ends = np.cumsum(touched)
    total = int(ends[-1]) if len(ends) else 0
    for low in range(0, total, BLOCK):
        high = min(low + BLOCK, total)
        a, b = int(np.searchsorted(ends, low, "right")), int(np.searchsorted(ends, high, "left")) + 1
        begins = ends[a:b] - touched[a:b]
        here = np.minimum(ends[a:b], high) - np.maximum(begins, low)
        owner = np.repeat(np.arange(a, b), here)
        block = np.zeros(high - low, FLAT)
        within = np.arange(low, high) - np.repeat(begins, here)
        block["address"], block["bytes"] = (first[owner] + within) * granule, granule
        block["write"], block["tensor"] = pieces["write"][owner], pieces["tensor"][owner]
        yield block


def _pieces(trace: Trace) -> Iterator[Records]:
    """The pieces of the trace as FLAT records, in blocks."""
    return blocks_of(chain.from_iterable(_pieces_of(chunk) for chunk in trace.chunks()))


def _pieces_of(chunk: Chunk) -> Iterator[Records]:
    for program in chunk.programs:
        first = int(program["first_step"])
        for step in chunk.steps[first : first + int(program["steps"])]:
            at = int(step["first_run"])
            number = int(step["index_runs"]) + int(step["load_runs"]) + int(step["store_runs"])
            yield from _step_pieces(chunk, chunk.runs[at : at + number], int(step["repeats"]))


def _step_pieces(chunk: Chunk, runs: Records, repeats: int) -> Iterator[Records]:
    """The pieces of a step: all runs of the first repeat, then of the next; as many repeats at a time as fill a
    block."""
    row = int(runs["count"].sum(dtype=np.int64))
    if not row:
        return
    ends = np.cumsum(runs["count"], dtype=np.int64)
    for start in range(0, repeats, max(1, BLOCK // row)):
        stop = min(start + max(1, BLOCK // row), repeats)
        for low in range(0, row, BLOCK):
            yield _cut(chunk, runs, ends, (start, stop), (low, min(low + BLOCK, row)))


def _cut(
    chunk: Chunk, runs: Records, ends: NDArray[np.int64], repeats: tuple[int, int], cut: tuple[int, int]
) -> Records:
    """Pieces `cut` of each of the `repeats`, where the pieces of run i end at `ends[i]`."""
    repeat = np.arange(*repeats, dtype=np.int64)[:, None]
    block = np.zeros((len(repeat), cut[1] - cut[0]), FLAT)
    a, b = int(np.searchsorted(ends, cut[0], "right")), int(np.searchsorted(ends, cut[1], "left")) + 1
    for run, end in zip(runs[a:b], ends[a:b].tolist(), strict=True):
        begin = end - int(run["count"])
        low, high = max(begin, cut[0]), min(end, cut[1])
        if low >= high:
            continue
        pieces, index = np.arange(low - begin, high - begin, dtype=np.int64), int(run["index"])
        base, stride, advance = int(run["base"]), int(run["stride"]), int(run["advance"])
        if index < 0:
            _check_range(base, [(advance, repeats[0], repeats[1] - 1), (stride, low - begin, high - begin - 1)])
            address = base + repeat * advance + pieces * stride
        else:
            numbers = chunk.indices[index + repeat * advance + pieces].astype(np.int64)
            _check_range(base, [(stride, int(numbers.min()), int(numbers.max()))])
            address = base + numbers * stride
        part = block[:, low - cut[0] : high - cut[0]]
        part["address"], part["bytes"] = address, run["bytes"]
        part["write"], part["tensor"] = run["op"] == WRITE, run["tensor"]
    return block.ravel()


def _check_range(base: int, steps: list[tuple[int, int, int]]) -> None:
    """Raise WorkloadError if `base` plus any sum of multiples of the steps, each between its bounds, is not a valid
    address."""
    low = base + sum(min(step * a, step * b) for step, a, b in steps)
    high = base + sum(max(step * a, step * b) for step, a, b in steps)
    if low < 0 or high >= LIMIT:
        raise WorkloadError(f"a run at {base} reaches from {low} to {high}, must stay in 0..2**62; mend its stride")
