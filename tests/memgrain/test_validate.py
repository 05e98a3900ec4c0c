"""Validation: predictions follow the rows of a file, and errors follow their definitions."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from memgrain.cli import call
from memgrain.plots.validation import scatter
from memgrain.runs.execute import Outcome
from memgrain.runs.options import NoProgress, RunOptions
from memgrain.runs.rows import Row
from memgrain.validation import validate
from memgrain.validation.calls import Gather
from memgrain.validation.cases import STATES, CaseMaker, ValidationCase
from memgrain.validation.compare import kendall_tau, report, with_errors
from memgrain.validation.records import MEASURED, read_records
from memgrain.workloads import Workload

FILES = Path(__file__).parent.parent / "validation"
QUICK = {"h100_microbench.csv": ("0", "1", "50", "70"), "h100_attention.csv": ("163", "219", "220", "321", "388")}
"""Rows that take tenths of a second, of every family but prefill."""
Cells = dict[str, str]


def rows_of(name: str, *ids: str) -> list[Cells]:
    """Rows of a shipped file; all if no id is given."""
    with (FILES / name).open(newline="") as file:
        return [row for row in csv.DictReader(file) if not ids or row["id"] in ids]


def write(path: Path, rows: list[Cells], without: tuple[str, ...] = ()) -> Path:
    """A CSV of these rows and all of their columns."""
    names = [name for name in dict.fromkeys(itertools.chain(*rows)) if name not in without]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A file of quick rows of several families."""
    return write(tmp_path / "quick.csv", [row for name, ids in QUICK.items() for row in rows_of(name, *ids)])


def made(path: Path, chip: str | None = None) -> dict[str, ValidationCase]:
    maker = CaseMaker(chip, {}, False)
    return {record.id: maker.make(record) for record in read_records(path)}


