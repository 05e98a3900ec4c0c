"""`memgrain curve`: what it prints, draws and refuses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from memgrain.analysis.curve import ALL, miss_ratios
from memgrain.plots.curve import curves

Command = Callable[..., subprocess.CompletedProcess[str]]
SMALL = ("toy", "decode_mla", "--set", "shape.kv_len=1024", "--set", "l2.capacity=256 KiB")


@pytest.mark.slow
def test_table_figure_and_json_say_the_same(command: Command, tmp_path: Path) -> None:
    said = command("curve", *SMALL, "--axis", "ways", "-o", "drawn")
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "drawn" / "curve.png").stat().st_size > 10_000
    found = json.loads(command("curve", *SMALL, "--axis", "ways", "--json").stdout)
    own = [point for point in found["points"] if point["own"]]
    assert [point["ways"] for point in own] == [16]
    assert own[0]["miss_ratio"][ALL] == pytest.approx(found["simulated"])
    line = next(line for line in said.stdout.splitlines() if line.rstrip().endswith(" l2"))
    assert f"{100 * found['simulated']:.2f}" in line
    assert "256 KiB" in line


def test_a_sample_has_errors_and_bands() -> None:
    found = miss_ratios("toy", "decode_mla", rate=0.2, sets=({}, {"shape.kv_len": 1024}))
    rows = found.rows()
    assert all(row["error"][ALL] >= 0 for row in rows)
    assert any(row["error"][ALL] > 0 for row in rows)
    axis = curves(found).axes[0]
    assert len(axis.collections) > 0
    assert "all" in [line.get_label() for line in axis.lines]


def test_lines_of_the_figure_pass_through_the_table() -> None:
    found = miss_ratios("toy", "decode_mla", sets=({}, {"shape.kv_len": 1024}))
    table, drawn = found.capacities(), found.drawn()
    assert set(table) <= set(drawn)
    assert found.curve.own in table
    assert 10 <= len(table) <= 14
    assert (np.diff(found.ratios(drawn)[-1]) <= 0).all()
    axis = curves(found).axes[0]
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert all(label.endswith("iB") for label in labels)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mlu370_x4", "decode_topk"), "line '128 B'"),
        (("mlu370_x4", "decode_topk", "--line", "100 B"), "power of two"),
        (("mlu370_x4", "decode_topk", "--line", "128 B", "--axis", "ways"), "its sets, 4096"),
        (("toy", "decode_topk", "--line", "128"), "line: expected a size"),
        (("toy", "decode_topk", "--line", "128 B"), "override l2.line"),
        (("toy", "decode_topk", "--axis", "size"), "capacity, ways"),
        (("toy", "decode_topk", "--sampled", "2"), "up to 1"),
    ],
)
def test_errors_are_one_line_with_the_mend(arguments: tuple[str, ...], said: str, command: Command) -> None:
    found = command("curve", *arguments)
    assert found.returncode == 2
    assert said in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
