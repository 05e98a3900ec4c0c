"""A trace made of accesses: one program that issues them in their order, with equal strides merged into runs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.steps.writer import OneChunk
from memgrain.workloads.trace import PROGRAM, READ, RUN, STEP, WRITE, Records, Tensor, Trace

_RUNS_OF_A_STEP = 2**16 - 1
"""Most runs that STEP.load_runs and store_runs can count."""


def rebuild(name: str, blocks: Iterable[Records]) -> Trace:
    """A trace of the accesses (FLAT blocks) over one tensor X, issued by a program without products.

    A run holds accesses of one kind and size at a constant distance; an access that fits no run becomes a run of one.
    Raises WorkloadError if there is no access.
    """
    found: list[Records] = []
    for block in blocks:
        runs = merge(block)
        if found and len(runs):
            runs = runs[_joined(found[-1][-1:], runs[:1]) :]
        if len(runs):
            found.append(runs)
    if not found:
        raise WorkloadError(f"{name}: no access in it; check the file")
    runs = np.concatenate(found)
    steps = _steps(runs)
    programs = np.zeros(1, PROGRAM)
    programs["steps"] = len(steps)
    low, high = _ends(runs)
    base = int(low.min())
    read, written, useful = (distinct_bytes(runs[mask]) for mask in _masks(runs))
    tensor = Tensor("X", base, int(high.max()) - base, useful)
    return Trace(name, (tensor,), "fp32", 0, 1, None, read, 0, written, OneChunk(programs, steps, runs))


def merge(block: Records) -> Records:
    """Accesses (FLAT) as RUN records in order; each access belongs to one run."""
    if not len(block):
        return np.zeros(0, RUN)
    apart = np.diff(block["address"].astype(np.int64))
    alike = (block["bytes"][1:] == block["bytes"][:-1]) & (block["write"][1:] == block["write"][:-1])
    same = np.append(False, (apart[1:] == apart[:-1]) & alike[1:] & alike[:-1])[: len(apart)]
    stretches = np.append(0, np.cumsum(~same[1:])) if len(apart) else np.zeros(0, np.intp)
    long = np.bincount(stretches)[stretches] >= 2 if len(apart) else np.zeros(0, bool)
    linked = alike & (long | (apart == block["bytes"][1:]))
    linked[1:] &= same[1:] | ~linked[:-1]
    first = np.flatnonzero(np.append(True, ~linked))
    runs = np.zeros(len(first), RUN)
    runs["base"], runs["count"] = block["address"][first], np.diff(np.append(first, len(block)))
    more = runs["count"] > 1
    runs["stride"][more] = apart[first[more]]
    runs["bytes"], runs["op"], runs["index"] = block["bytes"][first], np.where(block["write"][first], WRITE, READ), -1
    return runs


def distinct_bytes(runs: Records) -> int:
    """Bytes that the runs touch, each counted once."""
    low, high = _ends(runs)
    loose = np.abs(runs["stride"]) > runs["bytes"]
    some = runs[loose]
    owner = np.repeat(np.arange(len(some)), some["count"])
    within = np.arange(len(owner)) - np.repeat(np.cumsum(some["count"], dtype=np.int64) - some["count"], some["count"])
    at = some["base"].astype(np.int64)[owner] + within * some["stride"][owner]
    low, high = np.append(low[~loose], at), np.append(high[~loose], at + some["bytes"][owner])
    order = np.argsort(low)
    low, high = low[order], high[order]
    reached = np.maximum.accumulate(np.append(low[:1], high))[:-1]
    return int(np.maximum(high - np.maximum(low, reached), 0).sum())


def _masks(runs: Records) -> tuple[NDArray[np.bool_], ...]:
    return runs["op"] == READ, runs["op"] == WRITE, np.ones(len(runs), bool)


def _ends(runs: Records) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First byte of each run and the one behind its last."""
    base = runs["base"].astype(np.int64)
    last = base + (runs["count"].astype(np.int64) - 1) * runs["stride"]
    return np.minimum(base, last), np.maximum(base, last) + runs["bytes"]


def _joined(before: Records, after: Records) -> int:
    """Append the run `after` to the run `before` it, the last of a block, if it continues that run; returns 1 if so,
    else 0."""
    a, b = before[0], after[0]
    stride = int(a["stride"]) if a["count"] > 1 else int(a["bytes"])
    follows = int(b["base"]) == int(a["base"]) + int(a["count"]) * stride
    regular = b["count"] == 1 or int(b["stride"]) == stride
    fits = int(a["count"]) + int(b["count"]) < 1 << 32
    if not (follows and regular and fits and a["op"] == b["op"] and a["bytes"] == b["bytes"]):
        return 0
    before["stride"], before["count"] = stride, a["count"] + b["count"]
    return 1


def _steps(runs: Records) -> Records:
    """Steps of reads and then writes, in order."""
    writes = runs["op"] == WRITE
    changes = np.flatnonzero(np.append(True, writes[1:] != writes[:-1]))
    ends = np.append(changes[1:], len(runs))
    pieces = -(-(ends - changes) // _RUNS_OF_A_STEP)
    within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = np.repeat(changes, pieces) + within * _RUNS_OF_A_STEP
    sizes = np.diff(np.append(starts, len(runs)))
    stores = writes[starts]
    second = stores & np.append(False, ~stores[:-1])
    steps = np.zeros(np.count_nonzero(~second), STEP)
    number = np.cumsum(~second) - 1
    steps["first_run"], steps["repeats"] = starts[~second], 1
    steps["load_runs"][number[~stores]] = sizes[~stores]
    steps["store_runs"][number[stores]] = sizes[stores]
    return steps
