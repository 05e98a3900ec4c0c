"""Copies that follow one another, and tiles that pass between matrix and vector cores through the L2 of a 910B."""

from __future__ import annotations

from typing import Any

import pytest

from memgrain import hwmodels
from memgrain.runs.task import Task
from memgrain.sim.levels.level import PS
from memgrain.sim.levels.link import Link
from memgrain.sim.levels.request import Request
from memgrain.sim.levels.scratchpad import Scratchpad
from memgrain.sim.result import Result
from memgrain.workloads import READ
from tests.sim.conftest import Sink, ask, pieces

CHIP = hwmodels.load_chip("ascend_910b2")
LATENCY = 160
"""ns of the L2."""
TILE = 256 * 128 * 2
"""Bytes of a tile of K, of V, or of a program's probabilities."""


def flash(q_len: int, kv_len: int, **changes: Any) -> Result:
    """A head of 128 as PTO's kernel computes it, with K and V in the L2."""
    shape = {"batch": 1, "q_heads": 1, "kv_heads": 1, "q_len": q_len, "kv_len": kv_len, "head_dim": 128}
    call = {"kind": "attention", "name": "flash", "phase": "prefill", "dtype": "fp16", "shape": shape}
    call |= {"pattern": {"kind": "dense"}, "layout": {"kind": "bnsd"}, "kernel": "pto_flash"}
    return Task("ascend_910b2", {}, call, changes, "warm").resolve().simulate()


def tile_time(cores: int, keys: tuple[int, int], **changes: Any) -> float:
    """ns of a tile of 256 keys once all tiles are under way, on so many cores."""
    few, many = (flash(128 * cores, kv_len, **changes).time / 1000 for kv_len in keys)
    return (many - few) * 256 / (keys[1] - keys[0])


def test_a_copy_begins_when_the_copy_before_is_complete() -> None:
    """Copies of 1,000 B take 1 us and the latency each where a flag waits for them; others share the latency."""
    spec = CHIP.matmul_core.near[0]
    assert isinstance(spec, hwmodels.Scratchpad)
    spec, times = spec.model_copy(update={"dma_startup": 0}), {}
    for copies in (0, 1, 3):
        sink = Sink()
        sink.latency = 250_000
        pad = Scratchpad(spec, (1, 1), Link("port", (1, 1), 10**9, 0, sink))
        plain = ask(pieces([(0, 1000, READ)]))
        request = Request(plain.runs, plain.indices, plain.first, plain.count, copies)
        times[copies] = [pad.serve(request, 0, 0, 0) for _ in range(2)]
    own = 1000 * PS // 10**9
    assert times[0] == [own + 250_000, 2 * own + 250_000]
    assert times[1] == [own + 250_000, 2 * (own + 250_000)]
    assert times[3] == [own + 3 * 250_000, 2 * (own + 3 * 250_000)]


def test_one_core_takes_the_time_of_its_six_copies() -> None:
    """The rate of a tile: K, V and probabilities through the port, and the L2's latency for each copy of 128 tokens.
    Measured: 7.6 us for 1,024 more keys (hw-native-sys/pto-isa), which nothing was fitted to."""
    port = CHIP.matmul_core.bandwidth
    assert tile_time(1, (4096, 8192)) == pytest.approx(6 * LATENCY + 3 * TILE * 1e9 / port, rel=0.02)
    overlapping = {"instruction": "cube", "groups": 5}
    assert tile_time(1, (4096, 8192), **{"tiling.engine": overlapping}) < 6 * LATENCY + 3 * TILE * 1e9 / port - 500


def test_tiles_of_all_cores_share_the_l2() -> None:
    """Scores, probabilities and products with V are written and read, K and V are read: ten units of 64 KiB a tile."""
    alone, all_cores = (tile_time(cores, (8192, 16384)) for cores in (1, 24))
    cache = CHIP.cache
    assert cache is not None
    traffic = 24 * 10 * TILE * 1e9 / cache.bandwidth
    assert alone < traffic < all_cores < 1.1 * traffic
    result = flash(128, 1024)
    assert result.counters["l2.scores.hits"] > 0
    assert result.counters["aiv_port.bytes"] == 4 * 4 * TILE


def test_a_tile_at_a_time_waits_for_each_hand_over() -> None:
    """With one tile under way a step takes the products, the softmax and all parts of the exchange in turn."""
    one = {"instruction": "cube", "groups": 1, "copy_rows": 128}
    assert tile_time(1, (4096, 8192), **{"tiling.engine": one}) > 2.5 * tile_time(1, (4096, 8192))
