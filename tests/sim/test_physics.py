"""Known physics: amplification by granules, the cliff of a cyclic re-read, latencies and peaks as the YAML says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memgrain import hwmodels
from memgrain.sim import simulate
from memgrain.sim.levels.level import PS
from memgrain.sim.levels.machine import Machine
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.workloads.steps import synthetic
from memgrain.workloads.trace import READ
from tests.sim.conftest import pieces

CHIPS = hwmodels.chip_names()
UNSECTORED = {"l2.sector": "128 B", "l2.fill_granule": "128 B"}


@pytest.mark.parametrize(
    ("row", "overrides", "expected"),
    [
        (192, UNSECTORED, 4 / 3),  # each row touches two 128-byte lines
        (192, {}, 1),  # 32-byte sectors, 64-byte granules: 192 = 3 x 64
        (96, {}, 4 / 3),  # each row touches two 64-byte granules
        (128, UNSECTORED, 1),
        (256, UNSECTORED, 1),
        (64, UNSECTORED, 2),
    ],
)
def test_gathered_rows_amplify_by_the_granule(row: int, overrides: dict[str, str], expected: float) -> None:
    """Rows gathered singly, one in 64 so that neighbours never share a line; bytes from DRAM over bytes of rows."""
    chip = hwmodels.load_chip("toy", overrides)
    trace = synthetic.gather(2000, row, row, 0, 128_000, "random", 50, seed=3, index_list=False)
    result = simulate(chip, trace)
    assert result.counters["hbm.read_bytes"] / (2000 * row) == pytest.approx(expected, rel=0.02)


def test_a_cyclic_re_read_falls_off_the_cliff_under_lru() -> None:
    """The second pass hits always below the capacity of 1 MiB and never above it."""
    chip = hwmodels.load_chip("toy")
    hits = [
        simulate(chip, synthetic.stream(size << 10, 8192, 1, repeat_passes=2)).counters["l2.hits"] * 64 / (size << 10)
        for size in (256, 768, 1024, 1152, 1536, 2048)
    ]
    assert hits == pytest.approx([1, 1, 1, hits[3], 0, 0], abs=0.001)
    assert hits[3] < 0.2


@pytest.mark.parametrize("name", CHIPS)
def test_unloaded_latencies_are_what_the_yaml_says(name: str) -> None:
    """A first read takes the DRAM's latency, a second one the cache's; links add theirs, DMA engines one command."""
    chip = hwmodels.load_chip(name)
    machine = Machine(chip, synthetic.stream(1 << 16, 64, 1))
    request = Request(pieces([(0, chip.dram.smallest_access, READ)]), NO_INDEX, 0, 1)
    links = sum(level.latency for level in chip.levels if isinstance(level, hwmodels.Link))
    commands = sum(level.dma_startup or 0 for level in chip.levels if isinstance(level, hwmodels.Scratchpad))
    fill = 2 * (chip.cache.fill_granule if chip.cache else 64) * PS * chip.dram.channels // chip.dram.bandwidth
    start = 500_000  # between two refreshes of any channel that address 0 may lie in
    first = machine.top.serve(request, 0, 0, start) - start - links
    assert chip.dram.latency <= first <= chip.dram.latency + commands + fill
    if chip.cache is not None:
        later = 20_000_000
        again = machine.top.serve(request, 0, 0, later) - later - links
        transfer = 5_000
        assert chip.cache.latency <= again <= (chip.cache.far_latency or chip.cache.latency) + commands + transfer


@pytest.mark.parametrize("name", CHIPS)
def test_peak_of_the_dram_is_what_the_yaml_says(name: str) -> None:
    """A long stream takes its bytes over the peak bandwidth, lengthened by refresh and by nothing else of weight."""
    chip = hwmodels.load_chip(name)
    machine = Machine(chip, synthetic.stream(1 << 16, 64, 1))
    size = 64 << 20
    done = machine.levels[0].serve(Request(pieces([(0, size, READ)]), NO_INDEX, 0, 1), 0, 0, 0) - chip.dram.latency
    standard = chip.dram.standard
    share = 1 - standard.latency(standard.refresh.duration) / standard.latency(standard.refresh.interval)
    expected = size * PS / chip.dram.bandwidth / (share if standard.refresh.kind == "all_bank" else 1)
    assert done == pytest.approx(expected, rel=0.06)
    assert done >= size * PS // chip.dram.bandwidth - chip.dram.latency


def test_peak_of_the_cache_is_what_the_yaml_says() -> None:
    chip = hwmodels.load_chip("toy", {"core.bandwidth": "1 TB/s", "core.max_bytes_in_flight": "1 MiB"})
    result = simulate(chip, synthetic.stream(512 << 10, 16384, 8), before="warm")
    assert result.counters["l2.misses"] == 0
    busy = result.time - chip.launch_overhead
    assert busy == pytest.approx((512 << 10) * PS / chip.cache.bandwidth, rel=0.15)
    assert busy >= (512 << 10) * PS // chip.cache.bandwidth


def test_bytes_in_flight_limit_a_core_alone() -> None:
    """Little's law: one core reads at most its bytes in flight per latency, and less where a row has to be closed."""
    chip = hwmodels.load_chip("toy", {"core.max_bytes_in_flight": "4 KiB"})
    trace = synthetic.stream(1 << 20, 2048, 1)
    result = simulate(chip, trace)
    limit = 4096 * PS / chip.dram.latency
    achieved = (1 << 20) * PS / (result.time - chip.launch_overhead)
    assert 0.75 * limit < achieved <= limit


