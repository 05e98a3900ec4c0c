"""Attention with more queries than keys: every pair is counted, bounds hold, and both engines agree."""

from __future__ import annotations

from typing import Any

import pytest

from memgrain.runs.task import Task
from memgrain.sim import LOOPS, simulate
from memgrain.workloads import WorkloadError
from memgrain.workloads.trace import count_bytes, count_macs

CROSS: dict[str, Any] = {
    "kind": "attention",
    "name": "cross",
    "phase": "prefill",
    "dtype": "fp16",
    "shape": {"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 700, "kv_len": 77, "head_dim": 64},
    "pattern": {"kind": "dense"},
    "layout": {"kind": "bsnd"},
}


@pytest.mark.parametrize("chip", ["toy", "h100_sxm", "ascend_910b2", "mlu370_x4"])
@pytest.mark.parametrize(
    "changes", [{}, {"kernel": "auto"}, {"phase": "decode"}, {"selection": {"kind": "random", "tokens": 16}}]
)
def test_every_query_meets_every_key(chip: str, changes: dict[str, Any]) -> None:
    point = Task(chip, {}, {**CROSS, **changes}, {}).resolve()
    (trace,) = point.kernels()
    keys = 16 if "selection" in changes else 77
    assert count_macs(trace) == 2 * (2 * 4 * 700 * keys * 64)
    assert count_bytes(trace)["O"][1] == 2 * 4 * 700 * 64 * 2
    compiled, simpy = (simulate(point.chip, trace, loop=loop) for loop in LOOPS)
    assert compiled == simpy
    assert compiled.time >= compiled.bounds.time


@pytest.mark.parametrize("pattern", [{"kind": "causal"}, {"kind": "sliding_window", "window": 8}])
def test_queries_with_a_position_must_lie_in_the_context(pattern: dict[str, Any]) -> None:
    with pytest.raises(WorkloadError) as refused:
        Task("toy", {}, {**CROSS, "pattern": pattern}, {}).resolve()
    assert f"q_len 700 exceeds kv_len 77, and under pattern {pattern['kind']} the context" in str(refused.value)
    assert "set pattern.kind: dense" in str(refused.value)
