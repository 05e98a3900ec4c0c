"""Do the DRAM standards read as tables, and do their figures come out?"""

from __future__ import annotations

from pathlib import Path

import pytest

from hwmodels import DramStandard, chip_names, load_chip, load_standard, standard_names
from hwmodels.load import FOLDER


@pytest.fixture(params=standard_names())
def standard(request: pytest.FixtureRequest) -> DramStandard:
    return load_standard(request.param)


def test_the_standards_are_those_that_the_chips_need() -> None:
    assert {"hbm2", "hbm2e", "hbm3", "hbm3e", "lpddr4", "lpddr5", "ddr5"} <= set(standard_names())
    assert {load_chip(name).dram.standard.name for name in chip_names()} <= set(standard_names())


def test_activations_of_a_rank_are_bounded_by_the_window_of_four(standard: DramStandard) -> None:
    timings = standard.timings
    slowest = max(standard.service("rank", "ACT"), standard.service("channel", "ACT"))
    assert slowest == max(-(-timings["tFAW"] // 4), timings["tRRD_S"])
    assert standard.delay("rank", "ACT", "ACT") == timings["tRRD_S"]


def test_a_bank_cycles_in_active_time_and_precharge(standard: DramStandard) -> None:
    cycle = standard.timings["tRAS"] + standard.timings["tRP"]
    assert standard.delay("bank", "ACT", "ACT") == standard.service("bank", "ACT") == cycle
    assert standard.delay("bank", "ACT", "PRE") + standard.delay("bank", "PRE", "ACT") == cycle
    assert 35_000 <= cycle <= 65_000


def test_reads_are_slower_within_a_bank_group(standard: DramStandard) -> None:
    assert standard.service("bank_group", "RD") == standard.timings["tCCD_L"] >= standard.service("rank", "RD")


def test_a_turn_of_the_bus_costs_more_than_its_two_bursts(standard: DramStandard) -> None:
    turn = standard.delay("rank", "RD", "WR") + standard.delay("rank", "WR", "RD")
    assert turn > 2 * standard.timings["tBL"]
    assert standard.delay("bank_group", "WR", "RD") >= standard.delay("rank", "WR", "RD")


def test_pairs_that_the_table_does_not_name_do_not_wait(standard: DramStandard) -> None:
    assert standard.delay("bank", "PRE", "PRE") == 0
    assert standard.service("rank", "PRE") == 0


def test_refresh_takes_a_few_per_cent(standard: DramStandard) -> None:
    share = standard.latency(standard.refresh.duration) / standard.latency(standard.refresh.interval)
    assert 0.02 < share < 0.1


@pytest.mark.parametrize("name", ["hbm2", "lpddr4", "ddr5"])
def test_clocks_equal_nanoseconds(name: str, tmp_path: Path) -> None:
    text = (FOLDER / "dram" / f"{name}.yaml").read_text(encoding="utf-8")
    period = load_standard(name).clock_period
    for clocks in range(10000, 0, -1):
        text = text.replace(f"value: {clocks} nCK", f"value: {clocks * period} ps")
    (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    assert "value: 14 nCK" not in text
    assert load_standard(tmp_path / f"{name}.yaml") == load_standard(name)


@pytest.mark.parametrize(
    ("name", "banks", "row", "burst", "timings"),
    [
        ("hbm2", 16, 2048, 64, {"tCL": 14_000, "tFAW": 30_000, "tRAS": 34_000, "tREFI": 3_900_000, "tRFC": 260_000}),
        ("lpddr4", 16, 8192, 128, {"tCL": 14_110, "tFAW": 26_560, "tRAS": 26_560, "tREFI": 7_187_800, "tRFC": 325_360}),
        ("hbm3", 32, 1024, 32, {"tFAW": 20_000, "tCCD_S": 1_528}),
        ("lpddr5", 16, 2048, 32, {"tRCD": 18_000, "tFAW": 20_000, "tCCD_L": 5_000}),
        ("ddr5", 32, 4096, 64, {"tCL": 15_000, "tFAW": 20_000, "tRFC": 295_000}),
    ],
)
def test_figures(name: str, banks: int, row: int, burst: int, timings: dict[str, int]) -> None:
    standard = load_standard(name)
    assert (standard.banks, standard.row, standard.burst) == (banks, row, burst)
    assert {key: standard.timings[key] for key in timings} == timings


@pytest.mark.parametrize("name", chip_names())
def test_the_pins_can_carry_the_bandwidth_of_the_chip(name: str) -> None:
    dram = load_chip(name).dram
    bursts = dram.smallest_access // dram.standard.burst
    assert bursts * dram.standard.service("rank", "RD") <= dram.burst_time * 1.005
