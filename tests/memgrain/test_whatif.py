"""What-ifs: each change sets what it describes, moves the time in the physical direction, and reports if it does not
apply."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from memgrain.analysis.whatif import CHANGES, what_if
from memgrain.runs.options import RunOptions
from memgrain.runs.task import Task

CHIPS = ("h100_sxm", "a100_sxm", "ascend_910b1", "mlu370_x8", "tpu_v5p")
"""GPUs with a cache in halves, a chip of DMA engines with a cache, one without, and one of few large cores."""


def test_every_change_is_answered_or_says_why_not() -> None:
    found = what_if(Task("toy", {}, "decode_topk", {"shape.kv_len": 4096}), RunOptions(jobs=1))
    assert [item.change for item in found] == list(CHANGES)
    for item in found:
        assert (item.after is None) == (item.effect is None) == (item.plausible is None)
        assert item.reason
        if item.after is None:
            assert item.refusal.startswith(("does not apply", "refused"))
        else:
            keys = {f"chip.{key}" for key in item.settings.chip} | set(item.settings.workload)
            assert set(item.after["overrides"]) == keys | {"shape.kv_len"}


def test_a_stream_that_waits_for_memory_gains_from_bandwidth_alone() -> None:
    found = {
        item.change.name: item
        for item in what_if(Task("toy", {}, "decode_dense", {"shape.kv_len": 65536}), RunOptions(jobs=1))
    }
    effect = found["twice the memory bandwidth"].effect
    assert effect is not None
    assert effect < -0.25
    assert found["half the last cache"].effect == pytest.approx(0, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["decode_dense", "decode_topk"])
@pytest.mark.parametrize("chip", CHIPS)
def test_what_ifs_move_as_physics_lets_them(chip: str, workload: str) -> None:
    found = what_if(Task(chip, {}, workload, {"shape.kv_len": 65536}))
    against = [f"{item.change.name}: {item.effect:+.1%}" for item in found if item.plausible is False]
    assert not against
    answered = {item.change.name for item in found if item.after is not None}
    assert answered >= {"twice the memory bandwidth", "twice the cores", "half the core clock", "twice the splits"}


def test_the_command_prints_every_change(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    asked = ("whatif", "toy", "decode_topk", "--set", "shape.kv_len=4096", "-j", "1")
    shown = command(*asked)
    assert shown.returncode == 0
    assert all(change.name in shown.stdout for change in CHANGES)
    records = json.loads(command(*asked, "--json").stdout)
    assert [record["change"] for record in records] == [change.name for change in CHANGES]
