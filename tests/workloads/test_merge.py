"""The programs that merge the partial outputs of splits: what they share out, and what is launched without any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from memgrain.workloads import Budget, Trace, Workload, attention, expand, parse_workload
from memgrain.workloads.trace import READ, WRITE, Chunk

BUDGET = Budget(cores=3, scratchpad_bytes=65536, max_programs=2)
SHAPE = {"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 1, "kv_len": 53, "head_dim": 8, "head_dim_v": 4}


def split(splits: int, merge: dict[str, object], layout: str = "bnsd") -> Workload:
    """A small decode whose context is split."""
    raw: dict[str, object] = {"kind": "attention", "name": "split", "phase": "decode", "shape": SHAPE, "dtype": "bf16"}
    raw |= {"pattern": {"kind": "dense"}, "layout": {"kind": layout}}
    return parse_workload({**raw, "tiling": {"block_kv": 8, "splits": splits, "merge": merge}})


@pytest.mark.parametrize("layout", ["bnsd", "bsnd"])
@pytest.mark.parametrize(("rows", "columns", "ahead"), [(1, 4, 3), (2, 2, 1), (8, 3, 2), (1, 1, 8)])
def test_the_programs_of_a_merge_share_out_the_partial_outputs(
    layout: str, rows: int, columns: int, ahead: int
) -> None:
    merge: dict[str, object] = {"rows": rows, "columns": columns, "ahead": ahead, "spare": 2, "cycles": (7, 5)}
    trace = attention(split(3, merge, layout), BUDGET)
    merging = replace(trace, make_chunks=partial(last_of, trace))
    (chunk,) = merging.chunks()
    assert chunk.barrier
    assert chunk.once_cycles == (7, 5)
    seen = {(name, op): Counter(bytes_of(merging, name, op)) for name, op in (("partial", READ), ("O", WRITE))}
    assert set(seen["O", WRITE].values()) == {1}
    assert len(seen["O", WRITE]) == next(t.bytes for t in trace.tensors if t.name == "O")
    assert len(seen["partial", READ]) == 3 * 8 * (4 + 1) * 4
    idle = attention(split(1, merge | {"always": True}), BUDGET)
    last = list(idle.chunks())[-1]
    assert (len(last.runs), len(last.programs)) == (0, len(chunk.programs))
    assert len(list(attention(split(1, merge), BUDGET).chunks())) == 4


def last_of(trace: Trace) -> Iterator[Chunk]:
    """The last chunk alone."""
    yield list(trace.chunks())[-1]


def bytes_of(trace: Trace, name: str, op: int) -> Iterator[int]:
    """Address of every byte of a tensor that is read or written, as often as it is."""
    number = [tensor.name for tensor in trace.tensors].index(name)
    for access in expand(trace):
        if access["tensor"] == number and access["op"] == op:
            yield from range(int(access["address"]), int(access["address"] + access["bytes"]))
