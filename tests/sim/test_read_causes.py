"""What the last cache reads is told by cause: equal to lists, and to what a trace was made for."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain import hwmodels, workloads
from memgrain.sim import SimulationError, read_causes, simulate
from memgrain.sim.curves import stacks
from memgrain.sim.curves.read_causes import FullyAssociative
from memgrain.sim.native.address import mix, scale

ROOT = Path(__file__).parents[2]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_lists_equal_dictionaries(data: st.DataObject) -> None:
    """Partitions that hold some lines each, with or without copies, lines of two granules."""
    partitions = data.draw(st.sampled_from([1, 2]))
    copies, room = partitions > 1 and data.draw(st.booleans()), data.draw(st.sampled_from([1, 3, 40]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    lines = (rng.integers(0, data.draw(st.integers(1, 90)), 600) * 7).astype(np.int32)
    masks, near, writes = rng.integers(1, 4, 600), rng.integers(0, partitions, 600), rng.random(600) < 0.2
    asked = (masks | near << 16 | writes * stacks.WRITES).astype(np.int32)
    lists = FullyAssociative(partitions, copies, room, 90 * 7, 1)
    for some in np.array_split(np.arange(600), 3):
        lists.take(len(some), lines[some], asked[some])
    held: list[OrderedDict[int, int]] = [OrderedDict() for _ in range(partitions)]

    def touch(place: int, line: int, mask: int) -> int:
        """The granules of `mask` that were there."""
        valid = held[place].pop(line, 0)
        held[place][line] = valid | mask
        if len(held[place]) > room:
            held[place].popitem(last=False)
        return mask & valid

    misses = 0
    for line, mask, core, write in zip(lines.tolist(), masks.tolist(), near.tolist(), writes.tolist(), strict=True):
        home = int(scale(mix(line >> 5), partitions))
        if write:
            for place in range(partitions):
                if place != home and line in held[place]:
                    held[place][line] &= ~mask
            touch(home, line, mask)
            continue
        first = core if copies else home
        missing = mask & ~touch(first, line, mask)
        if missing and first != home:
            missing &= ~touch(home, line, missing)
        misses += missing.bit_count()
    assert lists.misses[0] == misses


def prompt(layout: str, heads: int = 4) -> workloads.Trace:
    """A prompt of 512 tokens whose heads of 256 bytes lie side by side or apart."""
    shape = {"batch": 1, "q_heads": 2 * heads, "kv_heads": heads, "head_dim": 128, "kv_len": 512, "q_len": 512}
    raw = {
        "kind": "attention", "name": layout, "phase": "prefill", "shape": shape, "dtype": "bf16",
        "layout": {"kind": layout}, "pattern": {"kind": "causal"}, "tiling": {"block_q": 64, "block_kv": 64},
    }  # fmt: skip
    return workloads.attention(workloads.parse_workload(raw), workloads.Budget(4, 1 << 20, 1))


def test_conflicts_are_told_from_capacity() -> None:
    """Without a hash, heads side by side have a quarter of the sets, and what that costs is told; heads apart, or any
    with a hash, read everything once. One set, too small for a tile, lacks only capacity."""
    sizes = {"l2.capacity": "512 KiB", "l2.ways": 4}
    found = {
        (layout, hash_): read_causes(hwmodels.load_chip("toy", {**sizes, "l2.set_hash": hash_}), prompt(layout))
        for layout in ("bnsd", "bsnd")
        for hash_ in ("none", "xor")
    }
    for causes in found.values():
        assert (causes.first == np.where(causes.read > 0, causes.needed, 0)).all()
        assert (causes.first + causes.capacity + causes.copies + causes.conflicts == causes.read).all()
        assert not causes.unasked.any()
        assert not causes.copies.any()
    again = {key: int(causes.conflicts.sum()) / int(causes.first.sum()) for key, causes in found.items()}
    assert again["bsnd", "none"] > 0.5
    assert max(share for key, share in again.items() if key != ("bsnd", "none")) < 0.1
    small = read_causes(hwmodels.load_chip("toy", {"l2.capacity": "8 KiB", "l2.ways": 64}), prompt("bnsd"))
    assert small.capacity.sum() > small.first.sum()
    assert not small.conflicts.any()


def test_every_run_counts_first_reads() -> None:
    """Counters of the simulation say the same of first reads, without a second one."""
    halves = {"l2.partitions": 2, "l2.replicate": True, "l2.far_latency": "200 ns"}
    chip = hwmodels.load_chip("toy", {"l2.capacity": "64 KiB", **halves})
    trace = prompt("bsnd")
    result, causes = simulate(chip, trace), read_causes(chip, trace)
    first = [result.counters.get(f"l2.{name}.first_bytes", 0) for name in causes.tensors]
    assert first == causes.first.tolist()
    assert result.counters["hbm.read_bytes"] == causes.read.sum() > causes.first.sum()
    assert result.metrics()["first_read_bytes"] == causes.first.sum()
    assert result.metrics()["repeated_read_bytes"] == causes.read.sum() - causes.first.sum()


def test_chips_without_a_shared_cache_are_refused() -> None:
    chip = hwmodels.load_chip("mlu370_x4")
    with pytest.raises(SimulationError, match="mlu370_x4 has no cache that all cores share"):
        read_causes(chip, prompt("bnsd"))
