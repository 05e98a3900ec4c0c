"""Kernels one after the other: what one leaves in the caches, the next one finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memgrain import hwmodels
from memgrain.sim import SimulationError, simulate, simulate_sequence
from memgrain.workloads import MatrixRead, Trace, WorkloadError, expand, in_one_memory, parse_any
from memgrain.workloads.steps import synthetic

TOY = hwmodels.load_chip("toy", {"barrier": "1 us"})
SMALL = 64 << 10


def reading(size: int = SMALL, name: str = "read") -> Trace:
    return replace(synthetic.stream(size, 4096, 4), name=name)


def test_a_sequence_of_one_is_a_run() -> None:
    trace = reading()
    for before in ("cold", "dirty", "warm"):
        only = simulate_sequence(TOY, in_one_memory([trace]), before)
        alone = simulate(TOY, trace, before)
        assert (only.time, only.counters, only.breakdown) == (alone.time, alone.counters, alone.breakdown)


def test_a_later_kernel_finds_what_an_earlier_one_read_if_the_tensor_is_the_same() -> None:
    same = simulate_sequence(TOY, in_one_memory([reading(), reading(name="again")])).kernels
    other = simulate_sequence(TOY, in_one_memory([reading(), reading()], [{}, {"X": "Y"}])).kernels
    assert [result.counters["hbm.read_bytes"] for result in same] == [SMALL, 0]
    assert [result.counters["hbm.read_bytes"] for result in other] == [SMALL, SMALL]
    assert other[0].time - other[1].time == pytest.approx(TOY.launch_overhead - (TOY.barrier or 0), rel=0.1)
    assert other[1].counters["l2.Y.misses"] == other[0].counters["l2.X.misses"] > 0


def test_addresses_are_moved_whole() -> None:
    first, second = in_one_memory([reading(), reading(3 * SMALL)], [{}, {"X": "Y"}])
    assert first.tensors == second.tensors
    ours, moved = (np.concatenate([[*expand(trace)]]) for trace in (reading(3 * SMALL), second))
    where = {tensor.name: tensor for tensor in second.tensors}
    assert set(moved["address"] - ours["address"]) == {where["Y"].base}
    assert where["X"].base + where["X"].bytes <= where["Y"].base
    assert set(moved["tensor"]) == {1}


def test_kernels_on_matrix_and_on_vector_cores_follow_one_another() -> None:
    chip = hwmodels.load_chip("ascend_910b1")
    shape = {"rows": 960, "columns": 2048, "dtype": "fp16", "tile": [8, 2048], "programs": 24, "order": "own"}
    raw = {"name": "read", "kind": "matrix_read", "rows_per_step": 8, **shape}
    traces = [MatrixRead.model_validate({**raw, "cores": cores}).trace() for cores in ("matmul", "vector")]
    found = simulate_sequence(chip, in_one_memory(traces)).kernels
    assert [result.counters["hbm.read_bytes"] for result in found] == [960 * 2048 * 2, 0]
    assert found[1].counters["core.programs"] == 24


def test_a_kernel_on_both_kinds_of_cores_is_launched_once_and_takes_longer_for_that() -> None:
    """A product whose sums vector cores convert: their programs began with the kernel, so nothing starts behind it."""
    raw = {"kind": "gemm", "name": "g", "m": 128, "n": 256, "k": 512, "dtype": "int8", "out_dtype": "bf16"}
    raw |= {"b_rows": "k", "block": [128, 256], "k_steps": [512, 512], "stages": 2, "finish": "vector"}
    chip = hwmodels.load_chip("ascend_910b1")
    product = parse_any({**raw, "deal": {"kind": "round_robin", "programs": 1}})
    found = {result.workload: result for result in simulate_sequence(chip, product.kernels()).kernels}  # type: ignore[union-attr]
    assert found["g"].breakdown["launch"] == chip.launch_overhead + chip.mixed_launch
    assert found["g, convert"].breakdown["launch"] == 0
    assert "start" not in found["g, convert"].breakdown
    assert found["g, convert"].counters["aiv_port.written_bytes"] == 128 * 256 * 2


def test_what_is_no_sequence_is_refused_in_one_line() -> None:
    with pytest.raises(WorkloadError, match="read has no tensor Q; it has X"):
        in_one_memory([reading()], [{"Q": "X"}])
    with pytest.raises(WorkloadError, match="no kernel"):
        in_one_memory([])
    with pytest.raises(SimulationError, match="in_one_memory"):
        simulate_sequence(TOY, [reading(), reading(3 * SMALL)])
