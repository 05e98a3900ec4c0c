"""Rows of a DRAM simulator are predicted with the standard that they name, and errors follow their definitions."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pandas as pd
import pytest

from memgrain.cli import call
from memgrain.errors import MemgrainError
from memgrain.hwmodels import load_standard, standard_names
from memgrain.hwmodels.load import FOLDER
from memgrain.plots.channel import scatter
from memgrain.sim.dram.channel import Queues, keep_busy, one_channel
from memgrain.validation.channel import STANDARDS, ChannelValidation, compare, is_channel_file, read_cases

FILES = Path(__file__).parent.parent / "validation"
REFERENCE = FILES / "dramsim3.csv"
QUEUES = Queues(32, 8)
Cells = dict[str, str]


def rows(*patterns: str) -> list[Cells]:
    """Rows of the shipped file with that standard and pattern."""
    with REFERENCE.open(newline="") as file:
        return [row for row in csv.DictReader(file) if f"{row['dram'].partition('_')[0]} {row['pattern']}" in patterns]


def write(path: Path, cells: list[Cells], **changes: str) -> Path:
    """A CSV of these rows with some cells changed; a change to '-' leaves the column out."""
    names = [name for name in cells[0] if changes.get(name) != "-"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*names, *(set(changes) - set(names) - set(cells[0]))], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row | changes for row in cells)
    return path


def mine(folder: Path, name: str, **values: str) -> Path:
    """A standard like ddr4, written by hand, with some values replaced."""
    text = (FOLDER / "dram" / "ddr4.yaml").read_text(encoding="utf-8")
    for old, new in values.items():
        text = text.replace(f"{old}: {{value: ", f"{old}: {{value: {new}, kind: derived}}  # ")
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_configuration_known_by_name_has_its_standard() -> None:
    assert set(STANDARDS.values()) <= set(standard_names())
    assert is_channel_file(REFERENCE)
    assert not any(is_channel_file(FILES / name) for name in ("h100_microbench.csv", "h100_attention.csv", "none.csv"))


def test_ddr4_is_the_configuration_that_it_says() -> None:
    """Two ranks of 16 banks; 200,000 cycles of a stream are the peak less one refresh of 420 cycles in 9,360."""
    ddr4 = load_standard("ddr4").in_whole_clocks()
    assert (ddr4.banks, ddr4.row, ddr4.burst) == (32, 8192, 64)
    time = 200_000 * ddr4.clock_period
    spec = one_channel(ddr4, 8, "open")
    assert spec.burst_time == 4 * ddr4.clock_period
    spread = keep_busy(spec, (8192 * i for i in range(10**6)), time, QUEUES)
    assert spread.bandwidth / (64e12 / spec.burst_time) <= 1
    found = keep_busy(spec, (64 * (i * 4 % 128 + i // 32 % 4) + 8192 * (i % 4) for i in range(10**6)), time, QUEUES)
    assert 1 - 420 / 9360 - 0.01 < found.bandwidth / (64e12 / spec.burst_time) <= 1
    one_group = keep_busy(spec, (64 * i for i in range(10**6)), time, QUEUES)
    assert 4 / 6 < one_group.bandwidth / (64e12 / spec.burst_time) < 0.95
    alone = keep_busy(spec, (i << 22 for i in range(10**6)), time, QUEUES)
    assert alone.count == alone.activates == pytest.approx(200_000 / (39 + 17), rel=0.06)


@pytest.mark.parametrize(
    ("cells", "period"),
    [
        ({"dram": "DDR4_8Gb_x8_3200", "tck_ns": "0.63", "peak_gb_s": "25.397"}, 630),
        ({"dram": "DDR4_8Gb_x8_3200", "tck_ns": "0.63", "peak_gb_s": "-"}, 630),
        ({"dram": "DDR4_8Gb_x8_3200", "tck_ns": "", "peak_gb_s": "25.6"}, 625),
        ({"dram": "ddr4_4gb_x16_2666_2", "tck_ns": "", "peak_gb_s": ""}, 750),
        ({"dram": "DDR4_8Gb_x4_1866", "tck_ns": "1.07", "peak_gb_s": "14.95"}, 1070),
        ({"dram": "HBM2_4Gb_x128", "tck_ns": "1", "peak_gb_s": "32", "burst_bytes": "64"}, 1000),
        ({"dram": "DDR4_8Gb_x8", "tck_ns": "", "peak_gb_s": ""}, 830),
    ],
)
def test_a_row_is_compared_at_the_speed_that_it_states(cells: Cells, period: int, tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", rows("lpddr4 stream"), **({"burst_bytes": "64"} | cells))
    (case,) = read_cases(path)[1]
    assert case.standard.clock_period == pytest.approx(period, abs=1)
    assert case.standard.timings["tBL"] % case.standard.clock_period == 0
    assert case.time == pytest.approx(200_000 * period, rel=0.002)


@pytest.mark.parametrize(
    ("cells", "complaint"),
    [
        ({"dram": "DDR4_8Gb_x8_3200", "tck_ns": "0.83"}, "has a clock of 0.625 ns, the row has one of 0.83 ns"),
        ({"dram": "DDR4_8Gb_x8", "tck_ns": "0.5"}, "a clock of 0.5 ns is faster than ddr4 goes, 0.625 ns"),
        ({"dram": "DDR4_8Gb_x8", "tck_ns": "0.83", "peak_gb_s": "25.6"}, "a channel of ddr4 with a clock of 0.83 ns"),
        ({"dram": "DDR4_8Gb_x8", "tck_ns": "-0.83"}, "tck_ns is -0.83, must be above 0"),
        ({"dram": "DDR4_8Gb_x8", "tck_ns": "", "peak_gb_s": "0"}, "peak_gb_s is 0, must be above 0"),
        ({"dram": "DDR3_8Gb_x8_1600"}, "no DRAM standard is known for 'DDR3_8Gb_x8_1600'"),
    ],
)  # fmt: skip
def test_a_row_at_a_speed_that_cannot_be_is_refused(cells: Cells, complaint: str, tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", rows("lpddr4 stream"), **({"burst_bytes": "64"} | cells))
    with pytest.raises(MemgrainError) as caught:
        read_cases(path)
    assert complaint in str(caught.value)


def test_a_read_under_way_at_the_end_does_not_count() -> None:
    spec = one_channel(load_standard("hbm2"), 8, "open")
    found = keep_busy(spec, (2048 * 16 * i for i in range(10**6)), 10 * 48_000, Queues(32, 8))
    assert (found.count, found.activates, found.row_hits) == (10, 10, 0)


def test_the_report_by_standard_and_pattern(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write(tmp_path / "f.csv", rows("hbm2 stride", "lpddr4 stream"), cycles="20000"), tmp_path / "out"
    assert call(["validate", str(path), "--json", "-o", str(out), "-j", "1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {name: found["rows"] for name, found in printed["standards"].items()} == {"hbm2": 4, "lpddr4": 1}
    assert {name: found["rows"] for name, found in printed["families"].items()} == {
        "hbm2 stride": 4,
        "lpddr4 stream": 1,
    }
    assert printed["overall"]["rows"] == 5
    assert 0 < printed["standards"]["hbm2"]["bandwidth_median_error"] < 0.1
    assert (out / "scatter.png").read_bytes().startswith(b"\x89PNG")
    predicted = pd.read_csv(out / "predictions.csv")
    assert predicted["standard"].tolist() == ["hbm2"] * 4 + ["lpddr4"]
    assert (predicted["predicted_bandwidth_gb_s"] > 1).all()
    assert len(pd.read_csv(out / "worst.csv")) == 5
    assert call(["validate", str(path), "-j", "1"]) == 0
    said = capsys.readouterr().out
    assert "hbm2 (hbm2_8gb_x128_2gbps)" in said
    assert max(map(len, said.splitlines())) <= 120


def test_a_standard_written_by_hand_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A kept-back configuration, known or not, alone in its file or beside others; and what was not measured."""
    stream = [row | {"dram": "Somebodys_DDR4", "burst_bytes": "64"} for row in rows("lpddr4 stream")]
    slow = mine(tmp_path, "mine", tBL="8 nCK", tCCD_S="8 nCK")
    path = write(tmp_path / "f.csv", stream, cycles="20000", activates="-", bandwidth_gb_s="-", reads="-", row_hits="-")
    assert call(["validate", str(path), "--dram", str(slow), "--json", "-o", str(tmp_path / "out"), "-j", "1"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["overall"]["bandwidth_median_error"] is None
    assert "1 rows predicted, nothing compared" in said.err
    (bandwidth,) = pd.read_csv(tmp_path / "out" / "predictions.csv")["predicted_bandwidth_gb_s"]
    assert 0.93 < bandwidth / (64 / 6.64) <= 1  # less one or two refreshes of a rank that the stream waits for
    assert not (tmp_path / "out" / "scatter.png").exists()
    stream = [row | {"peak_gb_s": ""} for row in stream]
    both = write(tmp_path / "both.csv", stream + rows("lpddr4 stream", "hbm2 stream"))
    assert [case.standard.name for case in read_cases(both, str(slow))[1]] == ["mine", "hbm2", "lpddr4"]
    other = mine(tmp_path, "hbm2")
    one = write(tmp_path / "one.csv", rows("hbm2 stream"), peak_gb_s="")
    assert read_cases(one, str(other))[1][0].standard.banks == 32


def test_errors_are_what_their_names_say() -> None:
    records, cases = read_cases(REFERENCE)
    predicted = {
        case.id(): {
            "id": case.id(),
            "predicted_bandwidth_gb_s": 1.1 * float(record.cells["bandwidth_gb_s"]),
            "predicted_activates": (0.8 if case.pattern == "stream" else 1.0) * float(record.cells["activates"]),
            "predicted_row_hits": 1.0,
            "predicted_reads": 2.0,
        }
        for record, case in zip(records, cases, strict=True)
    }
    found = ChannelValidation(compare(records, cases, predicted))
    overall = found.summary()["overall"]
    assert (overall["bandwidth_median_error"], overall["bandwidth_bias"]) == (pytest.approx(0.1), pytest.approx(0.1))
    assert (overall["activates_median_error"], overall["activates_worst_error"]) == (0, pytest.approx(0.2))
    assert found.summary()["families"]["hbm2 stream"]["activates_bias"] == pytest.approx(-0.2)
    shares = [float(r.cells["row_hits"]) / float(r.cells["reads"]) for r in records]
    assert overall["row_hit_rate_mae"] == pytest.approx(math.fsum(abs(0.5 - s) for s in shares) / len(shares))
    assert found.worst(2)["pattern"].tolist() == ["stream", "stream"]
    shown = [marks.get_offsets() for marks in scatter(found.frame).axes[0].collections]
    assert sum(len(points) for points in shown) == 26


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"cycles": "-"}, "", "column 'cycles' is missing"),
        ({"dram": "gddr9"}, "", "no DRAM standard is known for 'gddr9'; known: hbm2_8gb_x128_2gbps"),
        ({"dram": ""}, "", "or name a standard"),
        ({"dram": "-"}, "", "or name a standard"),
        ({}, "--dram hbm7", "no DRAM standard 'hbm7'"),
        ({}, "--dram nothing.yaml", "nothing.yaml: cannot be read"),
        ({}, "--dram lpddr4", "row 1: burst_bytes is 64, a burst of lpddr4 has 128"),
        ({}, "--chip h100_sxm", "chip is not for rows of a DRAM channel; leave it out"),
        ({"pattern": "chase"}, "", "row 1: pattern is 'chase', must be one of stream, rows, stride"),
        ({"parameter_bytes": "100"}, "", "row 1: parameter_bytes is 100, must be a multiple of the burst of 64 bytes"),
        ({"cycles": "many"}, "", "row 1: cycles is 'many', must be a number"),
        ({"cycles": "0"}, "", "row 1: cycles and tck_ns must be above 0"),
        ({"policy": "HALF_PAGE"}, "", "must be one of OPEN_PAGE, CLOSE_PAGE"),
        ({"activates": "few"}, "", "row 1: activates is 'few', must be a number"),
    ],
)
def test_a_mistake_is_one_line(
    changes: Cells, options: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "f.csv", rows("hbm2 rows"), **changes)
    assert call(["validate", str(path), *options.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert message in said.err


def test_a_standard_that_fits_no_configuration_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["validate", str(REFERENCE), "--dram", "ddr5"]) == 2
    assert "none of its configurations is ddr5" in capsys.readouterr().err
    assert call(["validate", str(FILES / "h100_microbench.csv"), "--dram", "hbm3"]) == 2
    assert "column 'pattern' is missing" in capsys.readouterr().err
