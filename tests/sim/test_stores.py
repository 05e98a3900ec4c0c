"""Do writes end a kernel where no cache keeps them, and do synchronous copies follow each other?"""

from __future__ import annotations

from typing import Any

import pytest

from memgrain import hwmodels
from memgrain.sim import LOOPS, simulate
from memgrain.workloads import parse_any

FILL: dict[str, Any] = {
    **{"kind": "elementwise", "name": "fill", "inputs": 0, "rows": 64, "columns": 1 << 16, "dtype": "fp16"},
    **{"piece": 1 << 14, "buffers": 1, "programs": 64, "cores": "vector"},
}
SMALL = 1 << 13
"""Elements that 32 cores of an MLU370-X4 leave nearly idle memory for."""


def run(chip: str, raw: dict[str, Any], changes: dict[str, Any] | None = None) -> Any:
    """The result of both engines, which is one."""
    spec, trace = hwmodels.load_chip(chip, changes or {}), parse_any(raw).trace()  # type: ignore[union-attr]
    compiled, simpy = (simulate(spec, trace, loop=loop) for loop in LOOPS)
    assert compiled == simpy
    return compiled


def test_writes_end_a_kernel_in_the_memory_unless_a_cache_keeps_them() -> None:
    size = 64 * (1 << 17)
    for chip, kept in (("mlu370_x4", False), ("h100_sxm", True)):
        result = run(chip, FILL)
        spec = hwmodels.load_chip(chip)
        drained = spec.launch_overhead + size * 10**12 // spec.dram.bandwidth
        assert (result.time < drained) == kept
        assert kept or result.time < 1.25 * drained


@pytest.mark.parametrize(("buffers", "pieces"), [(1, 4), (2, 4)])
def test_synchronous_copies_follow_each_other(buffers: int, pieces: int) -> None:
    """With one buffer a piece takes a load, the operation and a store; with two, loads hide behind the rest."""
    few = {**FILL, "inputs": 1, "rows": 4, "columns": pieces * SMALL, "piece": SMALL, "programs": 4, "operations": 64}
    spec = hwmodels.load_chip("mlu370_x4")
    copy = spec.dram.latency + SMALL * 2 * 10**12 // spec.vector_core.bandwidth
    operation = 64 * SMALL // 2 * 10**12 // (32 * spec.vector_core.clock)
    result = run("mlu370_x4", {**few, "buffers": buffers, "synchronous": True})
    loads = pieces if buffers == 1 else 1
    expected = spec.launch_overhead + loads * copy + pieces * (operation + copy)
    assert result.time == pytest.approx(expected, rel=0.05)
    assert result.breakdown["stall.store"] > 0
    assert run("mlu370_x4", {**few, "buffers": buffers}).time < result.time


def test_rows_apart_and_rows_to_be_merged_occupy_the_engine() -> None:
    """A strided copy takes dma_row a row, a contiguous one does not, and stores below an access take dma_merge each."""
    chip = hwmodels.load_chip("mlu370_x4")
    pad = chip.scratchpad
    assert pad is not None
    assert pad.dma_startup is not None
    read = {"kind": "matrix_read", "name": "rows", "rows": 512, "columns": 513, "read_columns": 1, "dtype": "fp16"}
    read |= {"tile": [512, 1], "programs": 1, "cores": "vector", "order": "own", "rows_per_step": 512}
    apart = run("mlu370_x4", read).time - chip.launch_overhead
    engine = pad.dma_startup + 511 * (pad.dma_row or 0)
    assert apart == pytest.approx(engine + chip.dram.latency, rel=0.05)
    assert run("mlu370_x4", {**read, "columns": 1}).time - chip.launch_overhead < apart / 5
    assert run("mlu370_x4", read, {"nram.dma_row": "100 ns"}).limits["dma_commands"] > engine / 32
    single = {**FILL, "rows": 1, "columns": 1024, "piece": 256, "programs": 1, "stored": 1, "synchronous": True}
    merged = run("mlu370_x4", single).time - chip.launch_overhead
    assert merged == pytest.approx(1024 * (pad.dma_merge or 0) + 4 * (pad.dma_startup + chip.dram.latency), rel=0.05)
    assert run("mlu370_x4", {**single, "stored": 32}).time < run("mlu370_x4", single).time / 10


def test_operations_of_a_vector_core_take_its_own_time() -> None:
    """Two vector cores of an Ascend core each have half of its rate; halves take half the time of floats."""
    chip = hwmodels.load_chip("ascend_910b2")
    add = {**FILL, "inputs": 1, "rows": 1, "programs": 1, "dtype": "fp32"}
    plain, busy, half = (
        run("ascend_910b2", {**add, "operations": ops, "dtype": dtype}).breakdown.get("vector", 0)
        for ops, dtype in ((0, "fp32"), (100, "fp32"), (100, "fp16"))
    )
    core = chip.vector_core
    assert core.vector is not None
    each = 100 * (1 << 16) * 10**12 / (core.vector.ops_per_cycle * core.clock) / core.count
    assert (plain, busy) == (0, pytest.approx(each, rel=0.01))
    assert half == pytest.approx(busy / 2, rel=0.01)
