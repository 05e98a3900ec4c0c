"""A calibration recovers the parameters behind the measurements, and states their intervals."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from memgrain.calibration import FITS, Calibration, Fit, RowFilter, fragment, open_calibration
from memgrain.calibration.empty import EmptyCase
from memgrain.calibration.search import Found, SearchVariable, search
from memgrain.cli import call
from memgrain.hwmodels import chip_names, load_chip, read_chip
from memgrain.runs.options import RunOptions
from memgrain.validation.cases import CaseMaker
from memgrain.validation.records import Record

FILES = Path(__file__).parent.parent / "validation"
MEASUREMENTS = Path(__file__).parents[2] / "measurements"
TOY = """
extends: toy
sources: {ME: "planted"}
launch_overhead: {value: 2 us, kind: assumed, source: ME, range: [0.5 us, 4 us], reason: "unknown"}
core: &none
memory:
  - name: l2
    capacity: {value: 16 MiB, kind: assumed, source: ME, range: [8 MiB, 16 MiB], reason: "unknown"}
    bandwidth: {value: 60 GB/s, kind: assumed, source: ME, range: [10 GB/s, 80 GB/s], reason: "unknown"}
  - name: hbm
    standard:
      extends: hbm3
      timings:
        tFAW: {value: 50 ns, kind: assumed, source: ME, range: [40 ns, 200 ns], reason: "unknown"}
""".replace("core: &none\n", "")
PLANTED = {"launch_overhead": "1.234 us", "l2.bandwidth": "25 GB/s", "hbm.standard.timings.tFAW": "120 ns"}
TOY_FITS = (
    Fit("launch_overhead", ((RowFilter("stream", "warm", mib=(0, 0.1)),),), "next to nothing"),
    Fit("l2.bandwidth", ((RowFilter("stream", "warm", mib=(0.5, 4)),),), "hits only"),
    Fit("hbm.standard.timings.tFAW", ((RowFilter("gather", "cold", row_bytes=(1, 64)),),), "an activation a row"),
)
Cells = dict[str, str]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A chip with three uncertain parameters."""
    path = tmp_path / "mine.yaml"
    path.write_text(TOY, encoding="utf-8")
    return path


def row(number: int, family: str, rows: int, row_bytes: int, **cells: Any) -> Cells:
    state = "cold" if family == "gather" else "warm"
    known = {"id": number, "family": family, "l2_state": state, "row_bytes": row_bytes, "n_rows": rows, "block_n": 64}
    pool = {"row_stride_bytes": row_bytes, "pool_bytes": 64 * rows * row_bytes, "order": "random", "num_warps": 4}
    return {name: str(value) for name, value in (known | pool | cells).items()}


ROWS = [
    row(0, "stream", 128, 512),
    row(1, "stream", 2048, 512),
    row(2, "stream", 4096, 512),
    row(3, "gather", 4096, 64),
    row(4, "gather", 8192, 32),
    row(5, "gather", 1024, 1024),
]


def write(path: Path, rows: list[Cells]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for cells in rows for name in cells)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def measured(chip: Path, folder: Path, settings: Mapping[str, Any] = PLANTED) -> Path:
    """A file with times of the chip with these parameters."""
    maker = CaseMaker(str(chip), settings, False)
    times = [maker.make(Record("f.csv", cells["id"], cells)).run()["predicted_time_us"] for cells in ROWS]
    return write(folder / "f.csv", [c | {"kernel_time_us": repr(t)} for c, t in zip(ROWS, times, strict=True)])


def test_planted_numbers_are_found(toy: Path, tmp_path: Path) -> None:
    found = open_calibration([measured(toy, tmp_path)], str(toy), 12, TOY_FITS)
    assert [len(item.rows) for item in found.fitted] == [1, 2, 2]
    said: list[str] = []
    found.run(RunOptions(jobs=1), said.append)
    planted = load_chip(toy, PLANTED)
    chip = load_chip(toy, found.settings())
    assert chip.launch_overhead == pytest.approx(planted.launch_overhead, rel=0.01)
    assert chip.cache is not None
    assert planted.cache is not None
    assert chip.cache.bandwidth == pytest.approx(planted.cache.bandwidth, rel=0.02)
    assert chip.dram.standard.timings["tFAW"] == pytest.approx(planted.dram.standard.timings["tFAW"], rel=0.01)
    before, after = found.families(found.before), found.families(found.after)
    assert before.keys() == after.keys() == {"stream", "gather"}
    assert max(after.values()) < 0.005 < 0.1 < min(before.values())
    for item in found.fitted:
        assert item.found is not None
        assert item.found.interval is not None
        low, high = item.found.interval
        assert item.quantity.low < low <= item.found.value <= high < item.quantity.high
        assert high - low < 0.1 * (item.quantity.high - item.quantity.low)
    assert any("tFAW" in line for line in said)

    path = tmp_path / "fitted.yaml"
    path.write_text(fragment(found), encoding="utf-8")
    assert max(map(len, path.read_text().splitlines())) <= 120
    again = read_chip(path)
    assert again.chip.model_copy(update={"name": chip.name}) == chip
    item = again.provenance["hbm.standard.timings.tFAW"]
    assert (item.kind, item.source.split()[:2]) == ("derived", ["memgrain", "calibrate"])
    assert item.range is not None
    assert "fitted to 2 rows (an activation a row)" in item.reason
    assert read_chip(path).provenance["hbm.standard.timings.tRFC"].kind == "derived"


def test_a_number_outside_of_its_range_stops_at_the_bound_and_says_so(toy: Path, tmp_path: Path) -> None:
    path = measured(toy, tmp_path, {"launch_overhead": "5 us"})
    found = open_calibration([path], str(toy), 6, TOY_FITS[:1])
    found.run(RunOptions(jobs=1), lambda line: None)
    (item,) = found.fitted
    assert item.found is not None
    assert (item.found.bound, item.value) == ("high", "4 us")
    assert "stopped at the upper bound of the old range" in " ".join(fragment(found).split())


