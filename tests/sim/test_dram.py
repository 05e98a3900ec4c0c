"""DRAM channels: every gate of the constraint table, refresh, page policies, and a cycle-level simulator's answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from memgrain import hwmodels
from memgrain.sim.dram.dram import Dram
from memgrain.sim.levels.level import PS
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.validation.channel import ChannelValidation, compare, read_cases
from memgrain.workloads.trace import READ, WRITE
from tests.sim.conftest import pieces
from tests.sim.dram_reference import place_of

REFERENCE = Path(__file__).parents[1] / "validation" / "dramsim3.csv"


DDR4 = Path(__file__).with_name("dramsim3_ddr4.csv")
"""66 rows of DRAMSim3 (github umd-memsys/DRAMsim3), made as those of `REFERENCE` were."""


def channel(standard: str, **keys: object) -> Dram:
    """One channel of a standard at the data rate of its burst, with nothing between core and controller."""
    found = hwmodels.load_standard(standard)
    burst_time = keys.pop("burst_time", max(found.service("rank", "RD"), found.timings["tBL"]))
    spec = hwmodels.Dram.model_construct(
        kind="dram", name="hbm", standard=found, capacity=8 << 30, channels=1, interleave=found.row, channel_hash=False,
        smallest_access=found.burst, bandwidth=found.burst * PS // int(str(burst_time)), window=8, page_policy="open",
        write_batch=16, latency=0,
    )  # fmt: skip
    spec = spec.model_copy(update={"latency": spec.closed_row_time, **keys})
    return Dram(spec, ("X",))


def at(dram: Dram, address: int, now: int, op: int = READ) -> int:
    """End of one smallest access."""
    return dram.serve(Request(pieces([(address, dram.spec.smallest_access, op)]), NO_INDEX, 0, 1), 0, 0, now)


def address_of(dram: Dram, bank: int = 0, group: int = 0, row: int = 0, column: int = 0) -> int:
    """Address of a place in the map of hbm2 (row, rank, bank group, bank, channel, column from the top)."""
    standard = dram.spec.standard
    number = (row * standard.bank_groups + group) * standard.banks_per_group + bank
    return number * standard.row + column * standard.burst


START = 100_000
"""A time in ps before the first refresh at which all banks are idle."""


def test_gates_of_one_bank() -> None:
    """ACT to RD, RD to PRE, PRE to ACT, ACT to ACT: a row hit needs none, a conflict all of them."""
    dram = channel("hbm2")
    t, standard = dram.spec.standard.timings, dram.spec.standard
    closed = t["tRCD"] + t["tCL"] + dram.spec.burst_time
    assert at(dram, address_of(dram, row=1), START) == START + closed
    later = START + 200_000
    assert at(dram, address_of(dram, row=1, column=1), later) == later + t["tCL"] + dram.spec.burst_time
    assert at(dram, address_of(dram, row=2), later + 200_000) == later + 200_000 + t["tRP"] + closed
    dram = channel("hbm2")
    at(dram, address_of(dram, row=1), START)
    cycle = standard.delay("bank", "ACT", "ACT")
    assert at(dram, address_of(dram, row=2), START) == START + cycle + closed
    assert dram.counters()["row_conflicts"] == 1


@pytest.mark.parametrize(("second", "gate"), [({"group": 1}, "tRRD_S"), ({"bank": 1}, "tRRD_L")])
def test_gates_between_activations(second: dict[str, int], gate: str) -> None:
    """The next activation of the rank waits tRRD_S, of the bank group tRRD_L, the fifth for its tFAW to end."""
    dram = channel("hbm2")
    first = at(dram, address_of(dram), START)
    service = max(dram.spec.standard.service("rank", "ACT"), dram.spec.standard.timings[gate])
    assert at(dram, address_of(dram, **second), START) == first + service
    dram = channel("hbm2")
    ends = [at(dram, address_of(dram, bank=i // 4, group=i % 4), START) for i in range(9)]
    assert ends[8] - ends[0] == 2 * dram.spec.standard.timings["tFAW"]


def test_bus_and_bank_group_share_out_columns() -> None:
    """Reads of one open row follow each other at tCCD_L, those of different groups at the bus's pace."""
    slow = channel("hbm3")
    t = slow.spec.standard.timings
    base = [at(slow, i * 32, START) for i in range(9)]
    assert (base[8] - base[0]) == 8 * t["tCCD_L"]
    both = channel("hbm2")
    ends = [at(both, address_of(both, group=i % 4, column=i // 4), START) for i in range(64)]
    assert (ends[63] - ends[31]) == 32 * both.spec.burst_time


def test_refresh_blocks_and_closes_rows() -> None:
    dram = channel("hbm2")
    t = dram.spec.standard.timings
    at(dram, 0, START)
    due = t["tREFI"]
    assert at(dram, 0, due + 1) == due + t["tRFC"] + t["tRCD"] + t["tCL"] + dram.spec.burst_time
    assert dram.counters()["refreshes"] == 1
    ddr = channel("hbm2")
    ends = [at(ddr, i * 64, 0) for i in range(20000)]
    share = 1 - t["tRFC"] / t["tREFI"]
    assert 20000 * ddr.spec.burst_time / ends[-1] == pytest.approx(share, rel=0.01)


def test_closed_page_policy_forgets_a_row_after_its_last_access() -> None:
    opened, closed = channel("hbm2"), channel("hbm2", page_policy="closed")
    for dram in (opened, closed):
        at(dram, 0, START)
        at(dram, 64, START + 1_000_000)
        at(dram, address_of(dram, row=3), START + 2_000_000)
    assert (opened.counters()["activates"], opened.counters()["row_conflicts"]) == (2, 1)
    assert (closed.counters()["activates"], closed.counters()["row_conflicts"]) == (3, 0)


def test_a_window_joins_pending_rows() -> None:
    """Two rows of a bank asked for in turn: with a window of two, requests join the pending activations."""
    for window, activates in ((1, 8), (2, 2)):
        dram = channel("hbm2", window=window)
        for i in range(8):
            at(dram, address_of(dram, row=i % 2, column=i // 2), START)
        assert dram.counters()["activates"] == activates


def test_writes_turn_the_bus_round() -> None:
    few, many = channel("hbm2", write_batch=64), channel("hbm2", write_batch=4)
    for dram in (few, many):
        for i in range(400):
            at(dram, i * 64, START, WRITE)
    assert at(many, 0, START) > at(few, 0, START)
    assert few.counters()["write_bytes"] == 400 * 64


@pytest.mark.parametrize("hashed", [False, True])
def test_the_map_is_one_to_one(hashed: bool) -> None:
    dram = channel("hbm2", channels=5, channel_hash=hashed)
    places = (place_of(i, dram.arrays.config[0]) for i in range(5 * 16 * 8))
    seen = {(channel, *place) for channel, _, *place in places}
    assert len(seen) == 5 * 16 * 8


def test_agrees_with_a_cycle_level_simulator() -> None:
    """DRAMSim3 on one channel of HBM2 and LPDDR4: bandwidth and activates within 5 % (median) and 15 % (worst)."""
    records, cases = read_cases(REFERENCE)
    found = ChannelValidation(compare(records, cases, {case.id(): case.run() for case in cases})).summary()["overall"]
    assert found["rows"] == 26
    for name in ("bandwidth", "activates"):
        assert found[f"{name}_median_error"] < 0.05, found
        assert found[f"{name}_worst_error"] < 0.15, found


@pytest.mark.slow
def test_agrees_with_a_cycle_level_simulator_at_other_speeds() -> None:
    """DRAMSim3 on one channel of DDR4 at 1.87 to 3.2 Gb/s, devices of x4, x8 and x16.

    The worst rows read a piece of many columns in one bank group, whose bank DRAMSim3 leaves after four row hits.
    """
    records, cases = read_cases(DDR4)
    assert {case.standard.clock_period for case in cases} == {1070, 940, 830, 750, 680, 630}
    found = ChannelValidation(compare(records, cases, {case.id(): case.run() for case in cases})).summary()["overall"]
    assert found["rows"] == 66
    for name in ("bandwidth", "activates"):
        assert found[f"{name}_median_error"] < 0.05, found
        assert found[f"{name}_worst_error"] < 0.20, found
