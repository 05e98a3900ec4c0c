"""Query rows of several tokens, packed into programs: each is read, merged and written once, by the kernel's rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memgrain.workloads import Budget, Trace, attention, count_bytes, count_issued_macs, expand, parse_workload
from memgrain.workloads.kernels.deal import OVERHEAD, deal, splits_of
from memgrain.workloads.trace import READ, WRITE

BUDGET = Budget(7, 65536, 2)
H100 = Budget(132, 228 << 10, 32)


def times_touched(trace: Trace, name: str, op: int) -> NDArray[np.int64]:
    """How often each byte of a tensor is read or written."""
    tensor = next(tensor for tensor in trace.tensors if tensor.name == name)
    pieces = expand(trace)
    mine = pieces[(pieces["tensor"] == trace.tensors.index(tensor)) & (pieces["op"] == op)]
    counts = np.zeros(tensor.bytes, np.int64)
    for begin, size in zip(mine["address"].astype(np.int64) - tensor.base, mine["bytes"], strict=True):
        counts[begin : begin + int(size)] += 1
    return counts


@st.composite
def drafts(draw: st.DrawFn) -> dict[str, Any]:
    """A small decode of some new tokens, split or dealt, with or without pages."""
    kv_heads, group = draw(st.integers(1, 2)), draw(st.integers(1, 5))
    shape = {"batch": draw(st.integers(1, 4)), "q_heads": kv_heads * group, "kv_heads": kv_heads}
    shape |= {"q_len": draw(st.integers(1, 5)), "kv_len": draw(st.integers(5, 70)), "head_dim": 8, "head_dim_v": 4}
    tiling = {"block_kv": 8, "block_q": draw(st.integers(1, 12)), "pack_group": draw(st.booleans())}
    dealt = draw(st.booleans())
    tiling |= {"splits": 1, "parts": draw(st.integers(1, 9))} if dealt else {"splits": draw(st.integers(1, 4))}
    tiling["merge"] = {"rows": draw(st.integers(1, 9)), "columns": draw(st.sampled_from([2, 4]))}
    layouts = [{"kind": "bnsd"}, {"kind": "bsnd"}, {"kind": "paged", "page": 4, "inner": "hnd"}]
    raw = {"kind": "attention", "name": "drafts", "phase": "decode", "shape": shape, "dtype": "bf16"}
    raw |= {"pattern": {"kind": "causal"}, "layout": draw(st.sampled_from(layouts)), "tiling": tiling}
    if draw(st.booleans()):
        raw["selection"] = {"kind": "random", "ratio": 0.5, "share": draw(st.sampled_from(["head", "group", "all"]))}
    return raw


@settings(max_examples=120, deadline=None)
@given(drafts())
def test_every_row_is_read_merged_and_written_once(raw: dict[str, Any]) -> None:
    trace, shape, tiling = attention(parse_workload(raw), BUDGET), raw["shape"], raw["tiling"]
    moved, sizes = count_bytes(trace), {tensor.name: tensor.bytes for tensor in trace.tensors}
    assert set(times_touched(trace, "O", WRITE)) == {1}
    assert times_touched(trace, "Q", READ).min() >= 1
    if "partial" in sizes:
        written, read = (times_touched(trace, "partial", op) for op in (WRITE, READ))
        assert set(written) <= {0, 1}
        assert np.array_equal(written > 0, read > 0)
        assert moved["partial"][1] == np.count_nonzero(written)
        sums = moved["partial"][1] // (shape["head_dim_v"] + 1) * shape["head_dim_v"]
        assert np.count_nonzero(read == 1) >= sums  # each stretch of columns reads the log-sum-exps of its rows
    own = raw.get("selection", {}).get("share") == "head"
    heads = shape["q_heads"] // shape["kv_heads"] if tiling["pack_group"] and not own else 1
    blocks = -(-heads * shape["q_len"] // tiling["block_q"])
    rows = shape["batch"] * shape["q_heads"] // heads * blocks
    tokens = int(parse_workload(raw).list_sizes(0, shape["q_len"])[1]) or shape["kv_len"]
    assert moved["K"][0] == rows * tokens * 16


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 80))
def test_a_deal_gives_every_tile_to_one_program_in_order(sequences: int, tiles: int, parts: int) -> None:
    dealt = deal(sequences, tiles, parts)
    walked = [(s.sequence, tile) for own in dealt for s in own for tile in range(s.first, s.last)]
    assert walked == [(sequence, tile) for sequence in range(sequences) for tile in range(tiles)]
    assert len(dealt) == parts
    payload = -(-sequences * (tiles + OVERHEAD) // parts) + OVERHEAD
    assert max(sum(s.last - s.first + OVERHEAD for s in own) for own in dealt) <= payload
    for sequence, splits in enumerate(splits_of(dealt)):
        mine = [s.split for own in dealt for s in own if s.sequence == sequence]
        assert mine == list(range(splits))


def programs(kernel: str, q_len: int, q_heads: int, kv_heads: int, **shape: object) -> tuple[int, int]:
    """Programs of a sequence that walk K, and rows that they multiply (a tile's)."""
    raw: dict[str, Any] = {"kind": "attention", "name": "call", "phase": "decode", "dtype": "bf16", "kernel": kernel}
    whole = {"batch": 1, "q_heads": q_heads, "kv_heads": kv_heads, "q_len": q_len, "kv_len": 64, "head_dim": 128}
    raw |= {"shape": whole | shape, "pattern": {"kind": "causal"}, "layout": {"kind": "bsnd"}}
    if kernel in ("flashmla", "vllm"):
        raw["layout"] = {"kind": "paged", "page": 64 if kernel == "flashmla" else 16, "inner": "nhd"}
        raw["dtype"] = "bf16" if kernel == "flashmla" else "fp16"
    trace = attention(parse_workload(raw), H100)
    wide = whole["head_dim"] + (shape.get("head_dim_v") or 128) if not shape else 576 + 512
    tokens = sum(int((c.steps["n1"] * c.steps["repeats"]).sum()) for c in trace.chunks() if not c.barrier)
    read = count_bytes(trace)["K"][0] // (64 * 2 * int(shape.get("head_dim", 128)))
    return read, count_issued_macs(trace) * read // (tokens * wide)


LATENT = {"head_dim": 576, "head_dim_v": 512, "v_in_k": True}


def test_kernels_pack_as_their_sources_do() -> None:
    assert programs("flashmla", 1, 64, 1, **LATENT) == (1, 64)
    assert programs("flashmla", 3, 64, 1, **LATENT) == (3, 192)
    assert programs("flashmla", 3, 40, 1, **LATENT) == (2, 128)  # 120 rows: seqlen_q x heads, blocks of 64
    assert programs("fa3", 1, 8, 1) == (1, 64)
    assert programs("fa3", 8, 8, 1) == (1, 64)  # PackGQA: 64 rows fit one warpgroup's tile
    assert programs("fa3", 17, 8, 1) == (2, 256)  # 136 rows in tiles of 128
    assert programs("fa2", 1, 8, 1)[0] == 1  # heads become rows of one query token alone
    assert programs("fa2", 3, 8, 1)[0] == 8
    assert programs("vllm", 3, 8, 1) == (24, 24)


@pytest.mark.parametrize(("tokens", "rows"), [(1, 12), (3, 36), (16, 192)])
def test_without_a_kernel_all_rows_of_a_group_are_packed(tokens: int, rows: int) -> None:
    shape = {"batch": 1, "q_heads": 24, "kv_heads": 2, "q_len": tokens, "kv_len": 64, "head_dim": 32}
    raw = {"kind": "attention", "name": "call", "phase": "decode", "dtype": "bf16", "shape": shape}
    trace = attention(parse_workload(raw | {"pattern": {"kind": "dense"}, "layout": {"kind": "bsnd"}}), H100)
    assert count_bytes(trace)["K"][0] == 2 * 64 * 32 * 2 * -(-rows // 128)
    assert count_issued_macs(trace) == 2 * rows * 64 * 64
