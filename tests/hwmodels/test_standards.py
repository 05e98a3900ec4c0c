"""Do the DRAM standards read as tables, and do their figures come out?"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from memgrain.hwmodels import DramStandard, HardwareError, chip_names, load_chip, load_standard, standard_names
from memgrain.hwmodels.load import FOLDER


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


@pytest.mark.parametrize("name", ["hbm2", "hbm3", "ddr5"])
def test_clocks_equal_nanoseconds_at_the_standards_own_clock(name: str, tmp_path: Path) -> None:
    text = (FOLDER / "dram" / f"{name}.yaml").read_text(encoding="utf-8")
    period = load_standard(name).clock_period
    for clocks in range(10000, 0, -1):
        text = text.replace(f"value: {clocks} nCK", f"value: {clocks * period} ps")
    (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    assert "nCK, kind" not in text
    written, shipped = load_standard(tmp_path / f"{name}.yaml"), load_standard(name)
    assert written.timings == shipped.timings
    half = Fraction(shipped.clock_period, 2)
    assert written.at(half).timings == written.timings
    scaled = {key: shipped.timings[key] // 2 for key in shipped.clocked}
    assert scaled["tBL"] > 0
    assert shipped.at(half).timings == shipped.timings | scaled


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
def test_a_channel_runs_at_the_rate_that_the_chip_asks_of_it(name: str) -> None:
    dram = load_chip(name).dram
    assert dram.at_rate.peak * dram.channels == pytest.approx(dram.bandwidth, rel=0.002)
    assert dram.at_rate.clock_period >= dram.standard.shortest_clock * 0.995
    bursts = dram.smallest_access // dram.standard.burst
    assert bursts * dram.at_rate.burst_time == pytest.approx(dram.burst_time, rel=0.002)


@pytest.mark.parametrize(
    ("name", "gigabits", "bits"),
    [("ddr4", 3.2, 64), ("ddr5", 8.8, 32), ("hbm2", 2.4, 128), ("hbm2e", 3.6, 64), ("hbm3", 6.4, 32),
     ("hbm3e", 9.8, 32), ("lpddr4", 4.267, 64), ("lpddr5", 6.4, 16)],
)  # fmt: skip
def test_the_fastest_channel_has_the_data_rate_of_the_fastest_bin(name: str, gigabits: float, bits: int) -> None:
    assert load_standard(name).fastest.peak == pytest.approx(gigabits * 1e9 * bits / 8, rel=0.003)


DDR4 = {
    1866: (1070, 13, 13, 13, 32, 327, 7285, 4, 5, 22, 5),
    2133: (940, 15, 15, 15, 36, 374, 8328, 4, 6, 23, 6),
    2400: (830, 17, 17, 17, 39, 420, 9360, 4, 6, 26, 6),
    2666: (750, 19, 19, 19, 43, 467, 10398, 4, 7, 28, 7),
    2933: (680, 21, 21, 21, 47, 514, 11439, 4, 8, 31, 8),
    3200: (630, 22, 22, 22, 52, 560, 12480, 4, 8, 34, 8),
}
"""DRAMSim3's configurations of 8 Gb x8 by their data rate: the clock in ps, and timings in clocks."""
NAMES = ("tCL", "tRCD", "tRP", "tRAS", "tRFC", "tREFI", "tRRD_S", "tRRD_L", "tFAW", "tCCD_L")


@pytest.mark.parametrize("speed", DDR4)
def test_ddr4_in_whole_clocks_is_each_configuration_of_dramsim3(speed: int) -> None:
    """Within a clock, or by what the rounded clock makes of long ones. At 1866 JEDEC has tRAS 34 ns and tFAW 23 ns."""
    clock, *clocks = DDR4[speed]
    standard = load_standard("ddr4").at(Fraction(clock)).in_whole_clocks()
    for name, wanted in zip(NAMES, clocks, strict=True):
        found, rest = divmod(standard.timings[name], clock)
        assert rest == 0
        assert abs(found - wanted) <= max(1, 0.01 * wanted) + (speed == 1866 and name in ("tRAS", "tFAW"))


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("timings.tRFC", "1 s", "tREFI 3.9 us leaves no time to open a row (48 ns) between refreshes of tRFC 1 s"),
        ("timings.tRFC", "3.9 us", "raise tREFI or lower tRFC"),
        ("timings.tREFI", "1 ps", "tREFI 1 ps leaves no time"),
        ("timings.tREFI", "0 ns", "tREFI 0 ps leaves no time"),
        ("timings.tRAS", "10 ns", "tRAS 10 ns is below tRCD 14 ns, but a row would close before it can be read"),
        ("timings.tFAW", "1 ns", "tFAW 1 ns is below tRRD_S 1.528 ns, but 4 such commands take longer than one"),
        ("timings.tBL", "100 nCK", "4 channels of hbm3 carry at most 2.048 GB/s, hbm.bandwidth is 64 GB/s; raise"),
        ("clock_period", "1 ps", "clock_period 1 ps is no command clock of a DRAM, which takes 100 ps to 100 ns"),
        ("shortest_clock", "0.8 ns", "shortest_clock 800 ps is longer than clock_period 764 ps"),
        ("ranks", 10**9, "ranks <= 64, got 1000000000"),
        ("bank_groups", 2**63, "bank_groups <= 64, got 9223372036854775808"),
        ("banks_per_group", 0, "banks_per_group > 0, got 0 @ hbm.standard.banks_per_group"),
    ],
)
def test_a_standard_that_cannot_be_is_one_line(path: str, value: object, complaint: str) -> None:
    with pytest.raises(HardwareError) as caught:
        load_chip("toy", {f"hbm.standard.{path}": value})
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
