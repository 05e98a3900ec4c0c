"""What the tests of this package share: a small sweep on the toy chip, the command in a process, rows made by hand."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.memgrain.searches import SEARCH

SMALL: dict[str, Any] = {
    "name": "small",
    "chips": ["toy"],
    "workload": "decode_topk",
    "set": {"shape.kv_len": 4096},
    "grid": {"shape.head_dim": [64, 96, 128], "selection.ratio": [0.05, 0.1]},
}


MEMGRAIN = [sys.executable, "-c", "from memgrain.cli import main; main()"]


@pytest.fixture
def small() -> dict[str, Any]:
    """A sweep of six points that take milliseconds."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def spec() -> dict[str, Any]:
    """A search over 24 points that take milliseconds."""
    return copy.deepcopy(SEARCH)


@pytest.fixture
def longer() -> dict[str, Any]:
    """A sweep of sixteen points that take a tenth of a second each, so that something can happen meanwhile."""
    return {
        "name": "longer",
        "chips": ["toy"],
        "workload": "decode_topk",
        "set": {"shape.kv_len": 131072},
        "grid": {"shape.head_dim": [64, 80, 96, 128], "chip.l2.ways": [2, 4, 8, 16]},
    }


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `memgrain` in a process of its own, in an empty folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MEMGRAIN, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **environment},
        )

    return run


@pytest.fixture
def memgrain() -> list[str]:
    """The command without relying on where it is installed."""
    return MEMGRAIN


@pytest.fixture
def rows_of() -> Callable[..., pd.DataFrame]:
    """Makes rows as a sweep writes them, with an effective bandwidth that dips at 96 on the first chip only."""
    return _rows


def _rows(chips: list[str], head_dims: list[int], ratios: list[float], lengths: list[int]) -> pd.DataFrame:
    rows = []
    for chip in chips:
        for length in lengths:
            for dim in head_dims:
                for ratio in ratios:
                    dip = 0.6 if dim == 96 and chip == chips[0] else 1.0
                    share = dip * min(0.95, 0.2 + dim / 512 + ratio / 4 + length / 2**23)
                    rows.append(
                        {
                            "id": f"{chip} {length} {dim} {ratio}",
                            "chip": chip,
                            "chip_title": f"Title of {chip}",
                            "workload": "decode_topk",
                            "before": "cold",
                            "time_us": 100.0 / share,
                            "effective_bandwidth_share": share,
                            "l2_hit_rate": None,
                            "bound": "hbm",
                            "l2.hits": dim * 10**6,
                            "overrides": ["shape.q_heads", "shape.head_dim", "selection.ratio", "shape.kv_len"],
                            "shape.q_heads": 64,
                            "shape.head_dim": dim,
                            "selection.ratio": ratio,
                            "shape.kv_len": length,
                        }
                    )
    return pd.DataFrame(rows)
