"""Sensitivity: elasticities match known laws, and the ranking shows what to measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memgrain.cli import call
from memgrain.hwmodels import read_chip
from memgrain.runs.options import RunOptions
from memgrain.runs.task import Task
from memgrain.uncertainty.parameters import alone
from memgrain.uncertainty.sensitivity import DOWN, UP, Sensitivity, _steps, sensitivity

STREAM: dict[str, Any] = {
    "kind": "matrix_read",
    "name": "stream",
    "rows": 4096,
    "columns": 512,
    "dtype": "fp16",
    "tile": [8, 512],
    "programs": 8,
    "cores": "matmul",
    "order": "own",
    "rows_per_step": 8,
}
"""Four mebibytes, read once: 66 us at the toy's 64 GB/s."""
CHIP = """\
extends: toy
title: Mine
sources: {T: invented for tests}
launch_overhead: {value: 0 ns, kind: derived, source: T}
memory:
  - name: l2
    write_allocate: {value: true, kind: assumed, source: T, range: [false, true], reason: a choice}
  - name: hbm
    bandwidth: {value: 64 GB/s, kind: assumed, source: T, range: [32 GB/s, 64 GB/s], reason: what bounds the stream}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chip and a folder for its rows."""
    made = tmp_path_factory.mktemp("sensitivity")
    (made / "mine.yaml").write_text(CHIP)
    (made / "stream.yaml").write_text(json.dumps(STREAM))
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> Sensitivity:
    """A stream bound by the DRAM."""
    return sensitivity(Task(str(folder / "mine.yaml"), {}, STREAM, {}), options=RunOptions(folder))


def test_a_stream_follows_the_bandwidth_and_nothing_that_it_does_not_use(found: Sensitivity) -> None:
    effects = {item.path: item for item in found.effects}
    assert effects["hbm.bandwidth"].elasticity == pytest.approx(-1, abs=0.05)
    assert effects["hbm.bandwidth"].steps == ("60.8 GB/s", "67.2 GB/s")
    for unused in ("core.matmul.macs_per_cycle.bf16", "core.vector.exps_per_cycle", "hbm.capacity", "hbm.write_batch"):
        assert effects[unused].elasticity == 0
    others = [item for item in found.effects if item.kind == "derived" and item.path != "hbm.bandwidth"]
    assert all(abs(item.elasticity or 0) < 0.1 for item in others)


def test_what_has_a_range_and_tells_most_comes_first(found: Sensitivity) -> None:
    first = found.effects[0]
    assert (first.path, first.kind, first.source) == ("hbm.bandwidth", "assumed", "what bounds the stream")
    assert first.effect == pytest.approx(0.5, abs=0.05)  # at half the bandwidth it takes twice as long
    ranged = [item.effect for item in found.effects if item.effect is not None]
    rest = [abs(item.elasticity or 0) for item in found.effects if item.effect is None]
    assert ranged == sorted(ranged, reverse=True)
    assert rest == sorted(rest, reverse=True)
    assert [item.effect is None for item in found.effects] == [False] * len(ranged) + [True] * len(rest)


def test_every_number_is_told_or_says_why_not(found: Sensitivity, folder: Path) -> None:
    paths = [item.path for item in found.effects] + [path for path, _, _ in found.fixed]
    assert sorted(paths) == sorted(item.path for item in alone(read_chip(folder / "mine.yaml")))
    reasons = {path: reason for path, _, reason in found.fixed}
    assert reasons["launch_overhead"] == "is 0, of which no step is a share"
    assert "several partitions" in reasons["l2.partitions"]
    assert reasons["hbm.channel_hash"].startswith("a choice")
    choice = next(item for item in found.effects if item.path == "l2.write_allocate")
    assert (choice.elasticity, choice.effect) == (None, 0.0)


def test_steps_are_those_that_the_chip_admits(found: Sensitivity) -> None:
    steps = {item.path: item.steps for item in found.effects}
    assert steps["l2.line"] == ("64 B", "256 B")
    assert steps["l2.ways"] == (8, 32)
    assert steps["core.count"] == (3, 5)
    assert [*_steps("count", 1, UP)] == [2]
    assert [*_steps("count", 1, DOWN)] == []
    assert [*_steps("count", 2, DOWN)] == [1]
    assert next(_steps("real", 0.5, DOWN)) == 0.475
    assert next(_steps("duration", 764, UP)) == "802.2 ps"


def test_the_command_ranks_and_says_what_it_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sensitivity", str(folder / "mine.yaml"), str(folder / "stream.yaml"), "-o", str(folder)]
    assert call(arguments) == 0
    shown = capsys.readouterr()
    assert "points have their rows already" in shown.err
    lines = shown.out.splitlines()
    assert "numbers with a range: what to measure" in shown.out
    (first,) = [line for line in lines if line.startswith("hbm.bandwidth ")]
    assert first.split()[:5] == ["hbm.bandwidth", "64", "GB/s", "assumed", "32"]
    assert max(map(len, lines[lines.index(first) - 1 : -3])) <= 120
    assert "more without effect (--all lists them)" in shown.out
    assert "launch_overhead = 0 ns: is 0, of which no step is a share" in shown.out
    assert call([*arguments, "--metric", "nothing"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
