"""Is every shipped chip complete, sourced, and what the research says?"""

from __future__ import annotations

from typing import Any

import pytest

from memgrain.hwmodels import ChipFile, Dram, Scratchpad, chip_names, load_chip, read_chip
from memgrain.hwmodels.load import KINDS
from memgrain.inputs.quantities import parse_bandwidth, parse_bytes, parse_duration, parse_frequency

MIB = 2**20


@pytest.fixture(params=chip_names())
def chip_file(request: pytest.FixtureRequest) -> ChipFile:
    return read_chip(request.param)


def quantity(text: Any, period: int) -> float | None:
    """The number that a value as written stands for, in base units; None for a word or a truth value."""
    if isinstance(text, bool):
        return None
    if isinstance(text, int | float):
        return float(text)
    if text.endswith("nCK"):
        return float(text.removesuffix("nCK")) * period
    for parse in (parse_bytes, parse_bandwidth, parse_duration, parse_frequency):
        try:
            return float(parse(text))
        except ValueError:
            continue
    return None


def test_the_shipped_chips() -> None:
    assert set(chip_names()) == {
        "toy",
        "h100_sxm",
        "h200_sxm",
        "a100_sxm",
        "b200",
        "tpu_v5p",
        "ascend_910b1",
        "ascend_910b2",
        "ascend_910b3",
        "ascend_910b4",
        "ascend_910c_die",
        "ascend_950pr",
        "ascend_910b_article",
        "ascend_950dt",
        "mlu370_s4",
        "mlu370_x4",
        "mlu370_x8",
        "mlu370_article",
    }


def test_every_number_has_a_kind_and_a_source(chip_file: ChipFile) -> None:
    assert len(chip_file.provenance) > 40
    for item in chip_file.provenance.values():
        assert item.kind in KINDS, f"{item.path} is {item.kind}"
        assert item.source, f"{item.path} cites nothing"
        assert not item.source.startswith("/"), f"{item.path} cites a path of one machine: {item.source}"


def test_every_number_of_the_chip_is_in_the_provenance(chip_file: ChipFile) -> None:
    levels = [*(level for core in chip_file.chip.cores for level in core.near), *chip_file.chip.memory]
    keys = ("count", "clock", "bandwidth")
    wanted = {f"{core.name}.{key}" for core in chip_file.chip.cores for key in keys} | {"launch_overhead"}
    for level in levels:
        wanted |= {f"{level.name}.{key}" for key, value in level if isinstance(value, int | float)}
        if isinstance(level, Dram):
            wanted |= {f"{level.name}.standard.timings.{key}" for key in level.standard.timings}
    assert wanted <= set(chip_file.provenance)


def test_ranges_hold_their_value_and_assumptions_have_one(chip_file: ChipFile) -> None:
    period = chip_file.chip.dram.standard.clock_period
    for item in chip_file.provenance.values():
        if item.kind == "assumed":
            assert item.range is not None, item.path
            assert item.reason, item.path
        if item.range is None:
            continue
        value, low, high = (quantity(part, period) for part in (item.value, *item.range))
        if value is None or low is None or high is None:
            assert item.value in item.range, item.path
        else:
            assert low <= value <= high, item.path


@pytest.mark.parametrize(
    ("name", "dtype", "tflops"),
    [
        ("ascend_910b1", "fp16", 363.7),
        ("ascend_910b2", "fp16", 353.9),
        ("ascend_910b3", "fp16", 294.9),
        ("ascend_910b4", "fp16", 245.8),
        ("ascend_910c_die", "fp16", 353.9),
        ("ascend_950pr", "fp16", 432.5),
        ("ascend_910b1", "int8", 727.4),
        ("ascend_910b_article", "fp16", 256.0),
        ("h100_sxm", "bf16", 1070.5),
        ("h100_sxm", "fp8", 2141.0),
        ("h200_sxm", "bf16", 1070.5),
        ("a100_sxm", "bf16", 311.9),
        ("a100_sxm", "int8", 623.7),
        ("b200", "bf16", 2250),
        ("b200", "fp8", 4500),
        ("tpu_v5p", "bf16", 459),
        ("tpu_v5p", "int8", 918),
        ("mlu370_x4", "fp16", 98.3),
        ("mlu370_x4", "int8", 262.1),
        ("mlu370_x4", "fp32", 24.6),
        ("mlu370_s4", "int8", 196.6),
        ("mlu370_x8", "int8", 131.1),
    ],
)
def test_peak(name: str, dtype: Any, tflops: float) -> None:
    core = load_chip(name).matmul_core
    assert core.matmul is not None
    assert 2 * core.count * core.clock * core.matmul.macs_per_cycle[dtype] / 1e12 == pytest.approx(tflops, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "capacity", "line", "sector"),
    [
        ("ascend_910b1", 192, 512, 128),
        ("ascend_910b2", 192, 512, 128),
        ("ascend_910b3", 192, 512, 128),
        ("ascend_910b4", 96, 512, 128),
        ("ascend_910c_die", 192, 512, 128),
        ("ascend_950pr", 128, 512, 128),
        ("ascend_910b_article", 192, 128, 128),
        ("h100_sxm", 50, 128, 32),
        ("h200_sxm", 60, 128, 32),
        ("a100_sxm", 40, 128, 32),
        ("b200", 126.5, 128, 32),
        ("mlu370_article", 40, 128, 128),
    ],
)
def test_cache(name: str, capacity: float, line: int, sector: int) -> None:
    cache = load_chip(name).cache
    assert cache is not None
    assert (cache.capacity, cache.line, cache.sector) == (capacity * MIB, line, sector)
    assert cache.sets * cache.ways * cache.line * cache.partitions == cache.capacity


