"""Every name that a result shows can be explained: parts of the time, bounds, limits, causes, levels, counters."""

from __future__ import annotations

import json

import pytest

from memgrain.analysis.explain import explain
from memgrain.cli import call
from memgrain.runs.task import Task
from memgrain.sim import METRICS
from memgrain.sim.breakdown.glossary import CAUSE_MEANINGS, meaning
from memgrain.sim.breakdown.terms import TERMS
from memgrain.workloads import Workload, known_keys
from tests.glossary_document import GLOSSARY, document

SHORT = {"shape.kv_len": 2048}
POINTS = [
    ("ascend_910b1", "decode_topk", SHORT),
    ("mlu370_x8", "decode_paged", SHORT),
    ("h100_sxm", "decode_topk", SHORT),
    ("tpu_v5p", "decode_dense", SHORT),
    ("h100_sxm", "decode_dsa", {"attention.shape.kv_len": 4096}),
]


@pytest.mark.parametrize(("chip", "workload", "settings"), POINTS)
def test_every_name_of_a_result_has_a_meaning(chip: str, workload: str, settings: dict[str, int]) -> None:
    point = Task(chip, {}, workload, settings).resolve()
    result = point.simulate()
    shown = [key for key in result.row() if "." in key and not key.startswith("kernel.")]
    names = {*shown, *result.breakdown, *result.causes, *result.limits, *result.bounds.items}
    names |= {key.split(".")[0] for key in result.counters}
    missing = [name for name in sorted(names - set(METRICS)) if name != "core" and meaning(name, point.chip) is None]
    assert not missing
    for name in result.causes:
        said = meaning(name, point.chip)
        assert said is not None
        assert said.change, name


def test_the_page_says_what_explain_says() -> None:
    assert GLOSSARY.read_text(encoding="utf-8") == document(), "docs/glossary.md is old; run `make golden`"
    assert not set(TERMS) & {*METRICS, *CAUSE_MEANINGS, *known_keys(Workload)}
    for name in [*TERMS, *METRICS, *(f"stall.{cause}" for cause in CAUSE_MEANINGS)]:
        assert f" {explain(name, 'toy').sentence} |" in document(), name


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("stall.l1", "banks of the scratchpad"),
        ("stall.dma_commands", "dma_startup"),
        ("stall.in_flight", "Little's law"),
        ("stall.index", "index list"),
        ("idle", "wave"),
        ("l1", "scratchpad"),
        ("hbm", "memory"),
        ("limit.dma_commands_us", "dma_startup"),
        ("l1.commands", "command"),
        ("l2.K.misses", "tensor K"),
        ("hbm.standard", "timings"),
        ("advice", "what to change"),
    ],
)
def test_explain_answers(name: str, word: str) -> None:
    found = explain(name, None if name == "advice" else "ascend_910b1")
    assert word in f"{found.sentence} {found.unit}"


def test_the_command_prints_what_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["explain", "stall.dma_commands", "--chip", "ascend_910b1"]) == 0
    text = capsys.readouterr().out
    assert "change" in text
    assert "read by" not in text


def test_the_first_screen_names_the_limit_and_what_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["run", "mlu370_x8", "decode_topk", "--set", "shape.kv_len=16384"]
    assert call(asked) == 0
    text = capsys.readouterr().out
    assert " by dma_commands (" in text.splitlines()[2]
    assert "rows of 512 B would halve them" in " ".join(text.split())
    assert call([*asked, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["limit"] == row["bottleneck"] == "dma_commands"
    assert row["advice"].startswith("dma_commands: ")
    assert row["limit.dma_commands_us"] == row["limit_time_us"] > 0.6 * row["time_us"]
    assert row["nram.K.command_bytes"] == 256 * row["nram.K.commands"]
