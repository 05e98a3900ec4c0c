"""Small workloads over all axes, for properties that hold for every chip."""

from __future__ import annotations

from itertools import product

from memgrain import hwmodels
from memgrain.workloads import Budget, Trace, attention, parse_workload

PATTERNS = {
    "dense": {"pattern": {"kind": "dense"}},
    "topk": {"pattern": {"kind": "dense"}, "selection": {"kind": "random", "ratio": 0.1}},
    "causal": {"pattern": {"kind": "causal"}},
    "sliding_window": {"pattern": {"kind": "sliding_window", "window": 200}},
    "block_sparse": {
        "pattern": {"kind": "block_sparse", "block": 64},
        "selection": {"kind": "random", "ratio": 0.25},
    },
    "hierarchical": {
        "pattern": {"kind": "hierarchical", "window": 128},
        "selection": {"kind": "random", "ratio": 0.05},
    },
}
LAYOUTS = {"bnsd": {"kind": "bnsd"}, "bsnd": {"kind": "bsnd"}, "paged": {"kind": "paged", "page": 16, "inner": "hnd"}}
PHASES = ("decode", "prefill")
CASES = list(product(PATTERNS, LAYOUTS, PHASES))


def budget(chip: hwmodels.Chip) -> Budget:
    """What the chip offers to a program."""
    assert chip.scratchpad is not None
    return Budget(chip.matmul_core.count, chip.scratchpad.capacity, chip.matmul_core.max_programs or 1)


def trace_of(
    chip: hwmodels.Chip,
    pattern: str,
    layout: str,
    phase: str,
    head_dim: int = 96,
    dtype: str = "bf16",
    kv_len: int = 640,
    **tiling: object,
) -> Trace:
    """A workload of two kv heads and some hundred tokens on `chip`."""
    shape = {"batch": 1, "q_heads": 4, "kv_heads": 2, "head_dim": head_dim, "kv_len": kv_len}
    shape["q_len"] = 1 if phase == "decode" else kv_len // 2
    raw = {
        "kind": "attention", "name": f"{pattern}_{layout}_{phase}", "phase": phase, "shape": shape, "dtype": dtype,
        "layout": LAYOUTS[layout], "tiling": tiling, **PATTERNS[pattern],
    }  # fmt: skip
    return attention(parse_workload(raw), budget(chip))
