"""Useful work is the algorithm's: pairs counted from a mask, the same for every kernel, tiling, layout and chip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain.workloads import Budget, Workload, attention, count_exps, count_issued_macs, count_macs, parse_workload
from memgrain.workloads.trace import count

CHIPS = (Budget(3, 65536, 2), Budget(132, 228 << 10, 32), Budget(24, 192 << 10, 1))
PATTERNS: dict[str, dict[str, Any]] = {
    "dense": {"kind": "dense"},
    "causal": {"kind": "causal"},
    "sliding_window": {"kind": "sliding_window", "window": 13, "sinks": 3},
    "block_sparse": {"kind": "block_sparse", "block": 8},
    "hierarchical": {"kind": "hierarchical", "window": 10, "sinks": 2},
    "vertical_slash": {"kind": "vertical_slash", "slashes": 3, "reach": 32, "block": 8, "seed": 1},
}
CHOOSING = ("block_sparse", "hierarchical", "vertical_slash")
SELECTIONS: list[dict[str, Any]] = [
    {"kind": "random", "ratio": 0.4},
    {"kind": "random", "tokens": 12, "share": "all"},
    {"kind": "columns", "every": 5, "share": "head"},
    {"kind": "local", "ratio": 0.2, "share": "group"},
]


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """An attention call without a kernel."""
    pattern, phase = draw(st.sampled_from(sorted(PATTERNS))), draw(st.sampled_from(["decode", "prefill"]))
    group, kv_heads, kv_len = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 150))
    q_len = draw(st.integers(1, min(kv_len, 8))) if phase == "decode" else draw(st.integers(1, kv_len))
    q_len = 1 if pattern == "vertical_slash" and phase == "decode" else q_len
    shape = {"batch": draw(st.integers(1, 2)), "q_heads": group * kv_heads, "kv_heads": kv_heads}
    shape |= {"q_len": q_len, "kv_len": kv_len, "head_dim": draw(st.sampled_from([8, 24])), "head_dim_v": 16}
    raw = {"kind": "attention", "name": "call", "phase": phase, "shape": shape, "dtype": "bf16"}
    raw |= {"pattern": PATTERNS[pattern], "layout": {"kind": "bsnd"}}
    if pattern in CHOOSING or draw(st.booleans()):
        raw["selection"] = draw(st.sampled_from(SELECTIONS))
        if pattern == "block_sparse":
            raw["selection"] = SELECTIONS[0]
    return raw


def pairs(call: Workload) -> int:
    """Pairs of a query and a token that it reads in all heads, from the pattern's mask; each query chooses alone."""
    shape, total = call.shape, 0
    for query in range(shape.q_len):
        start, stop = call.visits(query, query + 1).candidates
        read = np.ones(shape.kv_len, bool)
        if call.selection is not None and start < stop:
            read[start:stop] = False
            first = call.selection.choose(0, 0, query, (start, stop), call.unit)
            read[(first[:, None] + np.arange(call.unit)).ravel()] = True
        total += int(call.pattern.mask(shape, read)[query].sum())
    return total * shape.batch * shape.q_heads


@settings(max_examples=150, deadline=None)
@given(calls(), st.sampled_from(CHIPS), st.data())
def test_useful_work_is_the_pairs_of_the_mask(raw: dict[str, Any], chip: Budget, data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from([{"kind": "bnsd"}, {"kind": "paged", "page": 4, "inner": "hnd"}]))
    tiling: dict[str, Any] = {"block_kv": data.draw(st.sampled_from([8, 32])), "pad_head_dim": "pow2"}
    tiling |= {"whole_rows": data.draw(st.booleans()), "pack_group": data.draw(st.booleans())}
    tiling["block_q"] = data.draw(st.sampled_from([4, 8])) if raw["pattern"]["kind"] == "vertical_slash" else 16
    call = parse_workload(raw | {"layout": layout, "tiling": tiling})
    trace, wanted = attention(call, chip), pairs(call)
    assert (count_macs(trace), count_exps(trace)) == (wanted * (call.shape.head_dim + 16), wanted)
    assert count_issued_macs(trace) >= count_macs(trace)
    assert count(trace).issued_exps >= count_exps(trace)


KERNELS = {
    "decode": ("triton_gt_decode", "fa2_decode", "fa3_decode", "cudnn_sdpa_decode", "ascend_fia_decode"),
    "prefill": ("triton_gt_prefill", "fa2_prefill", "fa3_prefill", "cudnn_sdpa", "ascend_fia_prefill"),
}


@pytest.mark.parametrize("pattern", ["dense", "causal", "sliding_window"])
@pytest.mark.parametrize(("phase", "q_len"), [("decode", 1), ("decode", 5), ("prefill", 300)])
def test_no_kernel_changes_the_useful_work_nor_the_compulsory_bytes(pattern: str, phase: str, q_len: int) -> None:
    shape = {"batch": 2, "q_heads": 12, "kv_heads": 2, "q_len": q_len, "kv_len": 515, "head_dim": 80}
    raw = {"kind": "attention", "name": "call", "phase": phase, "shape": shape, "dtype": "bf16"}
    raw |= {"pattern": PATTERNS[pattern], "layout": {"kind": "bsnd"}}
    plain = parse_workload(raw)
    traces = [attention(plain, chip) for chip in CHIPS]
    traces += [attention(parse_workload(raw | {"kernel": kernel}), CHIPS[1]) for kernel in KERNELS[phase]]
    assert {count_macs(trace) for trace in traces} == {pairs(plain) * 160}
    assert {count_exps(trace) for trace in traces} == {pairs(plain)}
    assert len({count_issued_macs(trace) for trace in traces}) > 1
    assert len({(trace.useful_bytes, trace.index_bytes, trace.written_bytes) for trace in traces}) == 1


def test_flashmla_multiplies_v_as_wide_as_it_is() -> None:
    shape = {"batch": 16, "q_heads": 128, "kv_heads": 1, "q_len": 1, "kv_len": 16384, "head_dim": 576}
    raw = {"kind": "attention", "name": "mla", "phase": "decode", "dtype": "bf16", "kernel": "flashmla"}
    raw |= {"shape": shape | {"head_dim_v": 512, "v_in_k": True}, "pattern": {"kind": "dense"}}
    trace = attention(parse_workload(raw | {"layout": {"kind": "paged", "page": 64, "inner": "nhd"}}), CHIPS[1])
    assert count_macs(trace) == count_issued_macs(trace) == 36_507_222_016


def test_compulsory_entries_are_those_of_what_is_read() -> None:
    """Of a block table the entries of the pages in the window, of a list one for each unit that is chosen."""
    shape = {"batch": 3, "q_heads": 4, "kv_heads": 2, "q_len": 1, "kv_len": 1000, "head_dim": 8}
    raw = {"kind": "attention", "name": "call", "phase": "decode", "shape": shape, "dtype": "bf16"}
    paged = {"pattern": PATTERNS["sliding_window"], "layout": {"kind": "paged", "page": 16, "inner": "hnd"}}
    assert attention(parse_workload(raw | paged), CHIPS[0]).index_bytes == 3 * 4 * (1 + 2)  # sinks, and 987 to 999
    chosen = {"selection": {"kind": "random", "tokens": 64, "unit": 16, "share": "group"}}
    listed = {"pattern": {"kind": "dense"}, "layout": {"kind": "bsnd"}} | chosen
    assert attention(parse_workload(raw | listed), CHIPS[0]).index_bytes == 3 * 2 * 4 * (64 // 16)
