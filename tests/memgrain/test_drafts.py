"""Several new tokens of a sequence in decode: more of them never take less time, and kernels pack them as they do."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from memgrain.runs.task import Task

FALL = 0.02
"""By how much a step may take less time than one with a token fewer: waves that come out, DRAM rows that fit better."""
FALL_OF_FIA = 0.04
"""The same for fused infer attention on a 910B: 16 tokens take 3.2 % less than 15, whose 162 programs share 24 cores
less evenly than 168 do. Copies and commands only grow with the tokens."""
H20 = """
extends: h200_sxm
title: NVIDIA H20
note: "An H200's SMs, 78 of them, with a quarter of the products; its caches and latencies as the H200's."
sources:
  SPEC: "NVIDIA H20: 78 SMs, 148 TFLOPS in bf16, 4.0 TB/s, 60 MiB of L2"
cores:
  - name: sm
    count: {value: 78, kind: vendor, source: SPEC}
    clock: {value: 1.853 GHz, kind: derived, source: SPEC, reason: "148 TFLOPS of 78 SMs with 512 products a cycle"}
    matmul:
      macs_per_cycle: {value: {bf16: 512, fp16: 512, fp8: 1024, int8: 1024, fp32: 256}, kind: derived, source: SPEC}
memory:
  - name: hbm
    bandwidth: {value: 4.0 TB/s, kind: vendor, source: SPEC}
"""
LATENT = {"shape.batch": 12, "shape.kv_len": 8192}
FIXED = {"tiling.splits": 8}
"""For what is split automatically, so that the packing alone is looked at."""
GROUPED = {
    "shape.batch": 3,
    "shape.kv_len": 8192,
    "shape.q_heads": 24,
    "shape.kv_heads": 2,
    "pattern": {"kind": "causal"},
}


def time_us(chip: str, workload: str, tokens: int, settings: dict[str, object]) -> float:
    return Task(chip, {}, workload, {**settings, "shape.q_len": tokens}).resolve().simulate().time / 1e6


def falls(chip: str, workload: str, settings: dict[str, object], most: int) -> dict[int, float]:
    """By how much a step of 2 to `most` tokens takes less time than one with a token fewer, where it does."""
    times = [time_us(chip, workload, tokens, settings) for tokens in range(1, most + 1)]
    found = {n + 2: later / time - 1 for n, (time, later) in enumerate(pairwise(times))}
    most_fall = FALL_OF_FIA if settings.get("kernel") == "fia" else FALL
    return {tokens: round(fall, 4) for tokens, fall in found.items() if fall < -most_fall}


def test_eight_tokens_take_no_less_than_seven_nor_four_than_three() -> None:
    assert falls("h100_sxm", "decode_mla", LATENT, 8) == {}
    assert falls("h100_sxm", "decode_paged", {**GROUPED, "kernel": "fa3", "layout.page": 64}, 8) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chip", "workload", "settings"),
    [
        ("h100_sxm", "decode_mla", LATENT),
        ("h100_sxm", "decode_mla", {**LATENT, "shape.q_heads": 24}),
        ("h100_sxm", "decode_mla", {**LATENT, "kernel": None, **FIXED}),
        ("h100_sxm", "decode_paged", {**GROUPED, "kernel": "fa3", "layout.page": 64}),
        ("h100_sxm", "decode_dense", {**GROUPED, "kernel": "fa2"}),
        ("h100_sxm", "decode_dense", {**GROUPED, "kernel": "triton", **FIXED}),
        ("h100_sxm", "decode_dense", {**GROUPED, **FIXED}),
        ("ascend_910b1", "decode_dense", {**GROUPED, "kernel": "fia"}),
        ("ascend_910b1", "decode_dense", {**GROUPED, **FIXED}),
        ("mlu370_x4", "decode_dense", {**GROUPED, **FIXED}),
        ("toy", "decode_dense", {**GROUPED, **FIXED}),
    ],
)
def test_time_does_not_fall_as_tokens_are_added(chip: str, workload: str, settings: dict[str, object]) -> None:
    assert falls(chip, workload, settings, 16) == {}


def test_flashmla_on_an_h20_takes_as_many_blocks_of_64_rows_as_there_are(tmp_path: Path) -> None:
    """128 sequences of 8,192 tokens, 64 heads: 3 and 4 new tokens were measured at 3.407 and 4.641 ms. Their ratio is
    that of parts that 78 cores can take, 26 and 19; both are predicted 11 % too fast."""
    chip = tmp_path / "h20.yaml"
    chip.write_text(H20, encoding="utf-8")
    settings: dict[str, object] = {"shape.batch": 128, "shape.kv_len": 8192, "shape.q_heads": 64}
    three, four = (time_us(str(chip), "decode_mla", tokens, settings) for tokens in (3, 4))
    assert four / three == pytest.approx(4.641 / 3.407, rel=0.01)
    assert three == pytest.approx(3407, rel=0.13)
    assert four == pytest.approx(4641, rel=0.13)
