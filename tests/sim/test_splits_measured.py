"""The decode kernel by splits on an H200, a chip and splits that nothing was fitted to: hwmodels/measurements."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from memgrain.runs.task import Task

FILE = Path("measurements/h200_splits.csv")


def predicted(row: dict[str, str]) -> float:
    """The predicted time in microseconds."""
    tokens, splits = int(row["tokens"]), int(row["splits"])
    shape = {"q_heads": 64, "kv_heads": 8, "kv_len": tokens, "head_dim": int(row["head_dim"])}
    settings = {f"shape.{name}": value for name, value in shape.items()}
    task = Task("h200_sxm", {}, "decode_dense", {**settings, "kernel": "triton", "tiling.splits": splits})
    return task.resolve().simulate().time / 1e6


@pytest.mark.slow
def test_splits_cost_what_they_cost_on_an_h200() -> None:
    """Rows of the kernel's own tiles and stages, those that validation rows have."""
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["block_n"], row["num_stages"]) == ("64", "3")]
    found = {(row["head_dim"], row["tokens"], int(row["splits"])): predicted(row) for row in rows}
    measured = {(row["head_dim"], row["tokens"], int(row["splits"])): float(row["event_us"]) for row in rows}
    errors = [found[key] / measured[key] - 1 for key in found]
    assert np.mean(np.abs(errors)) < 0.08
    assert np.max(np.abs(errors)) < 0.25
    for call in {key[:2] for key in found}:
        quickest = min((key for key in found if key[:2] == call), key=lambda key: found[key])
        assert measured[quickest] <= 1.06 * min(time for key, time in measured.items() if key[:2] == call)
