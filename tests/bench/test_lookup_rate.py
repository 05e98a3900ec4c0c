"""How many lines a second the lookup loop answers, beside an outside cache simulator in the same run.

Plain: LRU, 192 MiB, 16 ways, 128-byte lines. Stream: over 64 MiB. Random: over 512 MiB. Mix: one of each in turn.
On a chip: the last cache of an H100 (sectors, two partitions that replicate, slices, arrivals), asked for tiles.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import hwmodels
from sim.cache import Cache
from sim.request import NO_INDEX, Request
from tests.bench.conftest import Figure, seconds
from tests.sim.conftest import BASE
from workloads.trace import READ, RUN

LINE, CAPACITY, WAYS = 128, 192 << 20, 16
COUNT, TILE = 1 << 22, 1 << 12
"""Lines of one measurement, and of one request."""
GOALS = {"stream": 300.0, "random": 80.0, "mix": 150.0}
PEER_GOAL = 12.0
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


def lines(kind: str) -> NDArray[np.int64]:
    """The line numbers that are asked for."""
    stream = np.arange(COUNT) % (64 * 2**20 // LINE)
    random = np.random.default_rng(7).integers(0, 512 * 2**20 // LINE, COUNT)
    return {"stream": stream, "random": random, "mix": np.where(np.arange(COUNT) % 2, random, stream)}[kind]


def requests(kind: str) -> list[Request]:
    """The lines as requests of one run each: strided where they are a stream, gathered otherwise."""
    numbers = lines(kind)
    found = []
    for first in range(0, COUNT, TILE):
        runs = np.zeros(1, RUN)
        if kind == "stream":
            runs[0] = (int(numbers[first]) * LINE, LINE, TILE, LINE, -1, 0, READ, 0)
            found.append(Request(runs, NO_INDEX, 0, 1))
        else:
            runs[0] = (0, LINE, TILE, LINE, first, 0, READ, 0)
            found.append(Request(runs, numbers, 0, 1))
    return found


def cache(policy: str = "lru") -> Cache:
    """The plain cache of the measurement."""
    sizes = {"capacity": f"{CAPACITY} B", "line": f"{LINE} B", "sector": f"{LINE} B", "fill_granule": f"{LINE} B"}
    spec = hwmodels.Cache.model_validate({**BASE, **sizes, "ways": WAYS, "replacement": policy})
    return Cache(spec, (1, 4), Nothing(), ("X",))


@pytest.mark.bench
@pytest.mark.parametrize("kind", GOALS)
def test_line_rate(kind: str, report: Callable[[Figure], None]) -> None:
    ours, asked = cache(), requests(kind)

    def walk() -> None:
        for request in asked:
            ours.serve(request, 0, 0, 0)

    walk()
    rate = COUNT / seconds(walk) / 1e6
    report(Figure(f"lookup loop, {kind}", rate, "M lines/s", GOALS[kind]))
    outside = pytest.importorskip("cachesim")
    memory = outside.MainMemory()
    peer = outside.Cache("L2", CAPACITY // LINE // WAYS, WAYS, LINE, "LRU")
    memory.load_to(peer)
    memory.store_from(peer)
    simulator = outside.CacheSimulator(peer, memory)
    addresses = (lines(kind) * LINE).tolist()
    simulator.load(addresses, length=1)
    peers = COUNT / seconds(lambda: simulator.load(addresses, length=1)) / 1e6
    report(Figure(f"  pycachesim, {kind}", peers, "M lines/s"))
    report(Figure(f"  ratio, {kind}", rate / peers, "x", PEER_GOAL))


@pytest.mark.bench
@pytest.mark.parametrize(
    ("name", "footprint", "gathered"),
    [("tiles that are nowhere", 1 << 30, False), ("rows that are nowhere", 1 << 30, True), ("hits", 24 << 20, False)],
)
def test_line_rate_on_a_chip(name: str, footprint: int, gathered: bool, report: Callable[[Figure], None]) -> None:
    chip = hwmodels.load_chip(CHIP)
    assert chip.cache is not None
    cores = chip.matmul_core.count
    ours = Cache(chip.cache, (1, cores), Nothing(), ("X",))
    rows = np.random.default_rng(7).permutation(footprint // PIECE)
    asked = []
    for first in range(0, footprint, CHIP_TILE):
        runs = np.zeros(1, RUN)
        if gathered:
            runs[0] = (0, PIECE, CHIP_TILE // PIECE, PIECE, first // PIECE, 0, READ, 0)
        else:
            runs[0] = (first, 0, 1, CHIP_TILE, -1, 0, READ, 0)
        asked.append(Request(runs, rows, 0, 1))

    def walk() -> None:
        for i, request in enumerate(asked):
            ours.serve(request, 0, i % cores, 0)

    walk()
    rate = footprint / chip.cache.line / seconds(walk) / 1e6
    report(Figure(f"lookup loop, {CHIP}, {name}", rate, "M lines/s", CHIP_GOAL))
