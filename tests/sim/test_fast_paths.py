"""A simulation with the caches' fast paths gives the result of one that looks up every line by itself."""

from __future__ import annotations

from typing import Any

import pytest

from memgrain.runs.task import Task
from memgrain.sim import simulate_sequence

CHUNK = {"shape.kv_len": 768, "shape.q_len": 640}


@pytest.mark.parametrize(
    ("chip", "workload", "changes", "before"),
    [
        ("h100_sxm", "decode_dense", {"shape.kv_len": 3000}, "cold"),
        ("h100_sxm", "prefill_causal", CHUNK, "dirty"),
        ("ascend_910b2", "prefill_causal", CHUNK, "warm"),
        ("h100_sxm", "decode_topk", {"shape.kv_len": 3000}, "cold"),
    ],
)
@pytest.mark.parametrize("policy", ["lru", "fifo", "plru", "srrip"])
def test_fast_paths_change_nothing(chip: str, workload: str, changes: dict[str, Any], before: str, policy: str) -> None:
    point = Task(chip, {"l2.replacement": policy}, workload, changes, before).resolve()
    fast, slow = (
        simulate_sequence(point.chip, point.kernels(), point.before, fast_paths=fast_paths)
        for fast_paths in (True, False)
    )
    assert fast == slow