def test_a_hit_on_data_under_way_waits_for_it() -> None:
    """Two cores read the same line at once: the second finds it, and has it with the first (but for the way through the
    port, 1 ns, and the grain of arrival times)."""
    machine = Machine(hwmodels.load_chip("toy"), synthetic.stream(1 << 16, 64, 1))
    request = Request(pieces([(0, 64, READ)]), NO_INDEX, 0, 1)
    first = machine.top.serve(request, 0, 0, 0)
    assert first - 1000 <= machine.top.serve(request, 0, 1, 0) <= first + 2048


def test_dirty_lines_are_written_back_before_others_come() -> None:
    chip = hwmodels.load_chip("toy")
    trace = synthetic.stream(2 << 20, 8192, 16)
    cold, dirty = simulate(chip, trace), simulate(chip, trace, before="dirty")
    assert cold.counters["hbm.write_bytes"] == 0
    assert dirty.counters["hbm.write_bytes"] == chip.cache.capacity
    assert dirty.time > 1.3 * cold.time
    warm = simulate(chip, synthetic.stream(256 << 10, 8192, 16), before="warm")
    assert warm.counters["hbm.read_bytes"] == 0


def test_padding_of_96_costs_where_the_unit_is_wide() -> None:
    from memgrain.sim.levels.compute import Units

    narrow = Units(hwmodels.load_chip("toy"), "bf16").work(16, 64, 96, 0, 0, 0, 0)
    wide = Units(hwmodels.load_chip("toy", {"core.matmul.tile.k": 128}), "bf16").work(16, 64, 96, 0, 0, 0, 0)
    assert narrow.macs == 16 * 64 * 96
    assert wide.macs == 16 * 64 * 128
    assert wide.matmul / narrow.matmul == pytest.approx(4 / 3, rel=1e-3)


def test_a_barrier_waits_for_earlier_chunks_and_for_no_program_of_its_own() -> None:
    """Two passes of 24 programs over 8 places take twice one pass: waves of one pass do not wait for each other."""
    chip = hwmodels.load_chip("toy", {"l2.capacity": "64 KiB"})
    once, twice = (
        simulate(chip, synthetic.stream(24 << 16, 8192, 24, repeat_passes=passes), intervals=True) for passes in (1, 2)
    )
    assert twice.time - chip.launch_overhead == pytest.approx(2 * (once.time - chip.launch_overhead), rel=0.02)
    assert twice.breakdown["stall.barrier"] < 0.1 * twice.time


def test_a_further_kernel_costs_a_barrier_and_the_code_of_a_launch_is_paid_once() -> None:
    later = [
        simulate(
            hwmodels.load_chip("toy", {"barrier": barrier}),
            replace(synthetic.stream(24 << 16, 8192, 24, repeat_passes=3), launch_cycles=(cycles, 0)),
        )
        for barrier, cycles in (("0 ns", 0), ("1 us", 0), ("1 us", 5000))
    ]
    clock = hwmodels.load_chip("toy").matmul_core.clock
    assert later[1].time - later[0].time == pytest.approx(2_000_000, rel=0.02)
    assert later[2].time - later[1].time == 5000 * PS // clock
    assert later[2].breakdown["launch"] - later[1].breakdown["launch"] == 5000 * PS // clock
