"""Uncertainty: intervals follow the ranges and the validation rows, and two points share each draw."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from scipy.stats import qmc, triang

from memgrain.cli import call
from memgrain.errors import MemgrainError
from memgrain.hwmodels import ChipFile, Provenance, chip_names, load_chip, read_chip
from memgrain.inputs.quantities import parse_duration
from memgrain.plots.tornado import MOST, tornado
from memgrain.runs.options import RunOptions
from memgrain.runs.task import Task
from memgrain.runs.validated import Joint
from memgrain.runs.validated import law as error_law
from memgrain.uncertainty import (
    Quantiles,
    SampledPoints,
    UncertainResult,
    interval_of,
    ratio_of,
    sample,
    uncertain_result,
)
from memgrain.uncertainty.ends import Span
from memgrain.uncertainty.error import factors
from memgrain.uncertainty.parameters import WHOLE, UncertainParameter, read_amount, uncertain_parameters
from memgrain.uncertainty.uncertain_result import OUTSIDE, uncertain_result_of

SHORT: dict[str, Any] = {"shape.kv_len": 2048}
KNOWN: dict[str, Any] = {known.item.path: known.item.value for known in uncertain_parameters(read_chip("toy"), {})}
"""Overrides that fix every parameter of the toy with a range: a chip without uncertainty."""
SAMPLES = 40
CHIP = """\
extends: toy
title: Mine
sources: {T: invented for tests}
launch_overhead: {value: 1 us, kind: assumed, source: T, range: [1 us, 2 us], reason: to be added to the time}
memory:
  - name: l2
    partitions: {value: 1, kind: assumed, source: T, range: [1, 2], reason: 2 is refused without more numbers}
