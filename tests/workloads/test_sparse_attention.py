"""Attention with an indexer at a tiny size, against lists of accesses written from its definition."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from memgrain import workloads
from memgrain.workloads import (
    Budget,
    SparseAttentionStep,
    Trace,
    WorkloadError,
    attention,
    count_bytes,
    load_any,
    parse_any,
    parse_workload,
)
from memgrain.workloads.trace import READ, WRITE
from tests.workloads.touched import touched

EXAMPLES = Path(workloads.__file__).parent / "examples"
BUDGET = Budget(cores=3, scratchpad_bytes=65536, max_programs=2)
KV_LEN, BATCH, HEADS, DIM = 37, 2, 4, 8


def step(kv_heads: int = 1, share: str = "all", unit: int = 1, **indexer: int) -> dict[str, Any]:
    shape = {"batch": BATCH, "q_heads": HEADS, "kv_heads": kv_heads, "q_len": 1, "kv_len": KV_LEN, "head_dim": DIM}
    attention = {"kind": "attention", "name": "attend", "phase": "decode", "shape": shape, "dtype": "bf16"}
    attention |= {"pattern": {"kind": "dense"}, "layout": {"kind": "bsnd"}}
    attention["selection"] = {"kind": "random", "tokens": 12, "unit": unit, "share": share, "seed": 1}
    own = {"tokens": 1, "row_bytes": 12, "heads": 3, "dim": 8, "block": 4, "passes": 2, "selectors": 3} | indexer
    return {"kind": "indexed", "name": "step", "attention": attention, "indexer": {**own, "dtype": "fp8"}}


def kernels(raw: dict[str, Any]) -> dict[str, Trace]:
    asked = parse_any(raw)
    assert isinstance(asked, SparseAttentionStep)
    return {trace.name: trace for trace in asked.kernels(BUDGET)}


def every(size: int, times: int = 1) -> Counter[int]:
    return Counter(dict.fromkeys(range(size), times))


@pytest.mark.parametrize(
    ("kv_heads", "share", "unit", "indexer"),
    [
        (1, "all", 1, {}),
        (2, "group", 4, {"tokens": 4, "row_bytes": 2 * DIM * 2, "heads": 2}),
        (2, "head", 4, {"tokens": 4, "row_bytes": DIM * 2, "heads": 1, "block": 3, "selectors": 1}),
    ],
    ids=["deepseek", "quest", "moba"],
)
def test_a_step_is_what_its_definition_reads_and_writes(
    kv_heads: int, share: str, unit: int, indexer: dict[str, int]
) -> None:
    raw = step(kv_heads, share, unit, **indexer)
    own = raw["indexer"]
    rows, sets = -(-KV_LEN // own["tokens"]), BATCH * kv_heads
    lists = BATCH * HEADS if share == "head" else sets
    traces = kernels(raw)
    assert list(traces) == ["write", "scan", "select", "attend"]
    assert touched(traces["scan"], "index", READ) == every(sets * rows * own["row_bytes"], lists // sets)
    assert touched(traces["scan"], "scores", WRITE) == every(lists * rows * 4)
    assert set(touched(traces["scan"], "index_q", READ)) == set(range(lists * own["heads"] * own["dim"]))
    assert touched(traces["select"], "scores", READ) == every(lists * rows * 4, own["passes"])
    entries = next(tensor.bytes for tensor in traces["attend"].tensors if tensor.name == "indices")
    assert touched(traces["select"], "indices", WRITE) == every(entries)
    assert set(touched(traces["attend"], "indices", READ)) == set(range(entries))
    row, token = DIM * 2, kv_heads * DIM * 2
    assert (
        sum(touched(traces["attend"], "K", READ).values()) == lists * (12 + KV_LEN % unit) * row
    )  # the newest tokens that are no whole unit are always read
    newest = [(sequence * KV_LEN + KV_LEN - 1) * token + i for sequence in range(BATCH) for i in range(token)]
    assert touched(traces["write"], "K", WRITE) == Counter(newest) == touched(traces["write"], "V", WRITE)
    assert len(touched(traces["write"], "index", WRITE)) == sets * own["row_bytes"]


def test_the_new_token_lies_where_its_page_lies() -> None:
    raw = step()
    paged = {"kind": "paged", "page": 4, "inner": "hnd", "placement": "shuffled", "seed": 2}
    raw["attention"] |= {"layout": paged}
    whole = {key: value for key, value in raw["attention"].items() if key != "selection"}
    read = touched(attention(parse_workload(whole), BUDGET), "K", READ)
    before = dict(whole, shape=whole["shape"] | {"kv_len": KV_LEN - 1})  # 36 tokens: the newest has a page of its own
    written = touched(kernels(raw)["write"], "K", WRITE)
    assert set(written) <= set(read)
    assert len(written) == BATCH * DIM * 2
    assert len(touched(attention(parse_workload(before), BUDGET), "K", READ)) == len(read) - len(written)


@pytest.mark.parametrize(
    ("example", "kv_len", "index", "rows"),
    [
        ("decode_dsa", 131072, 132 * 131072, 2048 * 656),
        ("decode_csa", 65536 // 4 + 128, 1.11e6, 0.67e6),
        ("decode_csa", 2**20 // 4 + 128, 17.83e6, 0.67e6),
        ("decode_nsa", 65536, 4 * 4094 * 640, 4 * (1024 + 512) * 640),
        ("decode_quest", 32768, 32 * 2048 * 512, 32 * 2048 * 512),
    ],
)
def test_bytes_of_a_step_are_those_of_the_sources(example: str, kv_len: int, index: float, rows: float) -> None:
    """DeepSeek V3.2: 132 and 656 B a token; V4-Pro: megabytes a layer; NSA: floor((s - l) / d) rows, 16 blocks
    of 64 and 512 tokens, in 4 groups; Quest: two keys for 16 tokens."""
    asked = load_any(EXAMPLES / f"{example}.yaml", {"attention.shape.kv_len": kv_len, "attention.kernel": None})
    assert isinstance(asked, SparseAttentionStep)
    traces = {trace.name: trace for trace in asked.kernels(Budget(cores=132, scratchpad_bytes=232448, max_programs=8))}
    scan, attend = traces["scan"], traces["attend"]
    read = {name: count_bytes(attend)[name][0] for name in asked.attention.shape.kv_tensors}
    assert count_bytes(scan)["index"][0] == pytest.approx(index, rel=0.01)
    assert sum(read.values()) == pytest.approx(rows, rel=0.01)


def test_kernels_of_a_step_share_one_memory() -> None:
    traces = kernels(step())
    assert len({trace.tensors for trace in traces.values()}) == 1
    ends = [(tensor.base, tensor.base + tensor.bytes) for tensor in traces["scan"].tensors]
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ends))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention": {"selection": None}}, "decode without selection"),
        ({"indexer": {"tokens": 5}}, "index rows of 5"),
    ],
)
def test_what_cannot_be_indexed_is_refused_in_one_line(change: dict[str, dict[str, Any]], message: str) -> None:
    raw = step()
    for name, values in change.items():
        raw[name] = raw[name] | values
    with pytest.raises(WorkloadError, match=message) as found:
        parse_any(raw)
    assert "\n" not in str(found.value)
