"""Collectives match measurements, their parameters follow from the stated rows, and the command works."""

from __future__ import annotations

import importlib.util
import json

import pytest

from memgrain.cli import call
from memgrain.errors import MemgrainError
from memgrain.hwmodels import load_chip
from memgrain.validation.collectives import COLUMNS, FITTED, OPS, published, validate_collectives

needs_tables = pytest.mark.skipif(
    importlib.util.find_spec("aiconfigurator_core") is None, reason="aiconfigurator-core is not installed"
)
MEASURED = ("a100_sxm", "b200", "h100_sxm", "h200_sxm")


@needs_tables
@pytest.mark.parametrize("name", MEASURED)
def test_rows_that_nothing_was_fitted_to_are_predicted(name: str) -> None:
    found = validate_collectives(load_chip(name))
    assert list(found.frame.columns) == list(COLUMNS)
    assert set(found.frame["op"]) == set(OPS.values())
    assert set(found.frame["chips"]) == {2, 4, 8}
    assert set(found.frame["library"]) == {"nccl", "vllm"}
    assert found.frame["fitted"].sum() == (0 if name == "h200_sxm" else len(FITTED))
    summary = found.summary()
    assert summary["all"]["rows"] == len(found.frame) - found.frame["fitted"].sum()
    assert sum(figures["rows"] for figures in summary.values()) == 2 * summary["all"]["rows"]
    assert summary["all"]["median_error"] < 0.15
    # The extremes, where alpha or beta alone determines the time; no reduction was used for fitting.
    assert summary["nccl all_reduce to 64 KiB"]["median_error"] < 0.06
    assert summary["vllm all_reduce to 4 MiB"]["median_error"] < 0.35
    large = found.frame[(found.frame["bytes"] == 2**29) & found.frame["op"].isin(["all_reduce", "reduce_scatter"])]
    assert large["error"].abs().median() < 0.11


@needs_tables
@pytest.mark.parametrize("name", sorted(set(MEASURED) - {"h200_sxm"}))
def test_numbers_follow_from_the_rows_that_they_are_said_to(name: str) -> None:
    links = load_chip(name).interconnect
    assert links is not None
    frame = validate_collectives(load_chip(name)).frame
    rows = frame[frame["fitted"]].set_index(["bytes", "chips"])["measured_us"]
    step = (rows[512, 8] - rows[512, 2]) / 6
    assert links.node.protocols["ll"].latency / 1e6 == pytest.approx(step, rel=0.01)
    assert links.startup / 1e6 == pytest.approx(rows[512, 2] - step, rel=0.01)
    assert frame[frame["fitted"]]["error"].abs().max() < 0.13
    low = links.node.protocols["ll"].share * links.node.bandwidth
    slower = sum(rows[2**13, chips] - rows[2**9, chips] for chips in (2, 4, 8))
    assert low == pytest.approx((2**13 - 2**9) * (1 / 2 + 3 / 4 + 7 / 8) / slower * 1e6, rel=0.01)
    share = links.node.protocols["ll128"].share * links.node.bandwidth
    grown = rows[2**21, 8] - rows[2**18, 8] - (2**21 - 2**18) / 8 / (links.copy_bandwidth or 1) * 1e6
    assert share == pytest.approx(7 / 8 * (2**21 - 2**18) / grown * 1e6, rel=0.01)


@pytest.mark.parametrize("name", ["ascend_910b1", "ascend_910c_die"])
def test_published_times_are_predicted_from_links_alone(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Links follow from copies between two chips, so that nothing but the exchange is predicted: hardly ever too slow,
    and by a factor of three too fast at most, since the kernels do more."""
    frame = validate_collectives(load_chip(name)).frame
    rows = [row for row in published().rows if row.chip == name]
    assert frame["measured_us"].tolist() == [row.time_us for row in rows]
    assert not frame["fitted"].any()
    assert frame["error"].between(-0.67, 0.05).all()
    assert {row.source for row in rows} <= set(published().sources)
    assert call(["collective", name, "--validate"]) == 0
    assert "published times" in capsys.readouterr().out
    assert call(["collective", name, "--bytes", "1MiB"]) == 0
    assert "--validate gives the errors" in capsys.readouterr().out


def test_without_measurements_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MemgrainError, match="need the package aiconfigurator-core; install it with"):
        validate_collectives(load_chip("h100_sxm"))


@needs_tables
def test_a_chip_without_tables() -> None:
    with pytest.raises(MemgrainError, match="no collectives of toy were measured; choose one of a100_sxm"):
        validate_collectives(load_chip("toy"))


def test_the_verb_prints_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["collective", "toy", "--op", "all_gather", "--bytes", "1MB", "--chips", "8", "--algorithm", "ring"]
    assert call([*asked, "--set", "interconnect.node.bandwidth=5 GB/s", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["algorithm"] == "ring + ring"
    assert [phase["tier"] for phase in found["phases"]] == ["network", "node"]
    assert found["phases"][1]["time_us"] == pytest.approx(3 * (2 + 250_000 / 5e3))
    parts = found["startup_us"] + found["copy_us"] + sum(phase["time_us"] for phase in found["phases"])
    assert found["time_us"] == pytest.approx(parts)


def test_the_verb_prints_a_table_of_phases(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["collective", "ascend_910b1", "--bytes", "1 MiB", "--chips", "16"]) == 0
    text = capsys.readouterr().out
    for part in ("all_reduce of 1 MiB over 16 x Huawei Ascend 910B1", "startup 20 us", "network", "direct"):
        assert part in text


@needs_tables
def test_the_verb_compares(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["collective", "b200", "--validate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["source"].startswith("b200_sxm/comm/nccl/")
    assert set(found["held_out"]["all"]) == {"rows", "median_error", "p90_error", "worst_error", "bias"}
    assert call(["collective", "b200", "--validate"]) == 0
    assert "worst rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mlu370_s4"], "mlu370_s4 has no interconnect"),
        (["toy", "--bytes", "64"], "--bytes: expected a size such as '50 MiB', got '64'"),
        (["toy", "--set", "interconnect.node.bandwith=1 GB/s"], "did you mean 'bandwidth'?"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["collective", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
