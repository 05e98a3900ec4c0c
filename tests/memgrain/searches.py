"""A small search shared by tests of `explore`, and the proposals of a study."""

from __future__ import annotations

from typing import Any

from memgrain.explore import Explored

SEARCH: dict[str, Any] = {
    "name": "small",
    "chips": ["toy"],
    "workload": "decode_topk",
    "set": {"shape.kv_len": 1024, "shape.kv_heads": 4},
    "space": {
        "shape.head_dim": [32, 64, 128],
        "selection.ratio": [0.05, 0.1, 0.2, 0.4],
        "chip.l2.ways": [4, 16],
    },
    "keep": [{"keys": ["shape.head_dim", "shape.q_heads"], "product": 1024}],
    "objectives": {"time_us": "minimise", "selection.ratio": "maximise"},
    "trials": 24,
}
"""24 points that take milliseconds."""


def proposals(found: Explored) -> list[tuple[dict[str, Any], tuple[float, ...]]]:
    return [(trial.overrides, trial.values) for trial in found.trials]
