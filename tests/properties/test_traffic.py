"""The same call in another layout reads the same bytes, unless granules, lines or sets say why not."""

from __future__ import annotations

import pytest

from memgrain import hwmodels
from memgrain.sim import Result, read_causes, simulate
from memgrain.workloads import Trace, attention, parse_workload
from tests.properties.workloads_of import budget

CHIPS = [name for name in hwmodels.chip_names() if hwmodels.load_chip(name).cache]
LAYOUTS = {
    "bnsd": {"kind": "bnsd"},
    "bsnd": {"kind": "bsnd"},
    "nz": {"kind": "nz"},
    "hnd": {"kind": "paged", "page": 64, "inner": "hnd", "placement": "contiguous"},
    "nhd": {"kind": "paged", "page": 64, "inner": "nhd", "placement": "contiguous"},
    "shuffled": {"kind": "paged", "page": 64, "inner": "hnd"},
}
LEAST = 4 << 20
"""Bytes of the smallest partition: what all places work at, scores on their way included, is much smaller."""
CALLS = (("prefill", None), ("prefill", "fa2_prefill"), ("decode", None), ("decode", "fa2_decode"))


def small(name: str, **numbers: object) -> hwmodels.Chip:
    """A chip with four cores and a part of its cache, whose sets keep their odd factors: many waves in little time."""
    chip = hwmodels.load_chip(name)
    cache, core, vector = chip.cache, chip.matmul_core, chip.vector_core
    assert cache is not None
    most = cache.capacity // cache.partitions // LEAST
    scale = 1 << max(0, min((cache.sets & -cache.sets).bit_length() - 9, most.bit_length() - 1))
    keys = {f"{cache.name}.capacity": f"{cache.capacity // scale} B", f"{core.name}.count": 4}
    if vector is not core:
        keys[f"{vector.name}.count"] = 4 * vector.count // core.count
    return hwmodels.load_chip(name, keys | {f"{cache.name}.{key}": value for key, value in numbers.items()})


def call(chip: hwmodels.Chip, phase: str, kernel: str | None, layout: str, head_dim: int) -> Trace:
    """Eight query heads over four of K and V; those of a head take a quarter of a partition, or 2 MiB."""
    cache = chip.cache
    assert cache is not None
    tokens = min(cache.capacity // cache.partitions // 4, 2 << 20) // (4 * head_dim) // 64 * 64
    shape = {"batch": 1, "q_heads": 8, "kv_heads": 4, "head_dim": head_dim, "kv_len": tokens}
    shape["q_len"] = 1 if phase == "decode" else min(tokens, 512)
    raw = {
        "kind": "attention", "name": layout, "phase": phase, "shape": shape, "dtype": "bf16",
        "layout": LAYOUTS[layout], "pattern": {"kind": "causal" if phase == "prefill" else "dense"},
    }  # fmt: skip
    return attention(parse_workload(raw | ({"kernel": kernel} if kernel else {})), budget(chip))


def read(result: Result) -> int:
    """Bytes of Q, K and V read from DRAM: block tables belong to some layouts alone, scores on their way to none."""
    return sum(result.counters[f"{result.dram}.{name}.read_bytes"] for name in ("Q", "K", "V"))


@pytest.mark.parametrize("name", CHIPS)
def test_layouts_of_whole_lines_read_the_same(name: str) -> None:
    """Rows of whole lines, and K and V of a head in a quarter of a partition: in every layout, prompt and decode, with
    a kernel of ours or FlashAttention-2."""
    chip = small(name, set_hash="xor")
    assert chip.cache is not None
    head_dim = max(128, chip.cache.line // 2)
    for phase, kernel in CALLS:
        found = {layout: read(simulate(chip, call(chip, phase, kernel, layout, head_dim))) for layout in LAYOUTS}
        assert max(found.values()) <= 1.02 * min(found.values()), (phase, kernel, found)


def test_granules_say_why_more_is_read_than_is_needed() -> None:
    """Gathered rows of 160 B in granules of 64 bring 32 B that nobody asked for; those of 192 B bring none."""
    chip = small("h200_sxm")
    for head_dim, wasted in ((80, 0.2), (96, 0.0)):
        shape = {"batch": 1, "q_heads": 8, "kv_heads": 1, "head_dim": head_dim, "kv_len": 65536, "q_len": 1}
        raw = {
            "kind": "attention", "name": "gather", "phase": "decode", "shape": shape, "dtype": "bf16",
            "layout": {"kind": "bnsd"}, "pattern": {"kind": "dense"}, "selection": {"kind": "random", "ratio": 0.02},
        }  # fmt: skip
        causes = read_causes(chip, attention(parse_workload(raw), budget(chip)))
        rows = [causes.tensors.index(name) for name in ("K", "V")]
        assert causes.unasked[rows] / causes.needed[rows] == pytest.approx(wasted, abs=0.01)
        assert (causes.read == causes.first).all()


@pytest.mark.slow
def test_a_prompt_on_an_a100_reads_what_it_needs() -> None:
    """64 query heads over 4 of 128, 16,384 tokens side by side with FlashAttention-2: an H200 reads 1.01 times what is
    needed in either layout (measurements/h200_prefill_layouts.csv)."""
    shape = {"batch": 1, "q_heads": 64, "kv_heads": 4, "head_dim": 128, "kv_len": 16384, "q_len": 16384}
    raw = {
        "kind": "attention", "name": "prompt", "phase": "prefill", "shape": shape, "dtype": "bf16",
        "layout": {"kind": "bsnd"}, "pattern": {"kind": "causal"}, "kernel": "fa2_prefill",
    }  # fmt: skip
    chip = hwmodels.load_chip("a100_sxm")
    result = simulate(chip, attention(parse_workload(raw), budget(chip)))
    assert result.counters["hbm.read_bytes"] < 1.03 * result.useful_bytes
