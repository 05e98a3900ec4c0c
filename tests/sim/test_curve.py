"""Curves of one pass equal caches simulated one by one, lists and the simulator; samples are within their error."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memgrain import hwmodels, workloads
from memgrain.sim import CacheShape, Curve, SimulationError, count_lru, miss_ratio_curve
from memgrain.sim.curves import distances, stacks
from memgrain.sim.curves.probe import BATCH, Distances, PerSet, Sampled
from memgrain.sim.native.address import fold, folding
from memgrain.workloads.trace import Trace

ROOT = Path(__file__).parents[2]
PLAIN = {"l2.sector": "128 B", "l2.fill_granule": "128 B"}


def depth_of(stack: list[int], line: int) -> int | None:
    """Where a line is in a list, newest first; it moves to the front."""
    at = stack.index(line) if line in stack else None
    if at is not None:
        del stack[at]
    stack.insert(0, line)
    return at


def depths_by_list(lines: NDArray[np.int32], sets: int, most: int) -> NDArray[np.int64]:
    """The counts of `count_lru`, from a list for each set."""
    lists: list[list[int]] = [[] for _ in range(sets)]
    counts = np.zeros(most + 1, np.int64)
    for line in lines.tolist():
        at = depth_of(lists[line % sets], line)
        counts[most if at is None else min(at, most)] += 1
    return counts


def curve_of(counter: Distances | PerSet) -> NDArray[np.int64]:
    """Reads by distance, those beyond the last one at the end."""
    if isinstance(counter, PerSet):
        return counter.counts.sum(axis=(0, 1))
    return np.append(counter.counts.sum(axis=0), counter.never.sum())


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_stacks_equal_lists(data: st.DataObject) -> None:
    sets, ways = data.draw(st.sampled_from([1, 3, 300, 1000])), data.draw(st.integers(1, 64))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    # line numbers far apart need tags of 32 bits
    lines = (rng.integers(0, data.draw(st.integers(1, 2000)), 1500) * data.draw(st.sampled_from([1, 99_991]))).astype(
        np.int32
    )
    expected = depths_by_list(lines, sets, ways)
    for threads in (1, 2):
        assert count_lru(lines, sets, ways, threads).tolist() == expected.tolist()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), footprint=st.integers(1, 900), pieces=st.integers(1, 40))
def test_distances_equal_a_list(seed: int, footprint: int, pieces: int) -> None:
    rng = np.random.default_rng(seed)
    lines = rng.integers(0, footprint, 1500).astype(np.int32)
    asked = np.ones(len(lines), np.int32)
    counter = Distances(1, 1)
    counter.owners, counter.marks = np.zeros(0, np.int32), np.zeros(0, np.int64)
    counter._lengthen(1 << distances.BLOCK_BITS)  # so short that marks have to move up
    for some in np.array_split(np.arange(len(lines)), pieces):
        counter.take(len(some), lines[some], asked[some])
    expected = depths_by_list(lines, 1, footprint)
    found = curve_of(counter)
    assert found[:-1].sum() + found[-1] == len(lines)
    assert np.trim_zeros(found[:-1], "b").tolist() == np.trim_zeros(expected[:-1], "b").tolist()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), footprint=st.integers(1, 300), writes=st.sampled_from([0.0, 0.2]))
def test_granules_that_were_fetched_at_different_times(seed: int, footprint: int, writes: float) -> None:
    """A cache of any size, with lines of four granules that are fetched apart, as a dictionary."""
    rng = np.random.default_rng(seed)
    lines, masks = rng.integers(0, footprint, 800).astype(np.int32), rng.integers(1, 16, 800)
    writing = rng.random(800) < writes
    asked = (masks | writing * stacks.WRITES).astype(np.int32)
    shape = CacheShape(512, 128, 5, hashed=True)
    whole, sets = Distances(4, 1), PerSet(shape, 1, 1, threads=2)
    for counter in (whole, sets):
        counter.take(len(lines), lines, asked)
    for counter, groups, sizes in ((whole, 1, (1, 7, 100)), (sets, 5, (1, 3, 16, 60))):
        for size in sizes:
            hits, content = 0, [dict[int, int]() for _ in range(groups)]
            for line, mask, write in zip(lines.tolist(), masks.tolist(), writing.tolist(), strict=True):
                held = content[fold(line, *folding(groups, True)) % groups]
                valid = held.pop(line, 0)
                hits += 0 if write else (mask & valid).bit_count()
                held[line] = valid | mask
                if len(held) > size:
                    del held[next(iter(held))]
            assert curve_of(counter)[:-1][:size].sum() == hits


@pytest.fixture(scope="module")
def reuse() -> Trace:
    """A trace that reads its K more than once, beyond a small cache."""
    overrides = {"shape.kv_len": 1024, "shape.batch": 1}
    workload = workloads.load_any(ROOT / "workloads" / "examples" / "decode_mla.yaml", overrides)
    return workloads.attention(workload, workloads.Budget(cores=4, scratchpad_bytes=1 << 18, max_programs=2))


@pytest.mark.parametrize(
    "numbers",
    [
        PLAIN,
        {},
        {"l2.set_hash": "xor"},
        {"l2.partitions": 2, "l2.replicate": True, "l2.far_latency": "200 ns", "l2.sector": "64 B"},
        {"l2.partitions": 2, "l2.replicate": False, "l2.far_latency": "200 ns"},
    ],
    ids=["plain", "sectors", "hashed", "copies", "partitions"],
)
def test_equals_the_simulator_at_the_own_ways(numbers: dict[str, object], reuse: Trace) -> None:
    sizes = {"l2.capacity": "256 KiB", "l2.ways": 4}
    chip = hwmodels.load_chip("toy", {**sizes, **numbers})
    found = miss_ratio_curve(chip, reuse, "ways")
    assert found.simulated is not None
    assert found.own == 256 << 10
    assert found.counts[:, :4].sum(axis=1).tolist() == found.simulated.tolist()
    assert 0.2 < found.ratios([found.own])[-1, 0] < 0.98
    assert found.ratios([found.own])[:, 0] == pytest.approx(found.simulated_ratios(), nan_ok=True)
    more = found.ratios([found.step * ways for ways in range(1, 65)])[-1]
    assert (np.diff(more) <= 0).all()
    assert np.isnan(found.ratios([found.step * 65])).all()


def test_one_set_is_fully_associative(reuse: Trace) -> None:
    chip = hwmodels.load_chip("toy", {"l2.capacity": "4 KiB", "l2.ways": 32, **PLAIN})
    ways, lines = (miss_ratio_curve(chip, reuse, axis) for axis in ("ways", "capacity"))
    sizes = [128 * count for count in range(1, 65)]
    assert ways.step == lines.step == 128
    assert ways.ratios(sizes) == pytest.approx(lines.ratios(sizes), nan_ok=True)
    assert lines.ratios([lines.largest]) == pytest.approx(lines.ratios([1 << 40]), nan_ok=True)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_a_sample_is_within_its_error(rate: float, reuse: Trace) -> None:
    chip = hwmodels.load_chip("toy")
    exact, sampled = miss_ratio_curve(chip, reuse), miss_ratio_curve(chip, reuse, rate=rate)
    sizes = [1 << power for power in range(12, 24)]
    right, guess, error = exact.ratios(sizes)[-1], sampled.ratios(sizes)[-1], sampled.errors(sizes)[-1]
    assert sampled.accesses.tolist() == exact.accesses.tolist()
    assert (np.abs(guess - right) <= 3 * error + 0.01).all()
    assert error.max() < 0.25
    assert not exact.errors(sizes).any()


def test_samples_of_random_reads_converge_and_say_how_far_they_are_off() -> None:
    """Of uniform reads of n lines, a cache of m misses 1 - m / n, but for the first reads."""
    rng = np.random.default_rng(3)
    n, reads, off = 1 << 14, 1 << 18, []
    for seed in range(6):
        lines, asked = (rng.integers(0, n, reads) + seed * n).astype(np.int32), np.ones(reads, np.int32)
        counter = Sampled(1, 1, 0.1)
        for first in range(0, reads, BATCH):
            counter.take(BATCH, lines[first : first + BATCH], asked[:BATCH])
        groups = tuple((part.counts, part.never) for part in counter.groups)
        found = Curve(counter.totals, counter.whole.counts, counter.whole.never, 0.1, groups)
        cold = n / reads
        right = cold + (1 - cold) * (1 - np.array([0.25, 0.5, 0.75]))
        sizes = [n // 4, n // 2, 3 * n // 4]
        off.append((found.ratios(sizes)[-1] - right) / found.errors(sizes)[-1])
    assert np.abs(off).max() < 5
    assert 0.2 < np.std(off) < 2.5


def test_a_chip_without_a_cache_has_a_hypothetical_one(reuse: Trace) -> None:
    chip = hwmodels.load_chip("mlu370_x4")
    found = miss_ratio_curve(chip, reuse, "ways", hypothetical=CacheShape(128, 128, 64))
    assert found.own is None
    assert np.isnan(found.simulated_ratios()).all()
    assert np.nanmin(found.ratios([64 * 64 * 128])) < 1
    with pytest.raises(SimulationError, match="mlu370_x4 has no cache"):
        miss_ratio_curve(chip, reuse)


@pytest.mark.parametrize(
    ("numbers", "wants", "said"),
    [
        ({"l2.replacement": "fifo"}, {}, "set l2.replacement=lru"),
        ({"l2.write_allocate": False}, {}, "set l2.write_allocate=true"),
        ({}, {"axis": "ways", "rate": 0.1}, "along capacity"),
        ({}, {"rate": 0.0}, "above 0"),
        ({}, {"threads": 3}, "power of two"),
        ({}, {"hypothetical": CacheShape(128, 128, 1)}, "override its numbers"),
        ({"l2.scope": "core"}, {}, "choose ways"),
    ],
)
def test_what_a_curve_cannot_say(numbers: dict[str, object], wants: dict[str, object], said: str, reuse: Trace) -> None:
    with pytest.raises(SimulationError, match=said):
        miss_ratio_curve(hwmodels.load_chip("toy", numbers), reuse, **wants)  # type: ignore[arg-type]


def test_kernels_need_one_memory_and_lines_no_sign(reuse: Trace) -> None:
    with pytest.raises(SimulationError, match="in_one_memory"):
        miss_ratio_curve(hwmodels.load_chip("toy"), [reuse, replace(reuse, tensors=reuse.tensors[:1])])
    with pytest.raises(SimulationError, match="-5 is negative"):
        count_lru(np.array([1, -5], np.int32), 8)
    with pytest.raises(SimulationError, match="65 ways"):
        count_lru(np.zeros(1, np.int32), 8, 65)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="it is what runs")
def test_the_same_without_compilation() -> None:
    code = "; ".join(
        [
            "import sys, numpy as np",
            "from tests.sim import test_curve as t",
            "from memgrain.sim import count_lru",
            "lines = np.random.default_rng(1).integers(0, 400, 600).astype(np.int32)",
            "print(count_lru(lines, 5).tolist(), count_lru(lines, 5, 40, 2).tolist())",
            "counter = t.Sampled(1, 1, 0.5)",
            "counter.take(600, lines, np.ones(600, np.int32))",
            "print(counter.whole.counts.tolist(), counter.whole.never.tolist())",
            "sets = t.PerSet(t.CacheShape(128, 64, 7, 4, True, 2, True), 1, 1)",
            "sets.take(600, lines, (3 | (lines & 1) << 16 | (lines % 5 == 0) * (1 << 24)).astype(np.int32))",
            "print(sets.counts.tolist())",
        ]
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
        ).stdout
        for disabled in ("0", "1")
    ]
    assert said[0] == said[1]
    assert said[0].count("\n") == 3
