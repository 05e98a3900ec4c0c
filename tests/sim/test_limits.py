"""Limits and causes: what a design asks of each resource, by hand; and changes that give what the advice says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memgrain import hwmodels
from memgrain.runs.task import Task
from memgrain.sim import Result, simulate
from memgrain.workloads.steps import synthetic
from memgrain.workloads.trace import expand
from tests.properties.workloads_of import CASES, trace_of

CHIPS = hwmodels.chip_names()


Settings = dict[str, Any]


def run(chip: str, workload: str, settings: Settings, chip_set: Settings | None = None) -> Result:
    return Task(chip, chip_set or {}, workload, settings).resolve().simulate()


@pytest.mark.parametrize("name", CHIPS)
def test_no_limit_and_no_bound_exceeds_the_time(name: str) -> None:
    chip = hwmodels.load_chip(name)
    for pattern, layout, phase in CASES:
        result = simulate(chip, trace_of(chip, pattern, layout, phase))
        assert max(result.limits.values()) <= result.time, result.limits
        for key in ("dma_commands", "in_flight", "launch"):
            assert result.bounds.items.get(key, 0) <= result.time
        assert sum(cause.time for cause in result.causes.values()) == result.time
        for cause in result.causes.values():
            assert 0 <= cause.saves <= cause.gain <= cause.time


def test_commands_are_rows_or_blocks_of_rows() -> None:
    """Counted from the pieces of the trace: a gathered row is a command, and so is every other run here."""
    chip = hwmodels.load_chip("ascend_910b1")
    trace = trace_of(chip, "topk", "bnsd", "decode")
    result = simulate(chip, trace)
    gathered = expand(trace)
    for tensor, name in enumerate(("K", "V")):
        number = next(i for i, other in enumerate(trace.tensors) if other.name == name)
        rows = gathered[gathered["tensor"] == number]
        assert result.counters[f"l1.{name}.commands"] == len(rows), tensor
        assert result.counters[f"l1.{name}.command_bytes"] == int(rows["bytes"].astype(np.int64).sum())
    metrics = result.metrics()
    assert metrics["dma_commands"] == sum(result.counters[f"l1.{tensor.name}.commands"] for tensor in trace.tensors)
    runs = sum(result.counters[f"l1.{tensor.name}.fewest_commands"] for tensor in trace.tensors)
    assert metrics["fewest_dma_commands"] == runs < metrics["dma_commands"] / 10
    reads = result.counters["l1.commands"] - result.counters["l1.write_commands"]
    assert result.limits["dma_commands"] == reads * 11_000 // 24


def test_bytes_in_flight_limit_as_little_says() -> None:
    """A stream with little under way takes latency x bytes / bytes in flight."""
    chip = hwmodels.load_chip("toy", {"core.max_bytes_in_flight": "1 KiB", "core.max_programs": 1})
    result = simulate(chip, synthetic.stream(1 << 18, 1 << 10, 4))
    expected = (1 << 18) * chip.dram.latency / (1024 * chip.matmul_core.count)
    assert result.limits["in_flight"] == pytest.approx(expected, rel=0.1)
    assert result.metrics()["limit"] == "in_flight"
    assert expected < result.time < 1.3 * expected


@pytest.mark.parametrize("chip", ["ascend_910b1", "mlu370_x8"])
def test_a_gather_row_by_row_is_limited_by_commands_and_wider_rows_halve_them(chip: str) -> None:
    short = {"shape.kv_len": 65536}
    result = run(chip, "decode_topk", short)
    assert result.metrics()["limit"] == result.metrics()["bottleneck"] == "dma_commands"
    assert result.breakdown["stall.dma_commands"] > 0.25 * result.time
    assert "stall.l1" not in result.breakdown
    cause = result.causes["dma_commands"]
    assert "rows of 512 B would halve them" in str(cause)
    wider = run(chip, "decode_topk", {**short, "selection.unit": 2})
    assert wider.limits["dma_commands"] == pytest.approx(result.limits["dma_commands"] / 2, rel=0.05)
    assert result.time - wider.time == pytest.approx(cause.saves, rel=0.2)


SMALL: Settings = {"tiling.block_kv": 64, "tiling.splits": 1}
"""Tiles and splits that are not the chip's own choice, so that there is something to advise."""
CHANGES: list[tuple[str, str, Settings, str, str, Settings]] = [
    ("ascend_910b1", "decode_paged", {"shape.kv_len": 32768} | SMALL, "idle", "splits=3", {"tiling.splits": 3}),
    ("ascend_910b1", "decode_paged", {"shape.kv_len": 32768} | SMALL, "exchange", "=128", {"tiling.block_kv": 128}),
    ("tpu_v5p", "decode_dense", {"shape.kv_len": 32768} | SMALL, "dma_commands", "=512", {"tiling.block_kv": 512}),
    ("h100_sxm", "decode_topk", {"tiling.splits": 66}, "idle", "tiling.splits=33", {"tiling.splits": 33}),
    (
        "h100_sxm",
        "prefill_window",
        {"shape.q_len": 4096, "shape.kv_len": 4096},
        "l2",
        "cluster=2",
        {"tiling.cluster": 2},
    ),
    ("ascend_950dt", "decode_paged", SMALL, "in_flight", "=88 KiB", {"chip.aic.max_bytes_in_flight": "88 KiB"}),
]


