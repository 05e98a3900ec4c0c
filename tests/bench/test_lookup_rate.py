"""How many lines a second are looked up, beside other cache simulators in the same run.

Plain: LRU, 192 MiB, 16 ways, 128-byte lines, 20 M accesses, one core. Stream: over 64 MiB. Random: over 512 MiB. Mix:
one of each in turn. *Cache.serve* is the cache of the simulator, which also says when answers come; *count_lru* counts
hits alone, of all associativities up to 16 in one pass. On a chip: the last cache of an H100 (sectors, two partitions
that replicate, slices, arrivals), asked for tiles. pycachesim has the same sets and ways, and the same hits;
libcachesim's LRU has no sets: any line may lie anywhere.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from memgrain import hwmodels, sim
from memgrain.sim.cache.cache import Cache
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.workloads.trace import READ, RUN
from tests.bench.figure import Figure, Report, seconds
from tests.bench.peers import Peer, peers
from tests.sim.conftest import BASE

HEADING = "Lookups"
LINE, CAPACITY, WAYS = 128, 192 << 20, 16
SETS = CAPACITY // LINE // WAYS
TILE = 1 << 12
"""Lines of a request."""
COUNT = 4883 * TILE
"""Lines of one measurement: 20 M."""
RUNS = 7
"""Runs of ours, which are short."""
GOALS = {"stream": 300.0, "random": 80.0, "mix": 150.0}
PEER, PEER_GOAL = "pycachesim", 12.0
"""The simulator that ours is to outdo, and how many times."""
ALL_GOAL = 0.9
"""Rate of all associativities in one pass, as a part of the rate of one."""
CHIP = "h100_sxm"
CHIP_TILE, PIECE = 1 << 15, 256
"""Bytes of a request on a chip (64 tokens of K and V at 128 elements), and of a row of it."""
CHIP_GOAL = 35.0
"""Four times what the loop did on cold lines before sets were kept by age."""


class Nothing:
    """A level that answers at once and keeps nothing."""

    name, latency, queue, first, came = "nothing", 0, 0, 0, 0

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """Now."""
        return now

    def counters(self) -> dict[str, int]:
        """None."""
        return {}

    def forget(self) -> None:
        """Nothing to forget."""


@cache
def lines(kind: str) -> NDArray[np.int32]:
    """The line numbers that are asked for."""
    stream = np.arange(COUNT, dtype=np.int32) % np.int32((64 << 20) // LINE)
    if kind == "stream":
        return stream
    random = np.random.default_rng(7).integers(0, (512 << 20) // LINE, COUNT, np.int32)
    if kind == "mix":
        random[::2] = stream[::2]
    return random


@cache
def others(kind: str) -> dict[str, Peer]:
    """What the other simulators make of the same lines."""
    return peers(lines(kind), SETS, WAYS, LINE)


def requests(kind: str) -> list[Request]:
    """The lines as requests of one run each: strided where they are a stream, gathered otherwise."""
    numbers = lines(kind).astype(np.int64)
    found = []
    for first in range(0, COUNT, TILE):
        runs = np.zeros(1, RUN)
        if kind == "stream":
            runs[0] = (int(numbers[first]) * LINE, LINE, TILE, LINE, -1, 0, READ, 0, 1)
            found.append(Request(runs, NO_INDEX, 0, 1))
        else:
            runs[0] = (0, LINE, TILE, LINE, first, 0, READ, 0, 1)
            found.append(Request(runs, numbers, 0, 1))
    return found


def plain_cache() -> Cache:
    """The plain cache of the measurement."""
    sizes = {"capacity": f"{CAPACITY} B", "line": f"{LINE} B", "sector": f"{LINE} B", "fill_granule": f"{LINE} B"}
    spec = hwmodels.Cache.model_validate({**BASE, **sizes, "ways": WAYS})
    return Cache(spec, (1, 4), Nothing(), ("X",))


@cache
def served(kind: str) -> tuple[float, int]:
    """Million lines a second that `Cache.serve` answers, and hits of the first pass."""
    ours, asked = plain_cache(), requests(kind)

    def walk() -> None:
        for request in asked:
            ours.serve(request, 0, 0, 0)

    walk()
    hits = ours.counters()["hits"]
    return COUNT / seconds(walk, RUNS) / 1e6, hits


def enter(name: str, kind: str, rate: float, hits: int, goal: float, report: Report) -> None:
    """Enter our rate beside the others'; all that have these sets must have found the same hits."""
    beside = others(kind)
    assert {peer.hits for peer in beside.values()} <= {hits, None}
    report(Figure(f"{name}, {kind}", rate, "M lines/s", goal, beside={other: p.rate for other, p in beside.items()}))
    if PEER in beside:
        report(Figure(f"  ratio to {PEER}", rate / beside[PEER].rate, "x", PEER_GOAL))


@pytest.mark.bench
@pytest.mark.parametrize("kind", GOALS)
def test_line_rate(kind: str, report: Report) -> None:
    enter("Cache.serve", kind, *served(kind), GOALS[kind], report)


@pytest.mark.bench
@pytest.mark.parametrize("kind", GOALS)
def test_rate_of_all_associativities(kind: str, report: Report) -> None:
    if not hasattr(sim, "count_lru"):
        pytest.skip("sim.count_lru is not there yet")
    asked = lines(kind)
    positions = sim.count_lru(asked, SETS, ways=WAYS)
    rate = COUNT / seconds(lambda: sim.count_lru(asked, SETS, ways=WAYS), RUNS) / 1e6
    one, hits = served(kind)
    assert int(positions[:WAYS].sum()) == hits
    enter("count_lru, 1 to 16 ways in one pass", kind, rate, hits, ALL_GOAL * GOALS[kind], report)
    report(Figure("  ratio to one associativity, Cache.serve", rate / one, "x", ALL_GOAL))


@pytest.mark.bench
@pytest.mark.parametrize(
    ("name", "footprint", "gathered"),
    [("tiles that are nowhere", 1 << 30, False), ("rows that are nowhere", 1 << 30, True), ("hits", 24 << 20, False)],
)
def test_line_rate_on_a_chip(name: str, footprint: int, gathered: bool, report: Report) -> None:
    chip = hwmodels.load_chip(CHIP)
    assert chip.cache is not None
    cores = chip.matmul_core.count
    ours = Cache(chip.cache, (1, cores), Nothing(), ("X",))
    rows = np.random.default_rng(7).permutation(footprint // PIECE)
    asked = []
    for first in range(0, footprint, CHIP_TILE):
        runs = np.zeros(1, RUN)
        if gathered:
            runs[0] = (0, PIECE, CHIP_TILE // PIECE, PIECE, first // PIECE, 0, READ, 0, 1)
        else:
            runs[0] = (first, 0, 1, CHIP_TILE, -1, 0, READ, 0, 1)
        asked.append(Request(runs, rows, 0, 1))

    def walk() -> None:
        for i, request in enumerate(asked):
            ours.serve(request, 0, i % cores, 0)

    walk()
    rate = footprint / chip.cache.line / seconds(walk) / 1e6
    report(Figure(f"lookup loop, {CHIP}, {name}", rate, "M lines/s", CHIP_GOAL))
