"""The compiled DRAM loop against access by access in plain Python: every answer and every count is the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain import hwmodels
from memgrain.sim.dram.dram import Dram
from memgrain.sim.levels.level import PS
from memgrain.sim.levels.request import Request
from memgrain.workloads.trace import READ, RUN, UNCACHED, WRITE
from tests.sim.dram_reference import Reference, place_of

MAPS = [
    "row rank column bank bank_group channel", "row column bank bank_group channel rank",
    "row rank bank_group bank channel column", "row channel rank bank bank_group column",
    "row column rank bank bank_group channel", "rank channel row column bank bank_group",
]  # fmt: skip
STANDARDS = ["hbm3", "hbm2e", "ddr4", "lpddr5"]
SPAN = 1 << 16
"""Bytes that the runs lie in: few, so that they meet."""
PIECES = 12
"""Numbers that gathered runs point to."""


@st.composite
def drams(draw: st.DrawFn, streams: bool = False) -> Dram:
    """A memory of any small geometry, its refreshes so close that they fall into a test; for `streams`, one whose
    columns lie a round over all channels and banks apart."""
    base = hwmodels.load_standard(draw(st.sampled_from(STANDARDS)))
    interval = draw(st.sampled_from([2_000_000, 50_000_000] if streams else [150_000, 700_000, 50_000_000]))
    timings = base.timings | {base.refresh.interval: interval, base.refresh.duration: 60_000}
    kind = draw(st.sampled_from(["all_bank", "per_rank", "per_bank"]))
    size = base.burst * draw(st.sampled_from([1, 2, 3]))
    chunk = size * draw(st.sampled_from([1, 2, 4]))
    standard = base.model_copy(
        update={
            "timings": timings,
            "refresh": base.refresh.model_copy(update={"kind": kind}),
            "ranks": draw(st.integers(1, 2)),
            "bank_groups": draw(st.sampled_from([1, 2, 4])),
            "banks_per_group": draw(st.sampled_from([1, 2, 3])),
            "row": chunk * draw(st.sampled_from([2, 4] if streams else [1, 2, 4])),
            "address_map": draw(st.sampled_from(MAPS[:2] if streams else MAPS)),
        }
    )
    channels = draw(st.integers(4 if streams else 1, 13))
    rate = size * channels * PS // (draw(st.integers(1, 3)) * standard.service("rank", "RD"))
    spec = hwmodels.Dram.model_construct(
        kind="dram", name="hbm", standard=standard, capacity=8 << 30, channels=channels, interleave=chunk,
        channel_hash=draw(st.booleans()), smallest_access=size, bandwidth=rate, latency=0, write_batch=4,
        window=draw(st.sampled_from([1, 2, 3, 8, 17])), page_policy=draw(st.sampled_from(["open", "closed"])),
    )  # fmt: skip
    lead = draw(st.sampled_from([0, 100_000]))
    return Dram(spec.model_copy(update={"latency": spec.closed_row_time + lead}), ("A", "B", "C"))


@st.composite
def requests(draw: st.DrawFn, longest: int) -> tuple[Request, int, int]:
    """Some runs, a repeat, and the time from the request before, at times a little back."""
    indices = np.array(draw(st.lists(st.integers(0, 200), min_size=PIECES, max_size=PIECES)), np.int64)
    runs = np.zeros(draw(st.integers(1, 3)), RUN)
    for i in range(len(runs)):
        gathered, count = draw(st.booleans()), draw(st.integers(1, 4))
        width = draw(st.integers(1, 600) | st.just(longest))
        op = draw(st.sampled_from([READ, READ, WRITE, UNCACHED]))
        base, stride = draw(st.integers(0, SPAN)), draw(st.sampled_from([64, 256, 4096]))
        index, advance, tensor = draw(st.integers(0, 4)) if gathered else -1, draw(st.integers(0, 3)), i % 3
        runs[i] = (base, stride, count, width, index, advance, op, tensor, 1)
    return Request(runs, indices, 0, len(runs)), draw(st.integers(0, 1)), draw(st.integers(-3000, 200_000))


def agree(dram: Dram, asked: list[tuple[Request, int, int]]) -> None:
    reference, now = Reference(dram), 0
    for request, repeat, step in asked:
        now = max(0, now + step)
        done = dram.serve(request, repeat, 0, now)
        assert (done, dram.first, dram.came, dram.queue) == reference.serve(request, repeat, now)
    found = dram.counters()
    for name in {*reference.counts, *found} - {"accesses", "row_hits", "row_misses"}:
        assert found.get(name, 0) == reference.counts[name], name


@settings(max_examples=150, deadline=None)
@given(dram=drams(), asked=st.lists(requests(SPAN // 16), min_size=1, max_size=12))
def test_agrees_with_the_reference(dram: Dram, asked: list[tuple[Request, int, int]]) -> None:
    agree(dram, asked)


@settings(max_examples=60, deadline=None)
@given(dram=drams(streams=True), first=requests(600), long=requests(SPAN), last=requests(600))
def test_streams_agree_with_the_reference(dram: Dram, **asked: tuple[Request, int, int]) -> None:
    """Runs over many rows of all banks, what went before and what comes after."""
    agree(dram, [asked["first"], asked["long"], asked["last"], asked["long"]])


@pytest.mark.parametrize("op", [READ, WRITE])
@pytest.mark.parametrize("interval", [1_000_000, 40_000_000])
def test_long_streams_are_products(interval: int, op: int) -> None:
    """A run over whole rows of all banks, twice; refreshes fall due in some channels."""
    standard = hwmodels.load_standard("hbm3")
    standard = standard.model_copy(update={"timings": standard.timings | {"tREFI": interval, "tRFC": 100_000}})
    spec = hwmodels.load_chip("h100_sxm").dram
    dram = Dram(spec.model_copy(update={"channels": 10, "standard": standard}), ("A", "B", "C"))
    runs = np.zeros(1, RUN)
    runs[0] = (768, 0, 1, 5 * int(dram.arrays.config[0].row_chunks) * spec.interleave, -1, 0, op, 0, 1)
    request = Request(runs, np.zeros(1, np.int64), 0, 1)
    agree(dram, [(request, 0, 0), (request, 0, 2_000_000)])


@settings(max_examples=50, deadline=None)
@given(dram=drams(), chunks=st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_the_map_agrees_with_the_reference(dram: Dram, chunks: list[int]) -> None:
    """Also beyond the numbers that reciprocals divide."""
    reference = Reference(dram)
    for chunk in chunks:
        channel, left, *rest = place_of(chunk, dram.arrays.config[0])
        assert (channel, *rest) == reference.decode(chunk)
        for i in range(1, left):
            assert reference.decode(chunk + i) == (channel + i, *rest)


@pytest.mark.slow
def test_plain_python_agrees_with_the_reference() -> None:
    """The same loop without Numba, whose vectors are then arrays of NumPy."""
    command = [sys.executable, "-m", "pytest", "-q", __file__, "-k", "long or map"]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2])
