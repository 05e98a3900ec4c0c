"""Intervals of sweeps and of whole models use draws like those of a run, and no point affects another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import memgrain
from memgrain import MemgrainError
from memgrain.cli import call
from memgrain.hwmodels import Chip, load_chip, read_chip
from memgrain.models import ModelJob, ModelRequest, PrefetchPolicy, run_model
from memgrain.plots.lines import lines
from memgrain.runs.intervals import with_intervals
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import Row, load_frame, read_rows
from memgrain.runs.task import Point, Task
from memgrain.runs.tidy import ID_DIGITS
from memgrain.uncertainty import SampledPoints, interval_of, per_point
from memgrain.uncertainty.parameters import uncertain_parameters
from memgrain.uncertainty.per_point import sample_each
from memgrain.uncertainty.steps import ModelStep, interval_of_step
from memgrain.workloads.layers.step import Shard
from memgrain.workloads.models.model import load_model

KNOWN: dict[str, Any] = {known.item.path: known.item.value for known in uncertain_parameters(read_chip("toy"), {})}
"""Overrides that fix every parameter of the toy with a range: a chip without uncertainty."""
SAMPLES = 4
MINE = """\
extends: toy
title: Mine
sources: {T: invented for tests}
launch_overhead: {value: 1 us, kind: assumed, source: T, range: [1 us, 2 us], reason: to be added to the time}
barrier: {value: 1 us, kind: assumed, source: T, range: [1 us, 3 us], reason: to be added between kernels}
interconnect:
  startup: {value: 1 us, kind: assumed, source: T, range: [1 us, 9 us], reason: to be added to an exchange}
"""
HARD = """\
extends: toy
title: Hard
sources: {T: invented for tests}
memory:
  - name: l2
    capacity: {value: 1 MiB, kind: assumed, source: T, range: [1000001 B, 1100001 B], reason: few divide}
"""
MODEL: dict[str, Any] = {
    "title": "Small",
    "hidden": 256,
    "vocab": 1024,
    "weights": {"rest": "bf16"},
    "heads": {"kind": "grouped", "q_heads": 8, "kv_heads": 2, "head_dim": 64},
    "attention": {"full": {"kind": "full"}},
    "ffn": {"dense": {"kind": "dense", "size": 512}},
    "layers": [{"repeat": 2, "of": [{"attention": "full", "ffn": "dense"}]}],
    "caches": {"bf16": {"title": "bf16", "element": "bf16"}},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two chips, a model, and a sweep over both chips, one of which refuses all draws."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "mine.yaml").write_text(MINE)
    (folder / "hard.yaml").write_text(HARD)
    keys = [key for key in MODEL if key != "title"]
    (folder / "small.yaml").write_text(
        yaml.safe_dump({**MODEL, "sources": {"T": {"cite": "invented for tests", "of": keys}}}, sort_keys=False)
    )
    (folder / "sweep.yaml").write_text(yaml.safe_dump(spec(["mine.yaml", "hard.yaml"]), sort_keys=False))
    return folder


def spec(chips: list[str]) -> dict[str, Any]:
    """Four points per chip, two of which are refused: a megabyte is not a multiple of five ways."""
    known = {f"chip.{path}": value for path, value in KNOWN.items()}
    grid = {"shape.head_dim": [64, 128], "chip.l2.ways": [8, 5]}
    return {
        "name": "s",
        "chips": chips,
        "workload": "decode_topk",
        "set": {"shape.kv_len": 2048, **known},
        "grid": grid,
    }


def task(files: Path, dim: int) -> Task:
    """A point of the sweep that succeeds."""
    chip = str(files / "mine.yaml")
    return Task(chip, {**KNOWN, "l2.ways": 8}, "decode_topk", {"shape.kv_len": 2048, "shape.head_dim": dim})


@pytest.fixture(scope="module")
def swept(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sweep, run once with intervals of times."""
    out = tmp_path_factory.mktemp("swept")
    asked = ["--uncertainty", "--samples", str(SAMPLES), "--metric", "time_us", "--seed", "3", "-j", "1", "--quiet"]
    assert call(["sweep", str(files / "sweep.yaml"), "-o", str(out), *asked]) == 2
    return out


def test_every_point_with_an_answer_has_an_interval_or_a_reason(swept: Path) -> None:
    frame = pd.read_csv(swept / "intervals.csv")
    assert list(frame.columns[:6]) == ["id", "chip", "workload", "shape.head_dim", "chip.l2.ways", "metric"]
    for dim in (64, 128):
        (line,) = frame[(frame["chip"] == "mine") & (frame["shape.head_dim"] == dim)].to_dict("records")
        # of two parameters with a range, only the launch (1 to 2 us) affects a single kernel
        assert 0 < line["low"] < line["median"] < line["high"]
        assert line["median"] - line["usual"] < 1 + 0.2 * line["usual"]
        assert "on mine: not validated; nearest: " in line["rests_on"]
    hard = frame[frame["chip"] == "hard"]
    assert (len(hard), hard["usual"].notna().all(), hard[["low", "median", "high"]].isna().all(axis=None)) == (
        2,
        True,
        True,
    )
    assert hard["rests_on"].str.contains("fewer than 4 are chips that run this").all()


