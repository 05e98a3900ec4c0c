"""Does a tiling fit what a chip offers, by the rules of the measured kernels?"""

from __future__ import annotations

import pytest

from memgrain.workloads import (
    AttentionShape,
    Budget,
    DTypes,
    FittedTiling,
    Tiling,
    WorkloadError,
    fit_tiling,
    scratchpad_bytes,
)
from memgrain.workloads.kernels.tiling import padded

BF16 = DTypes(q="bf16", k="bf16", v="bf16", o="bf16")
H100 = Budget(cores=132, scratchpad_bytes=228 << 10, max_programs=32)


def shape(head_dim: int = 128, q_len: int = 1, batch: int = 1) -> AttentionShape:
    return AttentionShape(batch=batch, q_heads=64, kv_heads=8, q_len=q_len, kv_len=131072, head_dim=head_dim)


def decode(
    tiling: Tiling,
    head_dim: int = 128,
    tokens: int = 131072,
    budget: Budget = H100,
    batch: int = 1,
) -> FittedTiling:
    return fit_tiling(tiling, shape(head_dim, batch=batch), BF16, "decode", budget, tokens, False)


@pytest.mark.parametrize(("tokens", "batch", "splits"), [(131072, 1, 66), (131072, 16, 5), (640, 1, 10), (10, 1, 1)])
def test_splits_fill_four_programs_a_core(tokens: int, batch: int, splits: int) -> None:
    assert decode(Tiling(), tokens=tokens, batch=batch).splits == splits


def test_splits_stop_at_the_programs_a_core_holds() -> None:
    assert decode(Tiling(), budget=Budget(132, 228 << 10, 1)).splits == 17


def test_need_is_stages_of_k_and_v_and_one_q() -> None:
    assert scratchpad_bytes(shape(96), BF16, "none", 16, 64, 3) == 3 * 64 * (96 + 96) * 2 + 16 * 96 * 2
    assert scratchpad_bytes(shape(96), BF16, "pow2", 16, 64, 3) == scratchpad_bytes(shape(128), BF16, "none", 16, 64, 3)


def test_automatic_tiles_shrink_until_they_fit() -> None:
    fits = {kib: decode(Tiling(), budget=Budget(4, kib << 10, 8)) for kib in (228, 80, 40, 24, 12)}
    assert [(f.block_q, f.block_kv, f.stages) for f in fits.values()] == [
        (16, 64, 3),
        (16, 64, 2),
        (16, 32, 2),
        (16, 16, 2),
        (16, 16, 1),
    ]
    assert all(f.resident * f.scratchpad_bytes <= kib << 10 for kib, f in fits.items())
    assert fits[228].resident == 2
    wide = decode(Tiling(), head_dim=512)
    assert (wide.block_kv, wide.stages) == (32, 2)


def test_prefill_takes_128_rows_and_no_splits() -> None:
    fitted = fit_tiling(Tiling(), shape(q_len=4096), BF16, "prefill", H100, 0, False)
    assert (fitted.block_q, fitted.block_kv, fitted.stages, fitted.splits, fitted.heads) == (128, 64, 2, 1, 1)


def test_a_group_is_packed_whatever_the_rows_of_a_program() -> None:
    assert [decode(Tiling(block_q=rows)).heads for rows in (1, 3, 4, 16)] == [8] * 4
    assert decode(Tiling(pack_group=False)).heads == 1


@pytest.mark.parametrize(("q_len", "block_q"), [(1, 16), (3, 32), (16, 128), (17, 128), (300, 128)])
def test_automatic_rows_are_those_of_the_group_up_to_128(q_len: int, block_q: int) -> None:
    fitted = fit_tiling(Tiling(), shape(q_len=q_len), BF16, "decode", H100, 131072, False)
    assert (fitted.block_q, fitted.heads) == (block_q, 8)


def test_padding() -> None:
    assert [padded(96, rule) for rule in ("none", "pow2", 32, 64)] == [96, 128, 96, 128]


@pytest.mark.parametrize(
    ("tiling", "budget", "named"),
    [
        (Tiling(), Budget(4, 1000, 8), "12288 B of scratchpad, the core has 1000 B"),
        (Tiling(block_kv=512, stages=2), H100, "528384 B of scratchpad"),
        (Tiling(resident=9), H100, "9 resident programs"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(tiling: Tiling, budget: Budget, named: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        decode(tiling, budget=budget)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_phases_refuse_each_others_tilings() -> None:
    with pytest.raises(WorkloadError, match="splits is 4 in prefill"):
        fit_tiling(Tiling(splits=4), shape(q_len=4096), BF16, "prefill", H100, 0, False)
    for tiling, phase in ((Tiling(parts=4, splits=1), "prefill"), (Tiling(parts=4), "decode")):
        with pytest.raises(WorkloadError, match=f"tiling.parts is 4 in {phase} with splits .* set tiling.splits: 1"):
            fit_tiling(tiling, shape(q_len=8), BF16, phase, H100, 0, False)
    with pytest.raises(WorkloadError, match="cores is 0"):
        Budget(0, 1, 1)
