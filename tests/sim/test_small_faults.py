"""Answers of the simulator that only planted faults showed to be untested."""

from __future__ import annotations

from memgrain.sim.dram.dram import Dram
from memgrain.sim.levels.request import NO_INDEX
from memgrain.sim.prefetch.prefetched import reads
from memgrain.workloads.steps.prefetch import accesses
from memgrain.workloads.trace import WRITE
from tests.sim.test_compute import units
from tests.sim.test_dram import START, address_of, at, channel


def test_a_row_that_was_written_is_left_after_write_recovery() -> None:
    """WR to PRE, PRE to ACT, and a closed row's access."""
    dram = channel("hbm2")
    standard, later = dram.spec.standard, START + 100_000
    at(dram, address_of(dram, row=1), START)
    at(dram, address_of(dram, row=1, column=1), later, WRITE)
    waits = standard.delay("bank", "WR", "PRE") + standard.timings["tRP"]
    assert at(dram, address_of(dram, row=2), later) == later + waits + dram.spec.closed_row_time


def test_writes_share_the_turns_of_the_bus_by_batches() -> None:
    """The bus stands still for a read to write and a write to read, of which the latter takes longer in its own bank
    group: one write in four. Each batch of writes pays it once, less the two bursts that it takes anyway."""
    ends = []
    for batch in (4, 64):
        dram = channel("hbm2", write_batch=batch)
        for i in range(400):
            at(dram, address_of(dram, group=i % 4, column=i // 4 % 16), START, WRITE)
        ends.append(at(dram, 0, START))
    standard = dram.spec.standard
    back = (3 * standard.delay("rank", "WR", "RD") + standard.delay("bank_group", "WR", "RD")) // 4
    idle = standard.delay("rank", "RD", "WR") + back - 2 * dram.spec.burst_time
    assert standard.delay("bank_group", "WR", "RD") > standard.delay("rank", "WR", "RD")
    assert ends[0] - ends[1] == 400 * (idle // 4 - idle // 64)


def test_a_standard_without_a_row_cycle_has_that_of_its_parts() -> None:
    """ACT to PRE and PRE to ACT, where no row of the table says ACT to ACT."""
    spec = channel("hbm2").spec
    rows = [
        row
        for row in spec.standard.constraints
        if (row.level, row.following) != ("bank", "ACT") or row.preceding != "ACT"
    ]
    standard = spec.standard.model_copy(update={"constraints": rows})
    assert standard.delay("bank", "ACT", "ACT") == 0
    dram = Dram(spec.model_copy(update={"standard": standard}), ("X",))
    at(dram, address_of(dram, row=1), START)
    cycle = standard.timings["tRAS"] + standard.timings["tRP"]
    assert at(dram, address_of(dram, row=2), START) == START + cycle + spec.closed_row_time


def test_a_step_without_a_product_takes_the_vector_units_alone() -> None:
    work = units().work(0, 0, 0, 0, 0, 0, 1000)
    assert work.vector == work.alone > 0
    assert work.matmul == work.macs == 0


def test_what_is_left_of_a_run_stays_where_it_is_in_a_later_repeat() -> None:
    """It is asked for with the repeat's number, which its addresses contain already."""
    (run,) = reads([(4096, 128)], 3)
    assert accesses(run, NO_INDEX, [0, 7]).ravel().tolist() == [4096, 4096]