"""


def law(value: Any, low: Any, high: Any) -> UncertainParameter:
    """The draws of a parameter with that range."""
    item = Provenance("l2.x", value, "assumed", "", (low, high), "invented")
    (found,) = uncertain_parameters(ChipFile(load_chip("toy"), {"l2.x": item}), {})
    return found


@pytest.mark.parametrize(
    ("value", "ends", "quantiles"),
    [
        ("2 us", ("1 us", "2 us"), {0.0: "1 us", 0.25: "1.5 us", 1.0: "2 us"}),
        ("100 ns", ("10 ns", "1 us"), {0.0: "10 ns", 0.125: "31.6228 ns", 0.5: "100 ns", 1.0: "1 us"}),
        ("2 us", ("0 ns", "4 us"), {0.125: "1 us", 0.5: "2 us"}),
        ("2 nCK", ("1 nCK", "3 ns"), {0.0: "1 ns", 1.0: "3 ns"}),
        ("1 TB/s", ("0.9 TB/s", "1.1 TB/s"), {0.125: "950 GB/s", 0.5: "1 TB/s"}),
        (0.5, (0.25, 0.5), {0.25: 0.375}),
        (16, (8, 32), {0.0: 8, 0.24: 8, 0.26: 16, 0.74: 16, 0.76: 32, 1.0: 32}),
        (80, (80, 96), {0.66: 80, 0.67: 96}),
        (24, (24, 25), {0.66: 24, 0.67: 25}),
        ("256 B", ("64 B", "1 KiB"), {0.1: "64 B", 0.5: "256 B", 0.9: "1 KiB"}),
        ("227 KiB", ("192 KiB", "227 KiB"), {0.0: "192 KiB", 0.25: "209 KiB", 1.0: "227 KiB"}),
        ("lru", ("lru", "srrip"), {0.66: "lru", 0.67: "srrip"}),
        (True, (False, True), {0.33: False, 0.34: True}),
    ],
)
def test_a_number_has_its_law(value: Any, ends: tuple[Any, Any], quantiles: dict[float, Any]) -> None:
    found = law(value, *ends)
    assert {level: found.at(level) for level in quantiles} == quantiles


@given(st.tuples(*[st.integers(1, 1000)] * 3).map(sorted), st.floats(0, 1))
def test_a_quantity_has_the_triangular_law_of_scipy(three: list[int], level: float) -> None:
    low, value, high = three
    if low < high <= 2 * low:
        found = law(f"{value} us", f"{low} us", f"{high} us").at(level)
        expected = triang.ppf(level, (value - low) / (high - low), low, high - low)
        assert parse_duration(found) == pytest.approx(expected * 1e6, rel=1e-5)


@pytest.mark.parametrize("name", chip_names())
def test_draws_stay_in_their_ranges_and_whole_numbers_whole(name: str) -> None:
    file = read_chip(name)
    for known in uncertain_parameters(file, {}):
        ends = known.item.range or ()
        for level in (0.0, 0.1, 0.5, 0.77, 1.0):
            drawn = read_amount(known.at(level), file.chip)
            limits = [read_amount(end, file.chip) for end in ends]
            if drawn is None or None in limits:
                assert known.at(level) in (*ends, known.item.value)
                continue
            low, high = (limit[1] for limit in limits if limit)
            assert low * (1 - 1e-5) <= drawn[1] <= high * (1 + 1e-5), known.item.path
            assert drawn[0] not in WHOLE or drawn[1] == int(drawn[1])


def test_what_is_set_is_known_and_units_must_agree() -> None:
    paths = {known.item.path for known in uncertain_parameters(read_chip("mlu370_x4"), {})}
    tile = {"ipu.matmul.tile": {"m": 1, "n": 64, "k": 64}}
    left = {known.item.path for known in uncertain_parameters(read_chip("mlu370_x4", tile), tile)}
    assert paths - left == {"ipu.matmul.tile.m", "ipu.matmul.tile.n", "ipu.matmul.tile.k"}
    assert not any(path.startswith("interconnect") for path in paths)
    with pytest.raises(MemgrainError, match=r"l2\.x: 3 ns with the range \['1 KiB', '4 KiB'\]; write all three"):
        law("3 ns", "1 KiB", "4 KiB")


def test_what_one_chip_inherits_of_another_is_one_number() -> None:
    first, second, other = (
        {known.item for known in uncertain_parameters(read_chip(name), {})}
        for name in ("ascend_910b1", "ascend_910b2", "h100_sxm")
    )
    shared = {item.path for item in first & second}
    assert {"hbm.window", "l2.ways", "hbm.standard.timings.tRCD"} <= shared
    assert "aic.bandwidth" not in shared  # each has its own value and source
    assert {item.path for item in first & other}.isdisjoint(("hbm.window", "l2.ways", "launch_overhead"))


@given(st.floats(-0.5, 0.5), st.floats(0.01, 0.3), st.floats(-0.9, 0.9))
def test_the_models_errors_have_their_joint_law(mean: float, deviation: float, shared: float) -> None:
    covariance = deviation**2 * np.array([[1, shared], [shared, 1]])
    levels = qmc.LatinHypercube(2, seed=np.random.default_rng(0)).random(20_000)
    logs = np.log(factors(Joint(np.array([mean, -mean]), covariance), levels))
    assert logs.mean(axis=0) == pytest.approx([mean, -mean], abs=0.01 * deviation)
    assert np.cov(logs.T) == pytest.approx(covariance, abs=0.05 * deviation**2)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The toy with a launch of 1 to 2 us."""
    path = tmp_path_factory.mktemp("chip") / "mine.yaml"
    path.write_text(CHIP)
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the rows are kept."""
    return tmp_path_factory.mktemp("rows")


def pair(chip: str) -> list[Task]:
    """Two decode steps on a chip with an uncertain launch."""
    one = KNOWN | {"l2.partitions": 1}
    return [Task(chip, one, "decode_topk", SHORT | {"shape.head_dim": dim}) for dim in (128, 64)]


@pytest.fixture(scope="module")
def sampled(mine: str, folder: Path) -> SampledPoints:
    """Two points on common draws."""
    return sample(pair(mine), RunOptions(folder, 1, samples=SAMPLES, seed=7))


def test_the_interval_is_that_of_the_range(sampled: SampledPoints) -> None:
    found = uncertain_result(sampled, "time_us", "time", lambda first, second: first)
    assert found.assumptions is not None
    levels = (found.assumptions.low, found.assumptions.median, found.assumptions.high)
    # quantiles of a triangular distribution that falls from its lower end
    parts = [1 - np.sqrt(1 - level) for level in (0.05, 0.5, 0.95)]
    assert levels == pytest.approx([found.nominal + part for part in parts], abs=1.5 / SAMPLES)
    strata = np.floor(SAMPLES * (1 - (1 - (sampled.values("time_us")[:, 0] - found.nominal)) ** 2))
    assert sorted(strata) == list(range(SAMPLES))  # one draw in each: a Latin hypercube
    assert found.notes[0].startswith("decode_topk on mine: not validated; nearest: ")
    assert found.notes[2] == OUTSIDE  # the file has the launch at the lower end of its range


def test_what_two_points_share_cancels(sampled: SampledPoints) -> None:
    gap = uncertain_result(sampled, "time_us", "gap", np.subtract)
    assert gap.assumptions is not None
    assert [gap.assumptions.low, gap.assumptions.high] == pytest.approx([gap.nominal] * 2)
    values = sampled.nominal_values("time_us"), sampled.values("time_us")
    certain = uncertain_result_of("gap", *values, None, 1, np.subtract, ["", ""], ["mine"])
    assert certain.decides(gap.nominal - 1e-6, gap.nominal + 1e-6) is True
    alone = uncertain_result_of("time", *values, None, 1, lambda first, second: first, ["", ""], ["mine"])
    assert alone.decides(alone.nominal + 0.5, np.inf) is None
    assert alone.within(alone.nominal + 0.5, np.inf) == pytest.approx(0.25, abs=0.05)
    assert alone.decides(alone.nominal + 1.5, np.inf) is False


def test_the_same_seed_gives_the_same_rows_which_are_not_run_again(
    mine: str, folder: Path, sampled: SampledPoints
) -> None:
    size = (folder / "rows.jsonl").stat().st_size
    again = sample(pair(mine), RunOptions(folder, samples=SAMPLES, seed=7))
    assert (again.values("time_us") == sampled.values("time_us")).all()
    assert (folder / "rows.jsonl").stat().st_size == size


def test_the_models_error_is_added(sampled: SampledPoints) -> None:
    found = uncertain_result(sampled, "time_us", "time", lambda first, second: first)
    assert found.model is not None
    own = [found.model.low / found.nominal, found.model.high / found.nominal]
    assert own == pytest.approx(sampled.points[0].trust(round(found.nominal * 1e6)).factors, rel=5e-3)
    assert found.assumptions is not None
    assert found.combined.low < found.assumptions.low
    assert found.combined.high > found.assumptions.high
    ratio = uncertain_result(sampled, "time_us", "ratio", np.divide)
    assert ratio.model is not None
    times = sampled.nominal_values("time_us")
    timed = zip(sampled.points, times, strict=True)
    joint = error_law().joint([point.subject().in_time(round(time * 1e6)) for point, time in timed])
    assert joint.covariance[0, 1] > 0, "what both points share cancels in their ratio"
    ends = [ratio.model.low / ratio.nominal, ratio.model.high / ratio.nominal]
    assert ends == pytest.approx([joint.quantile(level, (1, -1)) for level in (0.05, 0.95)], rel=5e-3)
    effective = uncertain_result(sampled, "effective_bandwidth_share", "share", lambda first, second: first)
    assert effective.model is not None
    assert effective.model.high / effective.nominal == pytest.approx(1 / own[0], rel=5e-3)
    bytes_read = uncertain_result(sampled, "dram_read_bytes", "bytes", lambda first, second: first)
    assert bytes_read.model is None
    assert bytes_read.notes[0].endswith("that is an error of times, so none is counted for dram_read_bytes")


def test_without_ranges_and_validation_there_is_no_interval() -> None:
    task = Task("toy", KNOWN, "decode_topk", SHORT)
    with pytest.raises(
        MemgrainError, match="no number of toy has a range and the model's error is known of times only"
    ):
        interval_of(task, "dram_read_bytes", RunOptions(samples=4, jobs=1))
    with pytest.raises(MemgrainError, match="samples is 1, must be at least 2"):
        interval_of(task, options=RunOptions(samples=1))
    with pytest.raises(MemgrainError, match="no metric 'tim_us'"):
        ratio_of(task, task, "tim_us")


def test_a_share_of_draws_and_a_verdict() -> None:
    draws = np.linspace(0, 10, 101)
    found = UncertainResult("x", 5, None, None, Quantiles(0.5, 5, 9.5), draws, ())
    assert found.within(2, 4) == pytest.approx(21 / 101)
    assert [found.decides(*bounds) for bounds in ((0, 10), (0.5, 9.5), (4, 99), (9.6, 99))] == [True, True, None, False]
    apart = UncertainResult("x", 12, None, None, Quantiles(0.5, 5, 9.5), draws, ())
    assert [apart.decides(*bounds) for bounds in ((0, 10), (11, 99), (0, 12))] == [None, None, True]


def test_the_command_prints_intervals_draws_a_tornado_and_names_what_was_refused(
    mine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for key, value in {**KNOWN, **SHORT}.items() for word in ("--set", f"{key}={value}")]
    asked = ["run", mine, "decode_topk", *sets, "--uncertainty", "--samples", "4", "-o", str(tmp_path), "-j", "1"]
    assert call(asked) == 0
    shown = capsys.readouterr().out
    assert "decode_topk on mine: not validated; nearest: " in shown
    assert "never admitted: l2.partitions=2" in shown
    assert (tmp_path / "tornado.png").read_bytes().startswith(b"\x89PNG")
    assert call([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    launch = next(item for item in found["numbers"] if item["path"] == "launch_overhead")
    assert launch["values"] == pytest.approx([found["usual"], found["usual"] + 1])
    assert found["draws"] == 4
    assert found["never_admitted"] == ["l2.partitions=2"]
    assert 1 <= found["refused"] < 40
    assert found["usual"] <= found["assumptions"]["low"] < found["assumptions"]["high"] <= found["usual"] + 1
    assert found["combined"]["low"] < found["assumptions"]["low"]


@pytest.mark.parametrize("more", [["--samples", "3"], ["-o", "x"], ["--uncertainty", "--assumptions"]])
def test_options_that_nothing_reads_are_refused(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["run", "toy", "decode_topk", *more]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("count", [0, 1, MOST + 3])
def test_the_tornado_can_be_read(count: int) -> None:
    made = [
        Span(f"hbm.standard.timings.t{i}", "400 ns", kind, ("200 ns", "1 us"), (100 - 40 / (i + 1), 100 + 90 / (i + 1)))
        for i, kind in zip(range(count), itertools.cycle(("assumed", "derived", "measured", "vendor")), strict=False)
    ]
    refused = Span("l2.partitions", 1, "assumed", (1, 2), (100.0, None))
    same_side = Span("l2.ways", 16, "assumed", (8, 32), (150.0, 140.0))
    half = Span("l2.slices", 16, "assumed", (8, 32), (None, 60.0))
    figure = tornado(
        [*made, refused, same_side, half][:: -1 if count == 1 else 1],
        100.0,
        "effective_bandwidth_share",
        "toy decode " + "l2.ways=16 " * 20,
    )
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    axis = figure.axes[0]
    away = [tick for tick in axis.get_xticklabels() if not axis.viewLim.x0 <= tick.get_position()[0] <= axis.viewLim.x1]
    texts = [
        text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and text not in away
    ]
    boxes = [text.get_window_extent(renderer) for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert figure.bbox.padded(1).contains(box.x0, box.y0), text
        assert figure.bbox.padded(1).contains(box.x1, box.y1), text
    for (one, first), (two, second) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        over = Bbox.intersection(first.padded(-1), second.padded(-1))
        assert over is None or over.width * over.height < 1, (one, two)
    assert len(figure.axes[0].get_yticks()) == min(count + 2, MOST)
