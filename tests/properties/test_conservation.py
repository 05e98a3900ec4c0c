"""What goes in comes out: for every chip, pattern, layout and phase, bytes are conserved and no bound is beaten."""

from __future__ import annotations

import pytest

from memgrain import hwmodels
from memgrain.sim import Result, simulate
from memgrain.workloads import count_bytes
from tests.properties.workloads_of import CASES, trace_of

CHIPS = hwmodels.chip_names()


def check(chip: hwmodels.Chip, result: Result) -> None:
    """The identities that hold between a result's counters."""
    counters, dram, cache = result.counters, chip.dram.name, chip.cache
    assert sum(result.breakdown.values()) == result.time
    assert min(result.breakdown.values()) >= 0
    assert result.time >= result.bounds.time
    assert (
        counters[f"{dram}.row_hits"] + counters[f"{dram}.row_misses"] + counters[f"{dram}.row_conflicts"]
        == counters[f"{dram}.accesses"]
    )
    if cache is not None:
        name, granule = cache.name, cache.fill_granule
        assert counters[f"{dram}.read_bytes"] == counters[f"{name}.misses"] * granule
        assert counters[f"{dram}.write_bytes"] == counters[f"{name}.writebacks"] * granule
        assert counters[f"{name}.sector_hits"] <= counters[f"{name}.sector_lookups"]
    for level in (dram, cache.name if cache else dram):
        for key in [key.rsplit(".", 1)[1] for key in counters if key.startswith(f"{level}.") and key.count(".") == 2]:
            parts = [
                n
                for k, n in counters.items()
                if k.startswith(f"{level}.") and k.count(".") == 2 and k.endswith(f".{key}")
            ]
            assert sum(parts) == counters[f"{level}.{key}"], (level, key)


@pytest.mark.parametrize("name", CHIPS)
def test_bytes_are_conserved_and_no_bound_is_beaten(name: str) -> None:
    chip = hwmodels.load_chip(name)
    for pattern, layout, phase in CASES:
        trace = trace_of(chip, pattern, layout, phase)
        result = simulate(chip, trace)
        check(chip, result)
        asked = count_bytes(trace)
        if chip.cache is not None:
            for tensor, (read, written) in asked.items():
                assert result.counters.get(f"{chip.cache.name}.{tensor}.read_bytes", 0) == read
                assert result.counters.get(f"{chip.cache.name}.{tensor}.write_bytes", 0) == written
        scratchpad = chip.scratchpad
        assert scratchpad is not None
        total = sum(read + written for read, written in asked.values())
        assert result.counters[f"{scratchpad.name}.bytes"] >= total
        assert result.counters[f"{chip.dram.name}.read_bytes"] >= trace.useful_bytes


@pytest.mark.parametrize("before", ["dirty", "warm"])
@pytest.mark.parametrize("name", ["h100_sxm", "ascend_910b4", "mlu370_x4", "toy"])
def test_it_holds_from_other_states_too(name: str, before: str) -> None:
    chip = hwmodels.load_chip(name)
    for pattern, phase in (("topk", "decode"), ("causal", "prefill")):
        check(chip, simulate(chip, trace_of(chip, pattern, "bsnd", phase), before=before))


@pytest.mark.parametrize("name", ["toy", "h100_sxm", "ascend_910b1", "mlu370_x8"])
def test_same_input_same_bits(name: str) -> None:
    chip = hwmodels.load_chip(name)
    first, second = (simulate(chip, trace_of(chip, "topk", "paged", "decode"), intervals=True) for _ in range(2))
    assert first == second
    assert first.intervals


@pytest.mark.parametrize("name", ["toy", "h100_sxm", "ascend_910b1", "mlu370_x8"])
def test_half_the_tile_changes_little(name: str) -> None:
    """Tiles are reserved whole; halving them bounds the error of that, on a gather of many tiles."""
    chip = hwmodels.load_chip(name)
    whole, half = (
        simulate(chip, trace_of(chip, "topk", "bnsd", "decode", kv_len=65536, block_kv=block, stages=stages, splits=8))
        for block, stages in ((64, 2), (32, 4))
    )
    assert half.counters[f"{chip.dram.name}.read_bytes"] == pytest.approx(
        whole.counters[f"{chip.dram.name}.read_bytes"], rel=0.02
    )
    assert half.time == pytest.approx(whole.time, rel=0.15)


def test_intervals_of_a_place_do_not_overlap_and_fill_the_breakdown() -> None:
    chip = hwmodels.load_chip("toy")
    result = simulate(chip, trace_of(chip, "causal", "bnsd", "prefill"), intervals=True)
    assert result.intervals is not None
    places: dict[tuple[int, int], int] = {}
    for interval in result.intervals:
        assert interval.start >= places.get((interval.core, interval.slot), 0)
        assert interval.end > interval.start
        places[interval.core, interval.slot] = interval.end
    number = result.counters["core.resident"] * chip.matmul_core.count
    spent = sum(interval.end - interval.start for interval in result.intervals)
    busy = sum(time for what, time in result.breakdown.items() if what not in ("launch", "idle"))
    assert busy == pytest.approx(spent / number, abs=20)