@pytest.mark.parametrize(("chip", "workload", "settings", "name", "said", "change"), CHANGES)
def test_what_is_advised_saves_what_it_says(
    chip: str, workload: str, settings: Settings, name: str, said: str, change: Settings
) -> None:
    before = run(chip, workload, settings)
    cause = before.causes[name]
    assert said in str(cause)
    of_chip = {key.removeprefix("chip."): value for key, value in change.items() if key.startswith("chip.")}
    of_workload = {key: value for key, value in change.items() if not key.startswith("chip.")}
    saved = before.time - run(chip, workload, {**settings, **of_workload}, of_chip).time
    assert cause.saves / 2 < saved < 2 * cause.saves


def test_more_bytes_in_flight_save_what_is_said() -> None:
    short = {"shape.kv_len": 4096}
    before = run("toy", "decode_dense", short, {"core.max_bytes_in_flight": "1 KiB"})
    cause = before.causes["in_flight"]
    assert before.metrics()["bottleneck"] == before.metrics()["limit"] == "in_flight"
    assert "core.max_bytes_in_flight=2 KiB" in str(cause)
    saved = before.time - run("toy", "decode_dense", short, {"core.max_bytes_in_flight": "2 KiB"}).time
    assert saved == pytest.approx(cause.saves, rel=0.1)


def test_fewer_bytes_help_a_kernel_at_the_peak_of_the_memory() -> None:
    before = run("h100_sxm", "decode_dense", {"shape.kv_len": 65536})
    assert before.metrics()["bottleneck"] == before.metrics()["limit"] == "hbm"
    assert before.breakdown["stall.hbm"] > 0.5 * before.time
    halved = run("h100_sxm", "decode_dense", {"shape.kv_len": 65536, "dtype": "fp8"})
    assert before.time - halved.time == pytest.approx(before.limits["hbm"] / 2, rel=0.15)


def test_padding_of_products_is_named() -> None:
    settings = {"shape.q_heads": 8, "shape.kv_len": 4096}
    slow = {"core.matmul.macs_per_cycle.bf16": 16}
    before = run("toy", "decode_dense", settings, slow)
    assert before.metrics()["bottleneck"] == before.metrics()["limit"] == "matmul"
    cause = before.causes["matmul"]
    assert "padding to" in str(cause)
    fuller = run("toy", "decode_dense", {**settings, "shape.q_heads": 128}, slow)
    assert fuller.counters["core.issued_macs"] == before.counters["core.issued_macs"]
    assert cause.saves == pytest.approx(before.time * (1 - 1 / before.metrics()["padding"]), rel=0.2)  # type: ignore[operator]


def test_starts_one_by_one_are_named() -> None:
    result = run("toy", "decode_dense", {"shape.kv_len": 1024, "shape.batch": 16}, {"dispatch": "10 us"})
    assert result.metrics()["bottleneck"] == result.metrics()["limit"] == "start"
    assert "start one by one, 10 us apart" in str(result.causes["start"])
