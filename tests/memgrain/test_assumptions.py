"""The interval of a chip's assumptions equals that of runs at the ends of its ranges."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memgrain.cli import call
from memgrain.hwmodels import read_chip
from memgrain.runs.task import Task
from memgrain.uncertainty.assumptions import over_assumptions

SHORT: dict[str, Any] = {"shape.kv_len": 2048, "shape.q_heads": 8, "shape.kv_heads": 1}
KNOWN: dict[str, Any] = {"ipu.count": 4, "lpddr.channels": 4, "lpddr.bandwidth": "51.2 GB/s"}
"""A chip that is simulated quickly."""


def test_each_assumed_number_is_run_at_both_ends_and_all_together() -> None:
    found = over_assumptions(Task("mlu370_x4", KNOWN, "decode_topk", SHORT))
    chip = read_chip("mlu370_x4", KNOWN)
    assert {item.path for item in found.numbers} == {p.path for p in chip.provenance.values() if p.kind == "assumed"}
    times = [time for item in found.numbers for time in item.values if time is not None]
    assert found.fastest_us <= min(times)
    assert found.slowest_us >= max(times)
    startup = next(item for item in found.numbers if item.path == "nram.dma_startup")
    ends = ({**KNOWN, "nram.dma_startup": end} for end in ("25 ns", "500 ns"))
    assert startup.values == tuple(Task("mlu370_x4", end, "decode_topk", SHORT).run()["time_us"] for end in ends)


def test_the_command_prints_the_interval(capsys: pytest.CaptureFixture[str]) -> None:
    sets = [word for key, value in {**KNOWN, **SHORT}.items() for word in ("--set", f"{key}={value}")]
    assert call(["run", "mlu370_x4", "decode_topk", *sets, "--assumptions"]) == 0
    shown = capsys.readouterr().out
    assert "every assumed number at its faster end" in shown
    assert "nram.dma_startup" in shown
    assert call(["run", "mlu370_x4", "decode_topk", *sets, "--assumptions", "--json"]) == 0
    assert {"time_us", "numbers", "fastest_us", "slowest_us"} == set(json.loads(capsys.readouterr().out))