def test_the_sweeps_rows_are_its_own_and_drawn_ones_are_not_run_again(
    files: Path, swept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, drawn = ({row["id"] for row in read_rows(swept / part / "rows.jsonl")} for part in ("", "draws"))
    assert len(rows) == 4
    before = (swept / "draws" / "rows.jsonl").read_bytes()
    asked = ["--uncertainty", "--samples", str(SAMPLES), "--metric", "time_us", "--seed", "3", "-j", "1"]
    assert call(["sweep", str(files / "sweep.yaml"), "-o", str(swept), *asked]) == 2
    said = capsys.readouterr()
    assert (swept / "draws" / "rows.jsonl").read_bytes() == before
    assert len(drawn - rows) >= 2 * SAMPLES
    assert "2 intervals in" in said.err
    assert said.err.count("fewer than 4 are chips that run this") == 2
    assert "head dimension  usual   5 %  median  95 %" in said.out
    assert said.out.count("–") == 6, "a point without an interval has its usual value all the same"


def test_what_one_point_refuses_is_drawn_again_for_that_point_alone(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launches(points: list[Point], *_: Any) -> tuple[dict[str, Row], list[str]]:
        """A run whose time is its launch; points with head dimension 64 are refused above 1.4 us."""
        wide = [p for p in points if p.workload.shape.head_dim == 128 or p.chip.launch_overhead < 1_400_000]  # type: ignore[union-attr]
        return {p.id(): {"id": p.id(), "chip": "mine", "time_us": p.chip.launch_overhead / 1e6} for p in wide}, []

    monkeypatch.setattr(per_point, "answers", launches)
    row = {"id": "x", "chip": "mine", "time_us": 1.0}
    narrow, wide = sample_each(
        [task(files, 64), task(files, 128)], [row, row], tmp_path, RunOptions(samples=20, seed=5)
    )
    assert isinstance(narrow, SampledPoints)
    assert isinstance(wide, SampledPoints)
    first, second = (set(found.values("time_us")[:, 0]) for found in (narrow, wide))
    assert len(first) == len(second) == 20
    assert max(first) < 1.4 < max(second)
    assert {value for value in second if value < 1.4} < first, "what both admit, both have"
    assert (narrow.refused > 0, wide.refused) == (True, 0)
    strata = np.floor(20 * (1 - (2 - np.array(sorted(second))) ** 2))  # a triangle that falls from 1 to 2
    assert sorted(strata) == list(range(20))


def test_the_function_gives_the_frame_that_the_command_writes(files: Path, swept: Path) -> None:
    good = {**spec([str(files / "mine.yaml")]), "grid": {"shape.head_dim": [64, 128]}}
    good["set"] = {**good["set"], "chip.l2.ways": 8}
    frame = memgrain.intervals(good, swept, metric="time_us", options=RunOptions(jobs=1, samples=SAMPLES, seed=3))
    for dim, line in zip((64, 128), frame.to_dict("records"), strict=True):
        alone = interval_of(task(files, dim), "time_us", RunOptions(swept / "draws", samples=SAMPLES, seed=3))
        ends = (alone.combined.low, alone.combined.median, alone.combined.high)
        assert (line["low"], line["median"], line["high"]) == ends, "one chip, one hypercube: the draws of a run"
    assert list(pd.read_csv(swept / "intervals.csv")["id"].str[:ID_DIGITS]) == list(frame["id"])
    with pytest.raises(MemgrainError, match="samples is 1, must be at least 2"):
        memgrain.intervals(good, swept, options=RunOptions(samples=1))
    with pytest.raises(MemgrainError, match="no metric 'tim_us'"):
        memgrain.intervals(good, swept, metric="tim_us")


def test_lines_have_bars_where_the_file_has_intervals_of_the_metric(swept: Path) -> None:
    frame = load_frame(swept)
    frame = frame[frame["chip"] == "mine"]
    ends = pd.read_csv(swept / "intervals.csv")
    ends = ends[ends["id"].isin(frame["id"])].sort_values("shape.head_dim")
    axis = lines(with_intervals(frame, swept, "time_us"), "time_us", "shape.head_dim").axes[0]
    bars = [path.vertices[:, 1] for path in axis.collections[0].get_paths()]
    assert np.array(bars) == pytest.approx(ends[["low", "high"]].to_numpy())
    assert (
        not lines(with_intervals(frame, swept, "dram_read_bytes"), "dram_read_bytes", "shape.head_dim")
        .axes[0]
        .collections
    )
    (swept / "intervals.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MemgrainError, match="is no file of intervals"):
        with_intervals(frame, swept, "time_us")


def test_after_an_interrupt_the_command_that_goes_on_is_named(
    files: Path, swept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(per_point, "answers", stop)
    asked = ["sweep", str(files / "sweep.yaml"), "-o", str(swept), "--uncertainty", "--samples", "5"]
    assert call(asked) == 130
    assert f"go on with: memgrain {' '.join(asked)}" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("more", [["--samples", "3"], ["--seed", "0"], ["--metric", "time_us"]])
def test_options_that_nothing_reads_are_refused(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["sweep", "head_dim_by_ratio", *more]) == 2
    assert f"{more[0]} is read with --uncertainty only" in capsys.readouterr().err
    if more[0] != "--metric":
        assert call(["model", "run", "toy", "qwen3_8b", "--context", "512", *more]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def step(files: Path, chips: int = 1, phase: str = "decode") -> ModelStep:
    """A step of the small model on a chip whose launch, barrier and start of an exchange are uncertain."""
    model, chip = load_model(str(files / "small.yaml")), str(files / "mine.yaml")
    shard = Shard.model_validate({"tensor": chips, "context": 1, "data": 1, "expert": False})

    def request(where: Chip) -> ModelRequest:
        return ModelRequest.of(where, model, phase, 512, shard=shard)  # type: ignore[arg-type]

    return ModelStep(chip, KNOWN, request, run_model(request(load_chip(chip, KNOWN))))


def test_draws_of_a_step_are_steps_on_chips_with_other_numbers(files: Path, tmp_path: Path) -> None:
    small = step(files)
    found, drawn = interval_of_step(small, RunOptions(tmp_path, 1, samples=SAMPLES, seed=1))
    times = sorted(row["time_per_token_us"] for row in read_rows(tmp_path / "rows.jsonl"))
    chip = str(files / "mine.yaml")
    ends = [
        run_model(small.request(load_chip(chip, {**KNOWN, "launch_overhead": f"{launch} us", "barrier": f"{wait} us"})))
        for launch, wait in ((1, 1), (2, 3))
    ]
    assert ends[0].time_per_token == small.found.time_per_token
    assert ends[0].time_per_token / 1e6 < times[0] < times[-1] < ends[1].time_per_token / 1e6
    assert found.nominal == ends[0].time_per_token / 1e6
    assert found.assumptions is not None
    assert (found.assumptions.low, found.assumptions.high) == pytest.approx(tuple(np.quantile(times, [0.05, 0.95])))
    assert (len(drawn.draws), drawn.refused) == (SAMPLES, 0)
    factors = small.found.trust.factors or (1, 1)
    assert found.model is not None
    assert (found.model.low, found.model.high) == pytest.approx([found.nominal * end for end in factors], rel=5e-3)


def test_links_are_drawn_where_several_chips_share_a_model(files: Path) -> None:
    names = [{known.item.path for known in step(files, chips).drawable().own} for chips in (1, 2)]
    assert names == [{"launch_overhead", "barrier"}, {"launch_overhead", "barrier", "interconnect.startup"}]


def test_a_step_has_an_identity(files: Path) -> None:
    request = step(files).found.request
    ahead = PrefetchPolicy(("weights",), 1.0, 1, 1 << 20)
    jobs = [ModelJob(request), ModelJob(request, prompt=True)]
    jobs += [ModelJob(replace(request, prefetch=ahead)), ModelJob(replace(request, fusions=("ffn",)))]
    assert len({job.id() for job in jobs}) == 4
    assert ModelJob(step(files).found.request).id() == jobs[0].id()


def test_the_command_tells_the_interval_of_a_token_and_the_models_error(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for key, value in KNOWN.items() for word in ("--set", f"{key}={value}")]
    asked = ["model", "run", str(files / "mine.yaml"), str(files / "small.yaml"), "--context", "512", *sets]
    asked += ["--uncertainty", "--samples", "2", "-j", "1"]
    assert call([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    interval = found["uncertainty"]
    assert (interval["metric"], interval["usual"]) == ("time_per_token_us", found["time_per_token_us"])
    assert interval["model"]["high"] == pytest.approx(
        interval["usual"] * found["measured_over_predicted_high"], rel=5e-3
    )
    assert interval["combined"]["high"] > interval["assumptions"]["high"] > interval["usual"]
    assert call([*asked, "--phase", "prefill", "--tokens", "256", "--prompt"]) == 0
    shown = capsys.readouterr().out
    assert "time of the whole prompt, in us" in shown
    assert "prefill of small on mine: not validated; nearest: " in shown
    assert "2 draws of 2 numbers with a range" in shown
