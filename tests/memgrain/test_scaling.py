"""The scaling study: exponents of known laws, and the result on a chip."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from memgrain.analysis.scaling import COSTS, MECHANISMS, Scaling, scaling
from memgrain.errors import MemgrainError
from memgrain.runs.options import RunOptions


def test_exponents_of_known_laws_come_back() -> None:
    contexts = [1 << power for power in (12, 16, 18, 20)]
    rows = [
        {"mechanism": "m", "context": n, "read_bytes": 3 * n, "operations": n**0.5, "time_us": 7.0} for n in contexts
    ]
    line = Scaling(pd.DataFrame(rows)).exponents().iloc[0]
    assert [line[cost] for cost in COSTS] == pytest.approx([1.0, 0.5, 0.0], abs=1e-9)


def test_what_reads_everything_grows_as_the_context_and_a_window_does_not(tmp_path: Path) -> None:
    found = scaling("toy", [1 << 16, 1 << 17], options=RunOptions(tmp_path, 1))
    assert found.rows.groupby("mechanism").size().to_dict() == {mechanism.name: 2 for mechanism in MECHANISMS}
    exponents = found.exponents().set_index("mechanism")["read_bytes"]
    assert exponents["dense"] == pytest.approx(1.0, abs=0.02)
    assert exponents["window 4K"] == pytest.approx(0.0, abs=0.02)
    assert 0.5 < exponents["hierarchical (article)"] < 1.0
    assert exponents["DSA"] > 0.8
    assert exponents["StreamingLLM"] == pytest.approx(0.0, abs=0.02)
    assert exponents["H2O"] == pytest.approx(1.0, abs=0.02)
    at = found.rows.set_index(["mechanism", "context"])["read_bytes"].to_dict()
    scanned, searched = (at[f"article, {way}", 1 << 17] - at[f"article, {way}", 1 << 16] for way in ("scan", "tree"))
    chosen = 0.05 * (1 << 16) * 2 * 8 * 96 * 2  # bytes of K and V that the longer context adds, whatever the search
    assert scanned - searched > 0.9 * 132 * (1 << 16)
    assert searched > 0.9 * chosen
    again = scaling("toy", [1 << 16, 1 << 17], options=RunOptions(tmp_path, 1))
    assert again.rows.equals(found.rows)


def test_a_context_within_the_window_is_refused(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    with pytest.raises(MemgrainError, match="1024 is below 4096"):
        scaling("toy", [1024])
    assert command("scaling", "toy", "--context", "1024").returncode == 2