@pytest.mark.parametrize("name", ["mlu370_s4", "mlu370_x4", "mlu370_x8", "tpu_v5p"])
def test_chips_without_a_data_cache(name: str) -> None:
    assert load_chip(name).cache is None


@pytest.mark.parametrize(
    ("name", "gigabytes", "gibibytes", "standard"),
    [
        ("h100_sxm", 3350, 80, "hbm3"),
        ("h200_sxm", 4800, 131.3, "hbm3e"),
        ("a100_sxm", 2039, 80, "hbm2e"),
        ("b200", 7670, 167.6, "hbm3e"),
        ("tpu_v5p", 2765, 95, "hbm2e"),
        ("ascend_910b1", 1600, 64, "hbm2e"),
        ("ascend_910b2", 1600, 64, "hbm2e"),
        ("ascend_910b3", 1600, 64, "hbm2e"),
        ("ascend_910b4", 800, 32, "hbm2e"),
        ("ascend_910c_die", 1600, 64, "hbm2e"),
        ("ascend_950pr", 1750, 128, "hbm2e"),
        ("ascend_910b_article", 1600, 64, "hbm2e"),
        ("mlu370_s4", 307.2, 24, "lpddr5"),
        ("mlu370_x4", 307.2, 24, "lpddr5"),
        ("mlu370_x8", 307.2, 24, "lpddr5"),
        ("mlu370_article", 1228, 29.8, "hbm2e"),
    ],
)
def test_memory(name: str, gigabytes: float, gibibytes: float, standard: str) -> None:
    dram = load_chip(name).dram
    assert dram.bandwidth == pytest.approx(gigabytes * 1e9)
    assert dram.capacity == pytest.approx(gibibytes * 2**30, rel=1e-3)
    assert dram.standard.name == standard
    assert dram.smallest_access == 64


@pytest.mark.parametrize(
    ("name", "level", "kibibytes"),
    [
        ("h100_sxm", "smem", 228),
        ("a100_sxm", "smem", 163),
        ("b200", "smem", 227),
        ("tpu_v5p", "vmem", 64 * 1024),
        ("ascend_910b1", "l1", 512),
        ("ascend_950pr", "l1", 512),
        ("mlu370_x4", "nram", 736),
    ],
)
def test_scratchpad(name: str, level: str, kibibytes: float) -> None:
    scratchpad = load_chip(name).scratchpad
    assert isinstance(scratchpad, Scratchpad)
    assert (scratchpad.name, scratchpad.capacity) == (level, kibibytes * 1024)


def test_all_cores_of_an_ascend_together_draw_what_the_vendor_measured_out_of_its_cache() -> None:
    chip = load_chip("ascend_910b1")
    assert chip.matmul_core.count * chip.matmul_core.bandwidth == pytest.approx(4.884e12, rel=1e-3)
    assert chip.vector_core.name == "aiv"
    assert chip.vector_core.count * chip.vector_core.bandwidth == pytest.approx(5.683e12, rel=1e-3)


def test_small_commands_on_an_ascend_reach_the_rate_that_the_vendor_measured() -> None:
    (buffer,) = load_chip("ascend_910b1").vector_core.near
    assert isinstance(buffer, Scratchpad)
    assert 48 * 128 / (buffer.dma_startup / 1e12) == pytest.approx(0.551e12, rel=0.02)


def test_a_core_of_the_h100_can_keep_enough_in_flight() -> None:
    chip = load_chip("h100_sxm")
    needed = chip.dram.bandwidth / chip.matmul_core.count * chip.dram.latency / 1e12
    assert chip.matmul_core.max_bytes_in_flight > needed


def test_what_the_article_tells_differs_only_where_it_tells_it() -> None:
    told, real = load_chip("ascend_910b_article"), load_chip("ascend_910b1")
    assert told.dram == real.dram
    assert told.cores[1] == real.cores[1]
    assert told.cores[0] == real.cores[0].model_copy(update={"clock": told.cores[0].clock})
    assert load_chip("mlu370_article").cores == load_chip("mlu370_x4").cores
    for chip in (told, load_chip("mlu370_article")):
        assert chip.note.startswith("As told, not as is")
        assert chip.cache is not None
        assert chip.cache.line == chip.cache.sector == chip.cache.fill_granule == 128


def test_the_h200_has_the_cores_of_the_h100() -> None:
    assert load_chip("h200_sxm").cores == load_chip("h100_sxm").cores
