"""Inverse queries find the same value as trying every value, and state how certain the result is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from memgrain.cli import call
from memgrain.explore.candidate_grid import GridBounds
from memgrain.explore.condition import parse_condition
from memgrain.explore.solver import GRID, SAMPLES, SolveQuery, SolveResult, best, solve
from memgrain.plots.solved import solved
from memgrain.runs.rows import Row, read_rows
from memgrain.runs.task import Point, Task
from memgrain.workloads import AttentionShape

SHORT = {"shape.kv_len": 1024}
TOY = SolveQuery("l2.ways", "toy", "decode_mla", SHORT, GridBounds(1, 16))


def of_value(monkeypatch: pytest.MonkeyPatch, metric: Callable[[int], float]) -> list[int]:
    """Makes the time a function of the context; the list contains the simulated contexts."""
    asked: list[int] = []

    def run(point: Point) -> Row:
        asked.append(point.workload.shape.kv_len)
        return {"id": point.id(), "time_us": metric(asked[-1])}

    monkeypatch.setattr(Point, "run", run)
    return asked


def tokens(low: int, high: int) -> SolveQuery:
    return SolveQuery("shape.kv_len", "toy", "decode_dense", {}, GridBounds(low, high))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8, deadline=None)
@given(st.integers(50, 4000), st.integers(0, 4100), st.booleans(), st.booleans())
def test_where_a_metric_is_monotone_bisection_finds_what_trying_all_finds(
    monkeypatch: pytest.MonkeyPatch, high: int, edge: int, rises: bool, largest: bool
) -> None:
    low, sign = 16, 1 if rises else -1
    asked = of_value(monkeypatch, lambda n: sign * (n // 7))
    bound = sign * (edge // 7)
    answer = solve(tokens(low, high), parse_condition(f"time_us >= {bound}"), largest)
    holds = [n for n in range(low, high + 1) if sign * (n // 7) >= bound]
    wanted = (max(holds) if largest else min(holds)) if holds else None
    assert (answer.found.value if answer.found else None) == wanted
    assert answer.bisected
    assert len(asked) == len(set(asked)) <= SAMPLES + (high - low).bit_length()
    if answer.found and answer.beyond:
        assert abs(answer.beyond.value - answer.found.value) == 1
        assert not answer.beyond.holds


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=GRID), st.booleans())
def test_where_it_is_not_every_value_up_to_the_answer_is_tried(
    monkeypatch: pytest.MonkeyPatch, metrics: list[int], largest: bool
) -> None:
    of_value(monkeypatch, lambda n: metrics[n - 16])
    answer = solve(tokens(16, 15 + len(metrics)), parse_condition("time_us == 5"), largest)
    holds = [16 + place for place, metric in enumerate(metrics) if metric == 5]
    wanted = (max(holds) if largest else min(holds)) if holds else None
    assert (answer.found.value if answer.found else None) == wanted
    assert (answer.bisected, answer.exact) == (False, True)
    lowest = best(tokens(16, 15 + len(metrics)), "time_us", largest)
    assert lowest.found is not None
    assert lowest.found.metric == (max(metrics) if largest else min(metrics))


def test_a_large_range_that_is_not_monotone_is_searched_on_a_grid_and_this_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = of_value(monkeypatch, lambda n: 100 if n > 3000 else n * 7919 % 97)
    answer = solve(tokens(16, 4096), parse_condition("time_us >= 100"))
    assert (answer.trend, answer.bisected, answer.exact) == ("varies", False, False)
    assert answer.found is not None
    assert answer.found.value == 3001
    assert len(asked) < 2 * GRID
    deepest = best(tokens(16, 4096), "time_us")
    assert deepest.found is not None
    assert (deepest.found.metric == min(item.metric for item in deepest.tried), deepest.exact) == (True, False)


@pytest.mark.parametrize("largest", [False, True])
def test_where_only_the_bisection_shows_that_a_metric_varies_it_looks_closer_and_says_so(
    monkeypatch: pytest.MonkeyPatch, largest: bool
) -> None:
    sign = -1 if largest else 1
    of_value(monkeypatch, lambda n: sign * (n - 2000) + n * 7919 % 97)
    answer = solve(tokens(1000, 4096), parse_condition("time_us >= 120"), largest)
    assert (answer.trend, answer.bisected, answer.exact) == ("varies", False, False)
    assert answer.found is not None
    holding = [tried.value for tried in answer.tried if tried.holds]
    assert answer.found.value == (max(holding) if largest else min(holding))
    assert answer.found.holds
    assert answer.beyond is not None
    assert not answer.beyond.holds


def test_the_smallest_number_of_ways_is_that_of_single_runs() -> None:
    rates = {}
    for ways in (1, 2, 4, 8, 16):
        rates[ways] = Task("toy", {"l2.ways": ways}, "decode_mla", SHORT).run()["l2_hit_rate"]
    answer = solve(TOY, parse_condition(f"l2.hit_rate >= {rates[2]}"))
    assert answer.found is not None
    assert (answer.found.value, answer.found.metric) == (min(w for w, r in rates.items() if r >= rates[2]), rates[2])
    assert any("not a multiple" in tried.refused for tried in answer.tried)
    assert not answer.bisected


def test_a_capacity_stays_in_whole_sets_and_rows_are_kept(tmp_path: Path) -> None:
    query = SolveQuery("l2.capacity", "toy", "decode_mla", {**SHORT, "l2.ways": 3}, GridBounds(None, "384 KiB"))
    answer = solve(query, parse_condition("l2_hit_rate >= 0.0012"), out=tmp_path)
    along = query.along()
    assert (along.low, along.step, along.value(along.size - 1)) == (171 * 3 * 128, 3 * 128, "384 KiB")
    assert answer.found is not None
    assert answer.beyond is not None
    assert all(not tried.refused for tried in answer.tried)
    assert len(list(read_rows(tmp_path / "rows.jsonl"))) == len(answer.tried)
    again = solve(query, parse_condition("l2_hit_rate >= 0.0012"), out=tmp_path)
    assert again == answer


@pytest.mark.parametrize(
    ("key", "bounds", "values"),
    [
        ("selection.ratio", GridBounds(0.01, 0.1), (0.01, 0.10)),
        ("l2.bandwidth", GridBounds("100 GB/s", "200 GB/s"), ("100 GB/s", "200 GB/s")),
        ("l2.latency", GridBounds(None, None), ("7 ns", "1.6 us")),
        ("smem.capacity", GridBounds(None, "1 MiB"), ("16 KiB", "1 MiB")),
        ("layout.kind", GridBounds(values=("bnsd", "bsnd")), ("bnsd", "bsnd")),
        ("tiling.block_kv", GridBounds(16, 128, 16), (16, 128)),
    ],
)
def test_values_have_the_unit_of_the_key(key: str, bounds: GridBounds, values: tuple[Any, Any]) -> None:
    along = SolveQuery(key, "toy", "decode_topk", {}, bounds).along()
    assert (along.value(0), along.value(along.size - 1)) == values


def said(capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str, str]:
    status = call(["solve", *line, "--set", "shape.kv_len=1024"])
    return status, *capsys.readouterr()


def test_the_verb_prints_a_sentence_a_table_and_how(capsys: pytest.CaptureFixture[str]) -> None:
    line = ("selection.ratio", "toy", "decode_topk", "--for", "time_us <= 5 us", "--largest")
    status, text, _ = said(capsys, *line)
    assert status == 0
    assert "is the largest for time_us <= 5 us; at " in text
    assert "so the rest was bisected" in text
    status, text, _ = said(capsys, *line, "--json")
    found = json.loads(text)
    assert found["found"]["time_us"] <= 5 < found["next"]["time_us"]
    assert found["evaluations"] == len(found["tried"])
    status, text, _ = said(capsys, *line, "--contour", "shape.head_dim=64,128")
    assert status == 0
    rows = [row.split() for row in text.splitlines()[2:4]]
    assert "so they are not models of one size" in text.splitlines()[4]
    assert [row[0] for row in rows] == ["64", "128"]
    assert float(rows[0][1]) > float(rows[1][1]) == 100 * found["found"]["value"]


def drawn(figure: Figure) -> dict[str, list[tuple[float, float]]]:
    """The markers of a figure by their entry in the legend."""
    lines = [line for line in figure.axes[0].lines if not str(line.get_label()).startswith("_")]
    return {str(line.get_label()): list(map(tuple, np.asarray(line.get_xydata()).tolist())) for line in lines}


def test_a_contour_is_drawn_with_what_has_no_answer_at_the_edge(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Point, "run", lambda point: {"id": point.id(), "time_us": cost(point.workload.shape)})

    def cost(shape: AttentionShape) -> float:
        return shape.kv_len * shape.head_dim / 100

    wanted, answers = parse_condition("time_us <= 20"), []
    for dim in (1, 8, 64, 256):
        query = SolveQuery("shape.kv_len", "toy", "decode_dense", {"shape.head_dim": dim}, GridBounds(16, 1024))
        answers.append((dim, solve(query, wanted, largest=True)))
    figure = solved("shape.head_dim", answers, largest=True)
    assert drawn(figure) == {
        "the next value fails": [(8, 2000 // 8), (64, 2000 // 64)],
        "holds up to the end of the range": [(1, 1024)],
        "time_us <= 20 holds at no value tried": [(256, 0)],
    }
    axis = figure.axes[0]
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("head dimension (elements)", "context (tokens)")
    assert figure.get_suptitle() == "Largest shape.kv_len for which time_us <= 20\ndecode_dense on Toy"
    line = ["solve", "shape.kv_len", "toy", "decode_dense", "--for", "time_us <= 20", "--largest", "--low", "16"]
    assert call([*line, "--contour", "shape.head_dim=8,64", "-o", str(tmp_path), "--json"]) == 0
    said = capsys.readouterr()
    assert len(json.loads(said.out)) == 2
    assert f"figure: {tmp_path / 'contour.png'}" in said.err
    assert (tmp_path / "contour.png").read_bytes().startswith(b"\x89PNG")


def test_best_values_are_drawn_with_the_metric_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Point, "run", lambda point: {"id": point.id(), "time_us": point.chip.cache.capacity / 2**17})
    values = ("2 MiB", "512 KiB", "1 MiB")
    query = SolveQuery("l2.capacity", "toy", "decode_dense", {}, GridBounds(values=values))
    figure = solved("shape.kv_len", [(kv_len, best(query, "time_us", True)) for kv_len in (1024, 2048)])
    axis = figure.axes[0]
    assert drawn(figure) == {"the next value fails": [(1024, 2), (2048, 2)]}
    assert [text.get_text() for text in axis.texts] == ["2 MiB\n16 µs"] * 2
    assert axis.get_ylabel() == "l2.capacity (MiB)"
    assert figure.legends == []


def test_without_an_answer_the_status_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    status, text, _ = said(capsys, "l2.ways", "toy", "decode_topk", "--for", "time_us <= 0", "--values", "4,8")
    assert status == 2
    assert "no value from 4 to 8 gives time_us <= 0" in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("l2.ways toy decode_topk", "give one goal"),
        ("l2.ways toy decode_topk --for time_us<=3 --minimise time_us", "give one goal"),
        ("l2.ways toy decode_topk --minimise time_us --largest", "largest is for a condition"),
        ("l2.ways toy decode_topk --for time_us", "cannot read the condition"),
        ("l2.wayz toy decode_topk --for time_us<=3 --values 1,2", "did you mean 'ways'"),
        ("l3.ways toy decode_topk --for time_us<=3", "no 'l3' to set"),
        ("l2.ways toy decode_topk --for tim_us<=3 --values 4,8", "did you mean 'time_us'"),
        ("tiling.block_kv toy decode_topk --for time_us<=3", "give low"),
        ("l2.capacity toy decode_topk --for time_us<=3 --low 3", "a size such as"),
        ("l2.capacity toy decode_topk --for time_us<=3 --low 64MiB", "must be below"),
        ("l2.ways toy decode_topk --for time_us<=3 --low 4 --high 5 --step 8", "fewer than two values"),
        ("l2.ways toy decode_topk --for time_us<=3 --values 4,4", "listed twice"),
        ("l2.ways toy decode_topk --for time_us<=3 --values 4,8 --low 3", "a list of values has no range"),
        ("l2.ways toy decode_topk --for time_us<=3 --values 4,8 --contour l2.ways=3", "cannot read --contour"),
        ("l2.ways toy decode_topk --for time_us<=3 --set l2.ways=8", "sought and set"),
    ],
)
def test_mistakes_give_one_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, errors = said(capsys, *line.split())
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1


def test_an_answer_knows_its_ends() -> None:
    answer: SolveResult = solve(TOY, parse_condition("l2_hit_rate >= 0"))
    assert answer.found is not None
    assert (answer.found.value, answer.beyond, answer.ends) == (1, None, ("1", "16"))