@pytest.mark.parametrize("name", ["h100_attention.csv", "h100_microbench.csv", "h200_microbench.csv"])
def test_every_row_becomes_a_case_whose_bytes_and_programs_are_those_measured(name: str) -> None:
    rows = {row["id"]: row for row in rows_of(name)}
    cases = made(FILES / name)
    assert cases.keys() == rows.keys()
    assert len({case.key for case in cases.values()}) == len(cases)
    for number, case in cases.items():
        row = rows[number]
        assert case.useful_bytes == int(row["useful_bytes"])
        assert case.chip.name == ("h200_sxm" if "H200" in row["device"] else "h100_sxm")
        assert case.state == row["l2_state"]
        assert (case.earlier is not None) == (case.state == "prev_step")
        if isinstance(case.call, Gather):
            assert -(-case.call.rows // case.call.block_n) == int(row["grid"])
            assert case.call.resident is not None
        else:
            assert case.call.tiling.scratchpad_bytes == int(row["shared"]) + 1024


def test_useful_work_is_known_without_its_columns(tmp_path: Path) -> None:
    for name in ("h100_attention.csv", "h100_microbench.csv"):
        bare = made(write(tmp_path / name, rows_of(name), ("useful_bytes", "useful_flops")))
        for row in rows_of(name):
            assert bare[row["id"]].useful_bytes == int(row["useful_bytes"])
            if row.get("useful_flops"):
                assert bare[row["id"]].useful_flops == pytest.approx(float(row["useful_flops"]), rel=1e-9)


def test_the_programs_of_a_decode_are_those_launched() -> None:
    cases = made(FILES / "h100_attention.csv")
    for row in rows_of("h100_attention.csv", "163", "219", "308"):
        asked = cases[row["id"]].call
        assert isinstance(asked, Workload)
        assert (asked.tiling.splits, asked.tiling.block_kv) == (int(float(row["splits"])), int(row["block_n"]))


def test_the_roofline_is_as_wrong_as_those_who_measured_found() -> None:
    errors: dict[str, list[float]] = {}
    cases = made(FILES / "h100_attention.csv")
    for row in rows_of("h100_attention.csv"):
        error = cases[row["id"]].roofline() * 1e6 / float(row["kernel_time_us"]) - 1
        errors.setdefault(row["family"], []).append(abs(error))
    means = {family: sum(found) / len(found) for family, found in errors.items()}
    assert means["decode"] == pytest.approx(0.39, abs=0.02)
    assert means["prefill"] == pytest.approx(0.80, abs=0.02)


def test_a_file_is_predicted_compared_and_kept(quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert call(["validate", str(quick), "--json", "-o", str(out), "-j", "2"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {name: found["rows"] for name, found in printed["families"].items()} == {
        "stream": 2,
        "gather": 1,
        "gather_step": 1,
        "decode": 5,
    }
    assert printed["overall"]["rows"] == 9
    assert 0 < printed["overall"]["time_median"] <= printed["overall"]["time_worst"]
    assert printed["families"]["gather"]["dram_bytes_median_error"] < 0.02
    with (out / "predictions.csv").open(newline="") as file, quick.open() as measured:
        predicted = {row["id"]: row for row in csv.DictReader(file)}
        assert [*predicted] == [row["id"] for row in csv.DictReader(measured)]
    assert all(float(row["predicted_time_us"]) > 2 and row["bottleneck"] for row in predicted.values())
    assert float(predicted["70"]["predicted_time_dirty_us"]) > float(predicted["70"]["predicted_time_us"])
    assert (out / "scatter.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "worst.csv").read_text().count("\n") == 10

    begun = (out / "rows.jsonl").stat().st_mtime_ns
    assert call(["validate", str(quick), "-o", str(out), "--chip", "h100_sxm"]) == 0
    said = capsys.readouterr()
    assert "9 of 9 points have their rows already" in said.err
    assert (out / "rows.jsonl").stat().st_mtime_ns == begun
    assert "overall" in said.out
    assert "bottleneck" in said.out
    assert max(map(len, said.out.splitlines())) <= 120


def test_without_measured_columns_it_predicts_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**row, "unheard_of": "1"} for row in rows_of("h100_attention.csv", "163", "219")]
    launch = ("block_n", "splits", "num_stages", "num_warps", "regs", "shared", "l2_state")
    path = write(tmp_path / "bare.csv", rows, (*MEASURED, *launch, "useful_bytes", "useful_flops", "window"))
    out = tmp_path / "out"
    assert call(["validate", str(path), "--json", "-o", str(out), "-j", "1"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["overall"]["time_mape"] is None
    assert "nothing compared" in said.err
    assert len((out / "predictions.csv").read_text().splitlines()) == 3
    assert not (out / "scatter.png").exists()


def test_an_interrupt_keeps_what_was_finished(quick: Path, tmp_path: Path) -> None:
    class Impatient(NoProgress):
        def done(self, row: Row) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        validate(quick, options=RunOptions(tmp_path / "out", 1, progress=Impatient()))
    assert len((tmp_path / "out" / "predictions.csv").read_text().splitlines()) >= 2


def test_a_sample_is_the_same_for_the_same_seed(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def predicted(case: ValidationCase) -> Row:
        return {"id": case.key, "predicted_time_us": 1.0}

    taken: list[list[str]] = []

    def run(points: list[ValidationCase], refused: list[str], folder: Path, *rest: object) -> Outcome:
        taken.append(sorted(point.number for point in points))
        (folder / "rows.jsonl").write_text("".join(json.dumps(predicted(p)) + "\n" for p in points))
        return Outcome(folder / "rows.jsonl", len(points))

    monkeypatch.setattr("memgrain.validation.run.run_points", run)
    for seed in (1, 1, 2):
        validate(quick, sample=4, options=RunOptions(seed=seed))
    assert len(taken[0]) == 4
    assert taken[0] == taken[1] != taken[2]


Spoil = Callable[[Path], Path]


def spoiled(column: str, value: str, number: str = "219", name: str = "h100_attention.csv") -> Spoil:
    """A file one cell of which is wrong."""
    return lambda folder: write(folder / "f.csv", [row | {column: value} for row in rows_of(name, number)])


def lacking(column: str, number: str = "219", name: str = "h100_attention.csv") -> Spoil:
    """A file that lacks a column."""
    return lambda folder: write(folder / "f.csv", rows_of(name, number), (column,))


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda folder: folder / "nothing.csv", "", "cannot be read (No such file"),
        (lambda folder: write(folder / "f.csv", [{"id": "1", "family": "decode"}]), "", "column 'head_dim' is missing"),
        (lacking("family"), "", "column 'family' is missing"),
        (lacking("context"), "", "column 'context' is missing"),
        (lacking("order", "55", "h100_microbench.csv"), "", "column 'order' is missing"),
        (lacking("device"), "", "name the chip"),
        (lacking("step_overlap", "388"), "", "row 388: l2_state is prev_step and step_overlap is empty"),
        (spoiled("device", "TPU"), "", "row 219: no chip is known for device 'TPU'"),
        (spoiled("family", "decod"), "", "did you mean 'decode'"),
        (spoiled("context", "many"), "", "row 219: context is 'many', must be a number"),
        (spoiled("context", "10.5"), "", "must be a whole number"),
        (spoiled("context", ""), "", "row 219: context is empty"),
        (spoiled("head_dim", "0"), "", "row 219: workload: expected"),
        (spoiled("kernel_time_us", "fast"), "", "row 219: kernel_time_us is 'fast'"),
        (spoiled("kernel_time_us", "0"), "", "must be above 0"),
        (spoiled("selection", "some"), "", "must be one of dense, topk"),
        (spoiled("layout", "DHN"), "", "must be one of HND, NHD"),
        (spoiled("l2_state", "hot"), "", f"must be one of {', '.join(STATES)}"),
        (spoiled("kernel", "flush"), "", "row 219: no kernel 'flush'"),
        (spoiled("kernel", "triton_gt_gather"), "", "kernel triton_gt_gather is for gather"),
        (spoiled("causal", "maybe", "434"), "", "must be True or False"),
        (spoiled("n_rows", "0", "55", "h100_microbench.csv"), "", "row 55: rows is 0"),
        (spoiled("id", "219"), "--chip h100", "did you mean"),
        (spoiled("id", "219"), "--set l2.wayz=3", "did you mean 'ways'"),
        (spoiled("id", "219"), "--sample 0", "sample is 0"),
        (spoiled("id", "219"), "--jobs 0", "jobs is 0"),
    ],
)
def test_a_mistake_is_one_line(
    spoil: Spoil, options: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["validate", str(spoil(tmp_path)), *options.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("memgrain: ")
    assert said.err.count("\n") == 1
    assert message in said.err


@pytest.fixture
def frame() -> pd.DataFrame:
    """Invented rows: times off by +10, -20 and 0 %, the last without counters, the second next to no DRAM bytes."""
    rows = [
        ("decode", 64, 100.0, 110.0, 1000, 1010, 0.50, 0.52, 80.0),
        ("decode", 96, 200.0, 160.0, 1, 51, 0.90, 0.86, 50.0),
        ("prefill", 64, 300.0, 300.0, None, 5, None, 0.1, 300.0),
    ]
    return pd.DataFrame(
        {
            "family": family,
            "device": "chip",
            "alike": family,
            "kernel": "mine",
            "pattern": "dense",
            "head_dim": dim,
            "useful_bytes": 1000.0,
            "kernel_time_us": time,
            "predicted_time_us": predicted,
            "kernel_time_dirty_us": None,
            "predicted_time_dirty_us": 1.0,
            "dram_read_bytes": bytes_,
            "predicted_dram_read_bytes": moved,
            "l2_read_sectors_32b": 100.0,
            "l2_read_hit_sectors_32b": None if hits is None else 100 * hits,
            "predicted_l2_read_sectors_32b": 50.0,
            "predicted_l2_read_hit_sectors_32b": 50 * found,
            "roofline_time_us": roofline,
        }
        for family, dim, time, predicted, bytes_, moved, hits, found, roofline in rows
    ).astype({"kernel_time_dirty_us": float, "l2_read_hit_sectors_32b": float})


def test_errors_are_what_their_names_say(frame: pd.DataFrame) -> None:
    found = report(with_errors(frame))
    decode = found["families"]["decode"]
    assert decode["rows"] == 2
    assert decode["time_mape"] == pytest.approx(0.15)
    assert decode["time_worst"] == pytest.approx(0.2)
    assert decode["time_bias"] == pytest.approx(-0.05)
    assert decode["dram_bytes_mean_error"] == pytest.approx((0.01 + 0.5) / 2)
    assert decode["l2_hit_rate_mae"] == pytest.approx(0.03)
    assert decode["roofline_time_mape"] == pytest.approx((0.2 + 0.75) / 2)
    assert decode["kendall_tau"] == 1.0
    assert decode["time_dirty_mape"] is None
    assert found["families"]["prefill"]["dram_bytes_mean_error"] is None
    assert found["families"]["prefill"]["kendall_tau"] is None
    assert found["overall"]["time_mape"] == pytest.approx(0.1)
    assert found["overall"]["time_p90"] == pytest.approx(0.18)
    assert [(row["family"], row["head_dim"], row["rows"]) for row in found["head_dims"]] == [
        ("decode", 64, 1),
        ("decode", 96, 1),
        ("prefill", 64, 1),
    ]
    assert found["head_dims"][1]["time_bias"] == pytest.approx(-0.2)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_tau_counts_pairs() -> None:
    def tau(first: list[float], second: list[float]) -> float:
        pairs = itertools.combinations(zip(first, second, strict=True), 2)
        return kendall_tau((a[0] - b[0], a[1] - b[1]) for a, b in pairs)

    assert tau([1, 2, 3, 4], [1, 2, 3, 4]) == 1
    assert tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert tau([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    assert tau([1, 2, 3], [1, 1, 3]) == pytest.approx(2 / 3)
    assert math.isnan(tau([1], [1]))


def test_the_scatter_shows_every_row_and_the_band(frame: pd.DataFrame) -> None:
    figure = scatter(with_errors(frame))
    (axis,) = figure.axes
    shown = [point for marks in axis.collections for point in marks.get_offsets().tolist()]  # type: ignore[union-attr]
    assert [x for x, _ in sorted(shown)] == [100, 200, 300]
    assert [y for _, y in sorted(shown)] == pytest.approx([1.1, 0.8, 1.0])
    assert axis.get_xscale() == axis.get_yscale() == "log"
    assert "µs" in axis.get_xlabel()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["64: +5.0% (2)", "96: -20.0% (1)", "decode dense: -5.0% (2)", "prefill dense: +0.0% (1)"]
