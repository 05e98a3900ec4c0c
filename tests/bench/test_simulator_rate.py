"""What a tile costs on the event side and below, how fast the DRAM channels answer, and the demo's largest point."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import pytest

import codesign
import hwmodels
from codesign.shipped import find_workload
from codesign.task import budget
from sim.core import Kernel
from sim.dram import Dram
from sim.machine import Machine
from sim.request import NO_INDEX, Request
from tests.bench.conftest import Figure, seconds
from workloads import attention, load_workload
from workloads.trace import READ, RUN

CHIP = "h100_sxm"
TILE_GOAL = 3.0
"""Microseconds a tile on the event side: taking programs, waiting, computing, everything above the levels."""
POINT_GOAL = 1.0
"""Seconds: a million tokens of 8 heads x 128 are to take half a second, and these rows are twice as long."""
ACCESS_GOAL = 15.0
"""Million accesses a second."""
LARGEST = {"shape.head_dim": 256, "selection.ratio": 1.0, "shape.kv_len": 1 << 20}


@pytest.mark.bench
@pytest.mark.parametrize("example", ["decode_dense", "decode_topk"])
def test_cost_of_a_tile(example: str, report: Callable[[Figure], None]) -> None:
    chip = hwmodels.load_chip(CHIP)
    trace = attention(load_workload(find_workload(example)), budget(chip))
    totals, levels, tiles = [], [], 0
    for _ in range(4):  # the first one compiles
        machine = Machine(chip, trace)
        serve, inside = machine.top.serve, 0.0

        def timed(request: Request, repeat: int, core: int, now: int) -> int:
            nonlocal inside
            begin = perf_counter()
            done = serve(request, repeat, core, now)  # noqa: B023
            inside += perf_counter() - begin
            return done

        machine.top.serve = timed
        kernel = Kernel(machine, trace, False)
        begin = perf_counter()
        kernel.run()
        totals.append(perf_counter() - begin)
        levels.append(inside)
        tiles = kernel.tiles
    place = sorted(range(1, 4), key=lambda i: totals[i])[1]
    total, events = totals[place] / tiles * 1e6, (totals[place] - levels[place]) / tiles * 1e6
    report(Figure(f"a tile of {example} on {CHIP}, everything ({tiles:,} tiles)", total, "us"))
    report(Figure("  the event side of it", events, "us", TILE_GOAL, less=True))
    report(Figure("  its share", 100 * events / total, "%"))


@pytest.mark.bench
@pytest.mark.parametrize("kind", ["stream", "random"])
def test_dram_rate(kind: str, report: Callable[[Figure], None]) -> None:
    spec = hwmodels.load_chip(CHIP).dram
    dram, rows, size = Dram(spec, ("X",)), 1 << 20, spec.smallest_access
    runs = np.zeros(1, RUN)
    indices = NO_INDEX
    if kind == "stream":
        runs[0] = (0, size * rows, 1, size * rows, -1, 0, READ, 0)
    else:
        indices = np.random.default_rng(3).integers(0, (8 << 30) // size, rows)
        runs[0] = (0, size, rows, size, 0, 0, READ, 0)
    request = Request(runs, indices, 0, 1)
    dram.serve(request, 0, 0, 0)
    before = dram.counters()["accesses"]
    wall = seconds(lambda: dram.serve(request, 0, 0, 0))
    accesses = (dram.counters()["accesses"] - before) / 3
    report(Figure(f"DRAM accesses of {size} B, {kind}", accesses / wall / 1e6, "M/s", ACCESS_GOAL))


@pytest.mark.bench
def test_largest_point_of_the_demo(report: Callable[[Figure], None]) -> None:
    wall = seconds(lambda: codesign.run(CHIP, "decode_topk", LARGEST))
    report(Figure(f"largest point of the demo ({CHIP}, 1M tokens x 256)", wall, "s", POINT_GOAL, less=True))
