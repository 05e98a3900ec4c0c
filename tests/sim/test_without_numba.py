"""The hot loops as plain Python: every counter of small points is that of the compiled run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from memgrain.runs.task import Task
from memgrain.sim import simulate, simulate_sequence

SMALL = {"shape.kv_len": 256, "shape.batch": 1}
POINTS: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("toy", "decode_dense", SMALL, "cold"),
    ("toy", "decode_topk", SMALL, "dirty"),
    ("toy", "decode_dense", {**SMALL, "tiling.splits": 2}, "warm"),
    ("ascend_910b2", "decode_topk", SMALL, "cold"),
    ("ascend_950pr", "decode_dense", SMALL, "cold"),
    ("mlu370_x8", "decode_paged", SMALL, "cold"),
)


def counters() -> list[dict[str, int]]:
    """The time, counters and breakdown of every point."""
    found = []
    for chip, workload, changes, before in POINTS:
        point = Task(chip, {}, workload, changes, before).resolve()
        kernels = point.kernels()
        if len(kernels) == 1:
            result = simulate(point.chip, kernels[0], point.before)
        else:
            result = simulate_sequence(point.chip, kernels, point.before)
        found.append({"time": result.time, **result.counters, **result.breakdown})
    return found


@pytest.mark.slow
def test_plain_python_counts_the_same() -> None:
    program = "import json; from tests.sim import test_without_numba as test; print(json.dumps(test.counters()))"
    command = [sys.executable, "-c", program]
    run = subprocess.run(
        command, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False, timeout=600
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == counters()
