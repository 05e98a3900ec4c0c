"""The prefetch study: cases with and without benefit, and invalid requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from memgrain.analysis.prefetch import HITS, LEADS, study
from memgrain.cli import call
from memgrain.errors import MemgrainError
from memgrain.runs.options import RunOptions


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """A matrix product that a slow toy computes for longer than it reads, and a read of 256 KiB."""
    gemm = {"kind": "gemm", "name": "product", "m": 256, "n": 256, "k": 256, "dtype": "fp16", "out_dtype": "fp16"}
    gemm |= {"b_rows": "k", "block": [128, 128], "k_steps": [64, 64], "stages": 2}
    gemm |= {"deal": {"kind": "rectangles", "grid": [2, 2]}}
    read = {"kind": "matrix_read", "name": "read", "rows": 256, "columns": 512, "dtype": "fp16", "tile": [8, 512]}
    read |= {"programs": 8, "cores": "matmul", "order": "own", "rows_per_step": 8}
    for raw in (gemm, read, read | {"name": "stream", "rows": 4096}):
        (tmp_path / f"{raw['name']}.yaml").write_text(yaml.safe_dump(raw))
    return str(tmp_path / "product.yaml"), str(tmp_path / "read.yaml")


def test_beside_a_product_it_hides_and_beside_a_stream_it_hardly_can(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["prefetch", "toy", *pair, "--set", "core.clock=200 MHz", "--piece", "4096", "-j", "1", "-o", str(out)]
    assert call([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert "guesses have to be right" in said["verdict"][0]
    paying = study("toy", pair, piece=4096, sets=({"core.clock": "200 MHz"}, {}), options=RunOptions(out))
    assert paying.rows.to_dict("records") == said["rows"]
    table = paying.table()
    assert (paying.kernel, paying.tensors) == ("read", ("X",))
    assert table.shape == (len(HITS), len(LEADS))
    assert table.loc[1.0, 1.0] == table.min().min() < 0.95
    assert table.loc[0.0].min() > 0.98
    assert (out / "prefetch.png").read_bytes().startswith(b"\x89PNG")
    assert call(arguments) == 0
    shown = capsys.readouterr()
    assert "25 of 25 points have their rows already" in shown.err
    assert "time with prefetch / time without" in shown.out
    busy = study("toy", (str(tmp_path / "stream.yaml"), pair[1]), piece=4096, options=RunOptions(jobs=1))
    assert 1 - busy.table().min().min() < 0.5 * (1 - table.min().min())  # what the barrier between them leaves idle
    assert busy.table("traffic").loc[0.0].max() > 1.005


def test_what_nobody_reads_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MemgrainError, match="no kernel but the first reads W; the last workload's read"):
        study("toy", ["decode_topk"], ("W",))
    assert call(["prefetch", "toy", "decode_topk", "--tensor", "W"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
