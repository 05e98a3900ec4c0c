"""What a tile costs beside its lines, and how fast the DRAM channels answer.

*The event side* of a tile is taking programs, waiting, asking the levels and computing. It is measured as what the same
tiles cost where each run of the trace asks for a single sector, so the little that the levels do for that is in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memgrain import hwmodels, sim
from memgrain.runs.task import Task
from memgrain.sim.dram.dram import Dram
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.workloads.trace import READ, RUN, Trace
from tests.bench.figure import Figure, Report, seconds, settled

HEADING = "Tiles and DRAM"
CHIP = "h100_sxm"
SECTOR = 32
"""Bytes."""
TILED = {
    "decode_dense": {"shape.kv_len": 1 << 18},
    "decode_topk": {"shape.kv_len": 1 << 20, "selection.ratio": 0.1},
}
"""Examples whose tiles are timed, with enough of them that setting up the machine is little beside."""
TILE_GOAL = 3.0
"""Microseconds a tile on the event side."""
ACCESS_GOAL = 15.0
"""Million accesses a second."""


@pytest.mark.bench
@pytest.mark.parametrize("example", TILED)
def test_cost_of_a_tile(example: str, report: Report) -> None:
    point = Task(CHIP, {}, example, TILED[example]).resolve()
    (trace,) = point.kernels()
    tiles = sim.simulate(point.chip, trace).counters["core.tiles"]
    whole = settled(lambda: sim.simulate(point.chip, trace)) / tiles * 1e6
    events = settled(lambda: sim.simulate(point.chip, of_single_sectors(trace))) / tiles * 1e6
    report(Figure(f"a tile of {example} on {CHIP}, everything ({tiles:,} tiles)", whole, "us"))
    report(Figure("  the event side of it", events, "us", TILE_GOAL, less=True))


def of_single_sectors(trace: Trace) -> Trace:
    """The same programs and steps, with a sector for each run."""
    chunks = []
    for chunk in trace.chunks():
        runs = chunk.runs.copy()
        runs["count"], runs["bytes"] = 1, SECTOR
        chunks.append(replace(chunk, runs=runs))
    return replace(trace, make_chunks=lambda: iter(chunks))


@pytest.mark.bench
@pytest.mark.parametrize("kind", ["stream", "random"])
def test_dram_rate(kind: str, report: Report) -> None:
    spec = hwmodels.load_chip(CHIP).dram
    dram, rows, size = Dram(spec, ("X",)), 1 << 20, spec.smallest_access
    runs = np.zeros(1, RUN)
    indices = NO_INDEX
    if kind == "stream":
        runs[0] = (0, size * rows, 1, size * rows, -1, 0, READ, 0, 1)
    else:
        indices = np.random.default_rng(3).integers(0, (8 << 30) // size, rows)
        runs[0] = (0, size, rows, size, 0, 0, READ, 0, 1)
    request = Request(runs, indices, 0, 1)
    dram.serve(request, 0, 0, 0)
    accesses = dram.counters()["accesses"]
    wall = seconds(lambda: dram.serve(request, 0, 0, 0))
    report(Figure(f"DRAM accesses of {size} B, {kind}", accesses / wall / 1e6, "M/s", ACCESS_GOAL))
