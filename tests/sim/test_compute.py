"""How long steps take whose kernel says how it feeds the units: mean-value analysis, instructions, shared cores."""

from __future__ import annotations

import pytest

from memgrain import hwmodels
from memgrain.sim.levels.compute import Units
from memgrain.sim.levels.queueing import response
from memgrain.workloads import Tensor, Trace

CLOCK = 1980  # cycles a microsecond, H100
STEP = (128, 64, 128, 128, 128, 64, 128 * 64)  # a tile of FlashAttention-2 at head dimension 128


def units(*engine: object) -> Units:
    """The units of an H100 fed by a kernel."""
    trace = Trace("step", (Tensor("V", 0, 1, 1),), "bf16", 0, 1, None, 0, 0, 0, lambda: iter([]), engine=engine or None)  # type: ignore[arg-type]
    return Units(hwmodels.load_chip("h100_sxm"), "bf16", trace)


def cycles(time: int) -> float:
    return time * CLOCK / 1e6


def test_mean_value_analysis_has_the_closed_form_of_balanced_networks() -> None:
    """N customers at K equal units: a round takes (N + K - 1) demands; and a busy unit bounds every network."""
    for customers in (1, 2, 5):
        assert response((700, 700, 700), customers) == (customers + 2) * 700
    assert response((1000, 10), 1) == 1010
    assert 8000 <= response((1000, 10), 8) <= 8010


def test_operands_pass_through_registers_or_not() -> None:
    macs = 128 * 64 * (128 + 128)
    vector = 128 * 64 * (1 / 16 + 4 / 128) + 128 * 128 / 128
    tiles = 64 * 128 * 2 * 2  # bytes of K and V, which four warps read each and which are written once; and Q
    operands = (5 * tiles + 128 * 128 * 2) / 128
    plain, sync, wgmma = units(), units("mma", 1, "rows", 0, 0), units("wgmma", 2, "rows", 0, 0)
    assert cycles(plain.work(*STEP).alone) == pytest.approx(macs / 2048 + vector, rel=1e-3)
    assert cycles(sync.work(*STEP).alone) == pytest.approx(macs / (2048 * 0.664) + operands + vector, rel=1e-3)
    work = wgmma.work(*STEP)
    assert max(macs / 2048, vector) < cycles(work.alone) < macs / 2048 + vector
    assert work.matmul + work.vector == work.alone


def test_groups_that_share_columns_read_a_tile_once() -> None:
    step = (64, 64, 576, 64, 512, 64, 64 * 64)
    rows, columns = (units("wgmma", 2, shares, 0, 0).work(*step).alone for shares in ("rows", "columns"))
    assert columns < rows


def test_conversion_takes_the_vector_units() -> None:
    slow, quick = (units("wgmma", 1, "rows", cycles, 0).work(*STEP).alone for cycles in (50, 0))
    assert cycles(slow - quick) == pytest.approx(50 * 64, rel=1e-3)


def test_a_kernel_without_matrix_unit_multiplies_on_the_vector_units() -> None:
    work = units("fma", 1, "rows", 0, 0).work(1, 64, 128, 1, 128, 64, 64)
    assert work.matmul == 0
    assert cycles(work.alone) == pytest.approx(2 * 64 * 128 / 128 + 64 / 16 + (4 * 64 + 128) / 128, rel=1e-2)


def test_programs_on_a_core_slow_one_another_less_than_one_after_the_other() -> None:
    fed = units("mma", 1, "rows", 0, 0)
    work = fed.work(*STEP)
    first, second = (fed.reserve(0, work, 0) for _ in range(2))
    assert first == work.alone
    assert work.alone < second < 2 * work.alone
    assert second == response(work.demands, 2)
    assert fed.reserve(1, work, 0) == work.alone
    fed.forget()
    assert fed.reserve(0, work, 0) == work.alone