def unknown(
    name: str, start: float, objective: Any, low: float = 0, high: float = 10, whole: bool = False
) -> SearchVariable:
    return SearchVariable(name, start, low, high, whole, objective)


def test_numbers_that_depend_on_each_other_are_found_by_turns() -> None:
    told: list[Found] = []
    found = search(
        [
            unknown("a", 9, lambda v: abs(v["a"] - 3) + 0.2 * abs(v["b"] - 7) + 0.01),
            unknown("b", 1, lambda v: abs(v["b"] - 10 + v["a"])),
            unknown("n", 1, lambda v: abs(v["n"] - 6), whole=True),
            unknown("idle", 4, lambda v: 0.05 + 1e-5 * v["idle"]),
            unknown("far", 4, lambda v: 20 - v["far"]),
        ],
        told.append,
    )
    assert (found["a"].value, found["b"].value) == (pytest.approx(3, abs=0.1), pytest.approx(7, abs=0.1))
    assert found["n"].value == 6
    assert (found["idle"].value, found["idle"].idle, found["idle"].interval) == (4, True, (0, 10))
    assert (found["far"].value, found["far"].bound, found["far"].open_high) == (10, "high", True)
    interval = found["far"].interval
    assert interval is not None
    assert interval[0] == pytest.approx(9, abs=0.2)
    assert {item.name for item in told} == set(found)


def test_every_listed_number_is_one_of_a_chip_with_its_rows_and_a_range() -> None:
    files = [FILES / "h100_microbench.csv", MEASUREMENTS / "h100_launch.csv"]
    found = open_calibration(files, "h100_sxm")
    assert found.skipped == {}
    assert [item.fit.key for item in found.fitted] == [fit.key for fit in FITS]
    assert len(found.sample) == 24
    assert {record.text("family") for record in found.sample} == {"stream", "gather", "gather_step", "empty"}
    other = open_calibration([FILES / "h200_microbench.csv"], "h200_sxm")
    assert "no row speaks of dispatch" in other.skipped["dispatch"]
    assert all(name in chip_names() for name in (found.file.chip.name, other.file.chip.name))


def test_empty_kernels_take_the_launch_and_the_dispatch_of_their_programs() -> None:
    chip = load_chip("toy", {"dispatch": "1 ns"})
    times = [EmptyCase(chip, "0", n).run()["predicted_time_us"] for n in (1, 1001)]
    assert times[0] == pytest.approx(1.0, abs=0.01)
    assert times[1] - times[0] >= 1


def test_the_command_writes_a_chip_and_says_what_it_left_out(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = measured(toy, tmp_path, {"launch_overhead": "1.234 us"}), tmp_path / "fitted.yaml"
    assert call(["calibrate", str(path), "--chip", str(toy), "-o", str(out), "--json", "-j", "1", "--rows", "4"]) == 0
    said = capsys.readouterr()
    printed = json.loads(said.out)
    assert printed["finished"] is True
    assert printed["numbers"]["launch_overhead"]["bounds"] == ["500 ns", "4 us"]
    assert "l2.bandwidth" in printed["skipped"]
    assert "memgrain: l2.far_latency is left as it is: mine has no 'l2.far_latency'" in said.err
    assert load_chip(out).launch_overhead == pytest.approx(1.234e6, rel=0.05)


def test_an_interrupt_prints_what_was_found_so_far(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Calibration, jobs: int | None, say: Any) -> None:
        self.before = [0.1] * len(self.sample)
        self.fitted[0].found = Found("launch_overhead", 1.5e6, 0.02, None)
        raise KeyboardInterrupt

    monkeypatch.setattr(Calibration, "run", run)
    path, out = measured(toy, tmp_path), tmp_path / "fitted.yaml"
    assert call(["calibrate", str(path), "--chip", str(toy), "-o", str(out)]) == 130
    said = capsys.readouterr()
    assert "interrupted" in said.err
    assert "1.5 us" in said.out
    assert "Unfinished" in out.read_text()
    assert load_chip(out).launch_overhead == 1_500_000
    assert yaml.safe_load(out.read_text())["launch_overhead"]["range"] == ["500 ns", "4 us"]


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        (
            "h100_attention.csv",
            "--chip h100_sxm",
            "family is decode, an attention kernel; chips are fitted on microben",
        ),
        ("h200_microbench.csv", "--chip h100_sxm", "row 0: device is NVIDIA H200, which is not h100_sxm"),
        ("h100_microbench.csv", "--chip h100", "no chip 'h100'; did you mean 'h100_sxm'?"),
        ("h100_microbench.csv", "--chip h100_sxm --rows 0", "rows is 0, must be at least 1"),
        ("h100_microbench.csv", "--chip h100_sxm -o no/such/folder.yaml", "make it, or choose another file with -o"),
        ("h100_microbench.csv", "--chip toy.yaml", "toy.yaml: cannot be read"),
        ("dramsim3.csv", "--chip h100_sxm", "column 'id' is missing"),
        ("nothing.csv", "--chip h100_sxm", "cannot be read (No such file"),
    ],
)
def test_a_mistake_is_one_line(file: str, options: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["calibrate", str(FILES / file), *options.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert message in said.err


def test_a_chip_without_ranges_has_nothing_to_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "f.csv", [ROWS[0] | {"kernel_time_us": "3"}])
    assert call(["calibrate", str(path), "--chip", "toy"]) == 2
    assert "nothing to fit: toy gives no range for launch_overhead; add one to its YAML" in capsys.readouterr().err
