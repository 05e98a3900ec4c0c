"""Rows at a regular stride have the whole cache, as on an H200: no stride is worse than rows at random."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from memgrain import hwmodels
from memgrain.sim.cache.cache import Cache
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.workloads.trace import READ, RUN
from tests.sim.conftest import Sink

MEASURED = Path(__file__).parents[2] / "measurements" / "h200_strides.csv"
CHIPS = [name for name in hwmodels.chip_names() if hwmodels.load_chip(name).cache]
LARGEST = 4 << 20
"""Bytes of the largest stride. Where that is a whole number of blocks and of all sets (from 5 MiB on for an A100), rows
have as many sets as a block of `memgrain.sim.native.address.fold` has lines."""
ROWS = 64
"""Rows of a run."""


class Quiet(Sink):
    """A sink that keeps nothing."""

    def serve(self, request, repeat, core, now) -> int:
        return now


def missed(cache: Cache, places: Sequence[int] | range, size: int, cores: Sequence[int], alike: bool) -> float:
    """Share of rows of `size` bytes at `places` that a further pass misses: read by each of the cores, or (not `alike`)
    by one after the other in turns."""
    runs = np.zeros(len(places) // ROWS if isinstance(places, range) else len(places), RUN)
    runs["base"] = places[::ROWS] if isinstance(places, range) else places
    runs["stride"], runs["count"] = (places.step, ROWS) if isinstance(places, range) else (0, 1)
    runs["bytes"], runs["index"], runs["op"] = size, -1, READ
    before = 0
    for _ in range(3):
        before = cache.counters()["misses"]
        for number, first in enumerate(range(0, len(runs), ROWS)):
            request = Request(runs, NO_INDEX, first, min(ROWS, len(runs) - first))
            for core in cores if alike else [cores[number % len(cores)]]:
                cache.serve(request, 0, core, 0)
    return (cache.counters()["misses"] - before) * cache.spec.fill_granule / (len(places) * size)


@pytest.mark.parametrize("name", CHIPS)
def test_no_stride_is_worse_than_rows_at_random(name: str) -> None:
    """At three quarters of the capacity, single lines 1, 3, 5, 7, 11 times a power of two apart.
    How often a few blocks of lines fall on the same places is chance, so one stride is not exactly as another."""
    spec = hwmodels.load_chip(name).cache
    assert spec is not None
    scale = 1 << max(0, (spec.sets & -spec.sets).bit_length() - 9)  # sets keep their odd factors
    keys = {"capacity": spec.capacity // spec.partitions // scale, "partitions": 1, "replicate": None, "slices": 1}
    spec = spec.model_copy(update={**keys, "set_hash": "xor", "far_latency": None, "bandwidth": 10**12})
    count = 3 * spec.sets * spec.ways // 4 // ROWS * ROWS

    def share(places: range | list[int]) -> float:
        return missed(Cache(spec, (1, 1), Quiet(), ("X",)), places, spec.line, [0], True)

    rng = np.random.default_rng(1)
    random = share((rng.integers(0, 1 << 28, count) * spec.line).tolist())
    assert share(range(0, count * spec.line, spec.line)) == 0
    strides = [spec.line * odd << power for odd in (1, 3, 5, 7, 11) for power in range(0, 19, 2) if odd << power > 1]
    largest = min(LARGEST // scale, (spec.line << 30) // count)
    found = {stride: share(range(0, count * stride, stride)) for stride in strides if stride <= largest}
    assert len(found) > 12
    assert np.mean(list(found.values())) < random + 0.03, (found, random)
    assert max(found.values()) < random + 0.25, (found, random)


def test_without_a_hash_rows_side_by_side_share_few_sets() -> None:
    """Rows of 256 B at 1 KiB, a quarter of the sets of an A100, miss all there although half would be room enough."""
    spec = hwmodels.load_chip("a100_sxm").cache
    assert spec is not None
    count = spec.capacity // 4 // 256
    found = {
        kind: missed(
            Cache(spec.model_copy(update={"set_hash": kind}), (1, 2), Quiet(), ("X",)),
            range(0, count * 1024, 1024),
            256,
            [0, 1],
            True,
        )
        for kind in ("none", "xor")
    }
    assert found["none"] == 1
    assert found["xor"] < 0.01


@pytest.mark.slow
def test_an_h200_keeps_what_it_was_measured_to_keep() -> None:
    """Working sets of 16 to 40 MiB at strides of 256 B to 80 KiB, read by all SMs or by one each: the mean distance of
    the share that is missed is that of noise between strides, and no case is another world."""
    spec, off = hwmodels.load_chip("h200_sxm").cache, {}
    assert spec is not None
    with MEASURED.open() as file:
        names = ("share", "stride", "working_set", "dram_read_bytes")
        rows = [{name: int(row[name]) for name in names} for row in csv.DictReader(file)]
    for row in rows:
        size, stride = row["working_set"], row["stride"]
        if size >> 20 not in (16, 24, 40) or stride not in (256, 512, 1024, 3072, 8192, 81920):
            continue
        cache = Cache(spec, (1, 132), Quiet(), ("X",))
        share = missed(cache, range(0, size // 256 * stride, stride), 256, [0, 66], row["share"] > 1)
        off[row["share"], stride, size >> 20] = share - row["dram_read_bytes"] / size
    assert len(off) == 36
    assert np.abs(list(off.values())).mean() < 0.06, off
    assert np.abs(list(off.values())).max() < 0.4, off
