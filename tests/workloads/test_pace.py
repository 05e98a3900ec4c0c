"""What a launcher reckons with, and what it chooses: tiles that cover the latency, splits that fill whole waves."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest

from memgrain.workloads import AttentionShape, Budget, DTypes, Pace, Tiling, fit_tiling
from memgrain.workloads.kernels.pace import ProgramSlots, Spread, Walk, duration, joined

BF16 = DTypes(q="bf16", k="bf16", v="bf16", o="bf16")
GPU = Pace(memory=3_350 * 10**9, port=127 * 10**9, latency=350_000, in_flight=232448, cached=True, barrier=900_000)
TPU = Pace(memory=2_765 * 10**9, port=1_400 * 10**9, latency=600_000, in_flight=4 << 20, cached=False, command=100_000)
DMA = Pace(memory=1_600 * 10**9, port=203 * 10**9, latency=260_000, in_flight=48 << 10, cached=True, command=11_000)
H100 = Budget(132, 228 << 10, 32, pace=GPU)
V5P = Budget(2, 64 << 20, 1, pace=TPU)
ASCEND = Budget(24, 512 << 10, 1, pace=DMA)


def chosen(budget: Budget, kv_heads: int, tokens: int, pieces: float = 0, head_dim: int = 128) -> tuple[int, int]:
    shape = AttentionShape(batch=1, q_heads=4 * kv_heads, kv_heads=kv_heads, q_len=1, kv_len=tokens, head_dim=head_dim)
    fitted = fit_tiling(Tiling(), shape, BF16, "decode", budget, tokens, False, Spread(pieces))
    return fitted.block_kv, fitted.splits


def test_tiles_hold_what_latency_and_bandwidth_ask_for() -> None:
    assert chosen(H100, 8, 131072)[0] == 64, "six tiles of 64 rows are under way, twice the bytes of a latency"
    block, _ = chosen(V5P, 8, 131072)
    rate = TPU.memory / V5P.cores / 10**12
    assert 3 * block * 512 >= rate * TPU.latency, "three tiles hold the bytes of a latency"
    quick = replace(V5P, pace=replace(TPU, latency=20_000))
    assert chosen(quick, 8, 131072)[0] < block, "a shorter latency asks for smaller tiles"


@pytest.mark.parametrize("heads", [1, 5, 7, 8, 10, 12, 15, 20, 24, 30])
def test_splits_take_the_waves_that_leave_least_idle(heads: int) -> None:
    """Gathered rows of 256 bytes, a command each: commands are what takes time, and no core helps another."""
    splits = chosen(ASCEND, heads, 6144, 1)[1]
    waves = {count: ceil(heads * count / ASCEND.cores) / count for count in range(1, 97)}
    assert waves[splits] <= 1.1 * min(waves[count] for count in range(1, 9))


def test_ten_heads_on_24_cores_are_not_split_in_three() -> None:
    assert chosen(ASCEND, 10, 6144, 1, head_dim=192)[1] != 3, "30 programs would take two waves of 24"


def test_a_context_too_short_for_all_cores_takes_smaller_tiles() -> None:
    few = chosen(V5P, 1, 2048)
    assert few[0] * few[1] <= 2048


def test_bytes_of_a_call_are_counted_once_and_latencies_of_its_first_wave_come_on_top() -> None:
    """Many programs in flight over long rows: the memory's time and the latencies before it and behind it."""
    walk = Walk(row_bytes=512, macs=0, scores=0, dtype="bf16", pieces=1, listed=True, tensors=2)
    places = ProgramSlots(cores=132, resident=4, stages=3)
    quick = replace(GPU, in_flight=1 << 30, port=10**15)
    for splits in (24, 33, 60):
        time = duration(quick, walk, places, 8, (splits, 131072), 64)
        memory = 8 * 131072 * 512 * 10**12 / quick.memory
        assert 3 * quick.latency <= time - memory < 3 * quick.latency + 0.02 * memory, splits
    plain = duration(quick, replace(walk, listed=False), places, 8, (33, 131072), 64)
    assert duration(quick, walk, places, 8, (33, 131072), 64) - plain == pytest.approx(quick.latency, rel=0.2)


def test_limits_that_are_equal_cost_more_than_one_that_binds() -> None:
    assert joined(1.0, 0.0) == 1.0
    assert 1.15 < joined(1.0, 1.0) < 1.25
    assert joined(2.0, 1.0) < 2.04
