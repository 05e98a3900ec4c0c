"""Searches find what enumeration finds, lose nothing, resume, and report what is refused."""

from __future__ import annotations

import copy
import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from memgrain.analysis.verdict import verdict
from memgrain.cli import call
from memgrain.errors import MemgrainError
from memgrain.explore import explore, load_search
from memgrain.explore.axes import OptionAxis, axes, index_of, params, size
from memgrain.explore.condition import NEVER, parse_condition
from memgrain.explore.store import RowStore
from memgrain.inputs.quantities import DIMENSIONS, Dimension
from memgrain.plots import figures
from memgrain.plots.coordinates import apart, coordinates, heading
from memgrain.plots.pareto import pareto
from memgrain.plots.slices import slices
from memgrain.runs.labels import SHARE
from memgrain.runs.pivot import varying, where
from memgrain.runs.quantities import read
from memgrain.runs.rows import Row, load_frame, read_rows
from memgrain.runs.task import Point, Task
from tests.memgrain.searches import SEARCH, proposals


@pytest.fixture
def formula(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces simulation by a formula; the list contains the simulated points."""
    asked: list[str] = []

    def run(point: Point) -> Row:
        asked.append(point.id())
        dim, ratio = point.workload.shape.head_dim, point.workload.selection.ratio
        ways = point.chip.cache.ways
        row = {"time_us": (dim - 70) ** 2 / 100 + 40 * ratio + ways / 100, "dram_read_bytes": dim * ratio * 1e6}
        return {"id": point.id(), **row, **point.overrides}

    monkeypatch.setattr(Point, "run", run)
    return asked


def test_the_front_is_that_of_all_points_simulated_one_by_one(spec: dict[str, Any], tmp_path: Path) -> None:
    spec["space"] |= {"shape.head_dim": [32, 128], "selection.ratio": [0.05, 0.2, 0.4]}
    found = explore(load_search(spec), tmp_path)
    assert len(found.trials) == found.size == 12
    every = []
    for dim, ratio, ways in itertools.product(*spec["space"].values()):
        overrides = {**spec["set"], "shape.head_dim": dim, "selection.ratio": ratio, "shape.q_heads": 1024 // dim}
        row = Task("toy", {"l2.ways": ways}, "decode_topk", overrides).run()
        every.append((row["time_us"], ratio, row["id"]))
    pairs = {(time, ratio) for time, ratio, _ in every}
    beaten = {(t, r) for t, r in pairs if any(u <= t and q >= r and (u, q) != (t, r) for u, q in pairs)}
    assert {trial.values for trial in found.front} == pairs - beaten
    assert {trial.row for trial in found.trials} == {name for _, _, name in every}
    assert {row["id"] for row in read_rows(tmp_path / "rows.jsonl")} == {name for _, _, name in every}


@pytest.mark.parametrize(
    ("sampler", "seed"),
    [("tpe", 0), pytest.param("tpe", 1, marks=pytest.mark.slow), pytest.param("nsga2", 0, marks=pytest.mark.slow)],
)
def test_half_of_a_grid_suffices_to_find_its_optimum(
    spec: dict[str, Any], tmp_path: Path, formula: list[str], sampler: str, seed: int
) -> None:
    spec |= {"objectives": {"time_us": "minimise"}, "keep": [], "sampler": sampler, "seed": seed, "startup": 8}
    spec["space"]["shape.head_dim"] = [32, 48, 64, 96, 128, 160]
    found = explore(load_search(spec), tmp_path)
    assert found.size == 48
    assert len(formula) == len(set(formula)) == 24
    (best,) = found.front
    assert best.overrides == {"shape.head_dim": 64, "selection.ratio": 0.05, "chip.l2.ways": 4}


@pytest.mark.parametrize("sampler", ["tpe", pytest.param("nsga2", marks=pytest.mark.slow)])
def test_interrupted_and_run_again_it_makes_the_same_trials(
    spec: dict[str, Any], tmp_path: Path, formula: list[str], monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    search = load_search(spec, {"sampler": sampler, "startup": 4, "trials": 12})
    whole = explore(search, tmp_path / "whole")
    with monkeypatch.context() as patch:
        run = Point.run

        def stop(point: Point) -> Row:
            if len(formula) == 12 + 7:
                raise KeyboardInterrupt
            return run(point)

        patch.setattr(Point, "run", stop)
        with pytest.raises(KeyboardInterrupt):
            explore(search, tmp_path / "cut")
    assert len(list(read_rows(tmp_path / "cut" / "rows.jsonl"))) == 7
    again = explore(search, tmp_path / "cut")
    assert proposals(again) == proposals(whole)
    assert len(formula) == 12 + 12
    more = explore(load_search(spec, {"sampler": sampler, "startup": 4, "trials": 14}), tmp_path / "cut")
    assert proposals(more)[:12] == proposals(whole)
    assert len(formula) == 12 + 14


def test_a_row_that_is_there_is_looked_up(spec: dict[str, Any], tmp_path: Path, formula: list[str]) -> None:
    search = load_search(spec, {"trials": 5})
    first = explore(search, tmp_path)
    for database in tmp_path.glob("study.db*"):
        database.unlink()
    assert proposals(explore(search, tmp_path)) == proposals(first)
    assert len(formula) == 5


def test_a_product_is_kept_and_nothing_is_proposed_that_breaks_it() -> None:
    spec = copy.deepcopy(SEARCH)
    spec["space"] = {"shape.head_dim": [32, 48, 64, 96, 128], "shape.q_heads": [4, 8, 16], "chip.l2.ways": [4, 16]}
    (pair, ways) = axes(load_search(spec))
    assert isinstance(pair, OptionAxis)
    assert [tuple(option.values()) for option in pair.options] == [(64, 16), (128, 8)]
    spec["space"]["shape.q_heads"] = {"low": 4, "high": 32, "step": 4}
    assert len(axes(load_search(spec))[0].options) == 3  # type: ignore[union-attr]
    spec["keep"] = [{"keys": ["shape.head_dim", "shape.q_heads"], "product": 1000}]
    with pytest.raises(MemgrainError, match=r"no values in space make shape.head_dim x shape.q_heads = 1000"):
        axes(load_search(spec))
    assert (pair.ordered, ways.name) == (True, "chip.l2.ways")


def test_products_that_share_a_key_are_kept_together() -> None:
    spec = copy.deepcopy(SEARCH)
    spec["space"] = {"shape.head_dim": [32, 48, 64, 80, 128], "chip.l2.ways": [4, 16]}
    spec["set"] = {"shape.batch": 2}
    products = {"shape.q_heads": 3840, "shape.kv_heads": 960}
    spec["keep"] = [{"keys": ["shape.head_dim", key], "product": product} for key, product in products.items()]
    (dims, ways) = axes(load_search(spec))
    assert isinstance(dims, OptionAxis)
    kept = [(32, 120, 30), (48, 80, 20), (64, 60, 15), (80, 48, 12)]
    assert [tuple(option.values()) for option in dims.options] == kept
    assert dims.ordered
    assert ways.name == "chip.l2.ways"


def test_every_point_of_a_space_has_a_number() -> None:
    along = axes(load_search(SEARCH))
    assert size(along) == 24
    assert [index_of(along, params(along, number)) for number in range(24)] == list(range(24))


def test_ranges_stay_in_their_unit_and_whole(spec: dict[str, Any], tmp_path: Path, formula: list[str]) -> None:
    spec["space"] = {
        "selection.ratio": {"low": 0.01, "high": 0.5, "log": True},
        "shape.batch": {"low": 1, "high": 64, "log": True},
        "chip.l2.capacity": {"low": "256 KiB", "high": "1 MiB", "step": "256 KiB"},
        "chip.hbm.bandwidth": {"low": "32 GB/s", "high": "64 GB/s"},
    }
    spec["keep"] = []
    found = explore(load_search(spec, {"trials": 8}), tmp_path)
    assert found.size is None
    assert len({trial.overrides["selection.ratio"] for trial in found.trials}) == 8
    for trial in found.trials:
        assert 0.01 <= trial.overrides["selection.ratio"] <= 0.5
        assert isinstance(trial.overrides["shape.batch"], int)
        assert trial.overrides["chip.l2.capacity"] in ("256 KiB", "512 KiB", "768 KiB", "1 MiB")
        assert trial.overrides["chip.hbm.bandwidth"].endswith(" GB/s")


def test_what_cannot_be_is_a_trial_with_its_reason(spec: dict[str, Any], tmp_path: Path) -> None:
    spec["keep"] = []
    spec["space"] = {"shape.kv_heads": [4, 5], "shape.batch": [1, 10**6], "tiling.block_kv": [64, 4096]}
    spec |= {"set": {"shape.kv_len": 1024}, "objectives": {"time_us": "minimise"}}
    spec["constraints"] = ["dram_read_bytes <= 0.1 MB"]
    found = explore(load_search(spec), tmp_path)
    reasons = {trial.refused.partition(";")[0]: trial.state for trial in found.trials if trial.refused}
    assert any("K and V need" in reason for reason in reasons)
    assert any("scratchpad" in reason for reason in reasons)
    assert any("kv_heads" in reason for reason in reasons)
    (violating,) = (trial for trial in found.trials if not trial.refused)
    assert (violating.state, violating.violated) == ("violates", ("dram_read_bytes <= 0.1 MB",))
    assert found.front == []
    assert found.hypervolume() == (0.0, 0.0)
    assert len(load_frame(tmp_path)) == 1


def test_a_floor_of_quality_is_a_constraint(spec: dict[str, Any], tmp_path: Path, formula: list[str]) -> None:
    from memgrain.quality import recall

    spec["space"]["selection.ratio"] = [0.0005, 0.01, 0.1, 0.5]
    spec |= {"quality": {"mass": {"selection": "tokens"}}, "constraints": ["quality.mass >= 0.9"]}
    spec["objectives"] = {"time_us": "minimise", "quality.mass": "maximise"}
    found = explore(load_search(spec), tmp_path)
    for trial in found.trials:
        ratio = trial.overrides["selection.ratio"]
        if ratio < 0.001:
            assert "ratio 0.0005 was not measured" in trial.refused
        else:
            assert trial.values[1] == recall(ratio, share="group").mean
            assert (trial.state == "feasible") is (trial.values[1] >= 0.9)
    assert len(found.trials) == 24
    assert {trial.state for trial in found.trials} == {"feasible", "violates", "refused"}


@given(st.sampled_from(DIMENSIONS), st.integers(1, 2**50))
def test_a_quantity_reads_back_as_it_was_written(unit: Dimension, value: int) -> None:
    assert read(unit.text(value), "") == (value, unit)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("time_us <= 10", 10.0, True),
        ("time_us < 10", 10.0, False),
        ("time_us <= 10 us", 10.0, True),
        ("time_us > 1 ms", 1000.5, True),
        ("l2.hit_rate >= 95%", 0.95, True),
        ("l2.hit_rate>=0.95", 0.94, False),
        ("dram_read_bytes <= 2 KiB", 2049, False),
        ("l2.hits == 3", 3, True),
        ("time_us >= 1e1", None, False),
    ],
)
def test_conditions(text: str, value: float | None, holds: bool) -> None:
    condition = parse_condition(text)
    row = {condition.metric.replace(".hit_rate", "_hit_rate"): value}
    assert condition.holds(row) is holds
    assert (condition.violation(row) <= 0) is holds
    assert condition.violation(row) <= NEVER


@pytest.mark.parametrize("text", ["__import__('os')", "time_us", "time_us <= ", "time_us <= 3 GHz", "1 <= time_us", ""])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(MemgrainError, match=r"cannot read|condition"):
        parse_condition(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": {}}, "did you mean 'objectives'"),
        ({"objectives": {}}, "objectives"),
        ({"objectives": {"time_us": "minimize"}}, "'minimise' or 'maximise'"),
        ({"sampler": "annealing"}, "sampler"),
        ({"set": {"selection.ratio": 0.1}}, "is in both set and space"),
        ({"space": {"l2.ways": [4]}}, "begins with 'chip.': chip.l2.ways"),
        ({"space": {"shape.head_dim": {"low": 1}}}, "high"),
        ({"constraints": ["time_us"]}, "cannot read the condition"),
        ({"reference": {"time_us": 1.0}}, "reference has no 'selection.ratio'"),
        ({"reference": {"tim_us": 1.0}}, "did you mean 'time_us'"),
        ({"space": {"shape.head_dim": {"low": 9, "high": 3}}, "keep": []}, "must be below"),
        ({"space": {"chip.l2.capacity": {"low": "1 MiB", "high": 3}}, "keep": []}, "the same unit"),
        ({"space": {"shape.batch": {"low": 1, "high": 9, "step": 1, "log": True}}, "keep": []}, "exclude each other"),
        ({"keep": [{"keys": ["shape.q_heads", "shape.kv_heads", "shape.batch"], "product": 8}]}, "only one key"),
    ],
)
def test_a_wrong_search_is_refused_in_one_line(spec: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(MemgrainError) as caught:
        axes(load_search({**spec, **change}))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_of_one_search(spec: dict[str, Any], tmp_path: Path, formula: list[str]) -> None:
    explore(load_search(spec, {"trials": 1}), tmp_path)
    spec["space"]["selection.ratio"] = [0.3]
    with pytest.raises(MemgrainError, match="belongs to another search"):
        explore(load_search(spec), tmp_path)
    with pytest.raises(MemgrainError, match=r"the database nonsense:// failed"):
        explore(load_search(spec), tmp_path, "nonsense://")
    spec["objectives"] = {"tim_us": "minimise"}
    with pytest.raises(MemgrainError, match="did you mean 'time_us'"):
        explore(load_search(spec), tmp_path / "other")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "is lost when this process ends; give a file, sqlite:///study.db"),
        ("sqlite:///:memory:", "is lost when this process ends; give a file, sqlite:///study.db"),
        ("nonsense", "'nonsense' is not the URL of a database"),
        ("", "'' is not the URL of a database"),
        ("postgresql://me:secret@host:port/x", "is not the URL of a database"),
        ("nonsense://me:secret@host/x", "the database nonsense://me:***@host/x failed"),
        ("postgresql://me:secret@127.0.0.1:1/x", "the database postgresql://me:***@127.0.0.1:1/x failed"),
        ("mysql://me:secret@127.0.0.1:1/x", "check the URL and its driver"),
        ("sqlite:////nowhere/at/all.db", "check the URL and its driver"),
        ("sqlite:///s.yaml", "file is not a database"),
    ],
)
def test_a_database_that_cannot_be_gives_one_line(
    spec: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    assert call(["explore", "s.yaml", "-o", "out", "--storage", url]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert "secret@127" not in errors


def test_a_relative_url_is_a_file_from_here_and_goes_on(
    spec: dict[str, Any], tmp_path: Path, formula: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = explore(load_search(spec, {"trials": 3}), Path("one"), "sqlite:///relative.db")
    assert (tmp_path / "relative.db").is_file()
    assert proposals(explore(load_search(spec, {"trials": 5}), Path("two"), "sqlite:///relative.db"))[:3] == proposals(
        first
    )
    assert len(formula) == 5


NOTEBOOK = """
import sys, types
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(config={"IPKernelApp": {}}))
sys.modules["ipykernel.zmqshell"] = sys.modules["ipywidgets"] = types.SimpleNamespace()
from memgrain.cli import call
call(["explore", "s.yaml", "--no-plot"])
"""
"""A notebook kernel, as tqdm recognises it, without widgets for a progress bar."""


def test_a_notebook_without_widgets_is_not_told_of_a_bar(memgrain: list[str], tmp_path: Path) -> None:
    refused = {**SEARCH, "space": {"selection.ratio": [7]}, "keep": []}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(refused, sort_keys=False))
    done = subprocess.run([memgrain[0], "-c", NOTEBOOK], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "none of 1 points is feasible" in done.stderr
    assert "IProgress" not in done.stderr


def few(dims: list[int], ratios: list[float], share: list[float]) -> pd.DataFrame:
    """Rows of a search that has not tried every pair."""
    keys = ["shape.head_dim", "selection.ratio", "layout"]
    rows = [
        {"chip": "toy", "chip_title": "Toy", "workload": "w", "overrides": keys, SHARE: value}
        | dict(zip(keys, (dim, ratio, {"kind": "paged", "page": dim}), strict=True))
        for dim, ratio, value in zip(dims, ratios, share, strict=True)
    ]
    return pd.DataFrame(rows)


@pytest.mark.filterwarnings("error")
def test_rows_of_a_search_are_drawn_and_say_of_96_what_they_can() -> None:
    scattered = few([64, 96, 128], [0.1, 0.2, 0.3], [0.3, 0.1, 0.5])
    assert varying(scattered) == ["shape.head_dim", "selection.ratio", "layout"]
    assert len(figures(scattered)) == 1
    assert verdict(scattered) == ""
    assert set(where(scattered, {"layout": "paged 96"})["shape.head_dim"]) == {96}
    alike = few([64, 96, 128, 64, 96], [0.1, 0.1, 0.1, 0.2, 0.2], [0.3, 0.2, 0.5, 0.3, 0.0]).drop(columns="layout")
    alike["overrides"] = [["shape.head_dim", "selection.ratio"]] * len(alike)
    assert "No, off the trend: 60.0% less than 128, 50.0% worse than its neighbours" in verdict(alike)


def test_two_stores_of_one_folder_see_each_other(tmp_path: Path) -> None:
    first, second = RowStore(tmp_path), RowStore(tmp_path)
    first.keep({"id": "a"})
    second.keep({"id": "b"})
    second.keep({"id": "a"})
    assert (first.find("b"), second.find("a"), first.find("c")) == ({"id": "b"}, {"id": "a"}, None)
    assert [row["id"] for row in read_rows(first.path)] == ["a", "b"]


def test_the_verb_prints_draws_and_resumes(
    spec: dict[str, Any], tmp_path: Path, formula: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    line = ["explore", str(tmp_path / "s.yaml"), "-o", str(tmp_path / "out")]
    assert call([*line, "--trials", "6"]) == 0
    text = capsys.readouterr().out
    for part in (
        "Pareto front of small",
        "time (µs) ↓",
        "tokens selected (%) ↑",
        "hypervolume",
        "6 trials of 24",
        "so they are not models of one size",
    ):
        assert part in text
    for name in ("front", "coordinates", "slices"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert call([*line, "--trials", "9", "--no-plot", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["trials"], found["states"]) == (9, {"feasible": 9})
    assert "6 of 9 points have their rows already" in said.err
    assert len(formula) == 9
    assert [note.partition(":")[0] for note in found["notes"]] == ["quality"]
    assert 0 < found["hypervolume_share"] < 1
    assert all({"number", "chip", "set", "row", "objectives"} <= set(point) for point in found["front"])


def test_figures_can_be_read(spec: dict[str, Any], tmp_path: Path, formula: list[str]) -> None:
    spec["space"]["chip.l2.capacity"] = ["256 KiB", "512 KiB", "1 MiB"]
    spec["constraints"] = ["dram_read_bytes <= 20 MB"]
    spec["objectives"]["chip.l2.capacity"] = "minimise"
    found = explore(load_search(spec, {"trials": 12, "sampler": "random"}), tmp_path)
    frame, objectives = found.frame(), spec["objectives"]
    keys = [key for key in found.keys if key not in objectives]
    assert set(frame["state"]) == {"feasible", "violates"}
    drawn = [draw(frame, keys, objectives, "small") for draw in (coordinates, slices)]
    drawn.append(pareto(frame, objectives, "small"))
    alone = apart(frame, keys)  # heads follow from the head dimension, so they have no axis of their own
    assert alone == {"shape.head_dim": ["shape.q_heads"], "chip.l2.ways": []}
    said = [axis.get_xlabel().replace("\n", " ") for axis in drawn[1].axes[-len(alone) - 1 : -1]]
    assert said == [heading(key, others) for key, others in alone.items()]
    assert drawn[2].axes[0].get_xlabel() == "time (µs), small is better"
    assert f"{len(found.feasible)} trials" in drawn[0].axes[0].get_title(loc="left")
    for figure in drawn:
        figure.canvas.draw()
        edges, renderer = figure.bbox.padded(1), figure.canvas.get_renderer()  # type: ignore[attr-defined]
        texts = [text for axis in figure.axes for text in (axis.xaxis.label, axis.yaxis.label, *axis.texts)]
        for text in (*texts, *figure.texts, *(axis.title for axis in figure.axes)):
            box = text.get_window_extent(renderer)
            assert not text.get_text() or (edges.contains(box.x0, box.y0) and edges.contains(box.x1, box.y1))
