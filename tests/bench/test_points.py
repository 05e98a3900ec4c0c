"""How long whole points take in one process, from a chip's name to its result, and how much memory in processes of
their own; how times grow with the context; how long the demo takes.

An H100, 32 query heads of 128 bf16 elements, shipped examples with other shapes. Dense and top-k decode (5 %, token by
token): 8 key and value heads. Causal prefill of 16,384 tokens: 32 key and value heads, so that no two heads share a
line; of 131,072 tokens: 8. Programs of 128 queries. Lines are of 128 bytes, those that the trace asks for.
The demo is what `make demo` runs, into a new folder, with loops compiled before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import memgrain
from memgrain.runs.sweep import load_sweep
from memgrain.runs.task import Task
from memgrain.workloads import count_bytes
from tests.bench.figure import Figure, Report, settled
from tests.bench.processes import alone, call

HEADING = "Whole points"
CHIP = "h100_sxm"
LINE = 128
MEMORY_GOAL = 1024.0
"""MiB of any single point."""
LONG_LIMIT = 40.0
"""Seconds after which the longest point is stopped."""
DEMO, DEMO_POINTS, DEMO_GOAL, DEMO_LIMIT = "head_dim_by_ratio", 252, 60.0, 180.0
"""The demo's sweep, its points, and the seconds it is to take on two cores and is stopped after."""
DEMO_WORKLOAD = "decode_topk"
LARGEST, LARGEST_GOAL = {"shape.head_dim": 256, "selection.ratio": 1.0, "shape.kv_len": 1 << 20}, 1.0
"""The demo's largest point, and seconds: a million tokens of 128 elements are to take half of it."""
HEADS = {"shape.q_heads": 32, "shape.head_dim": 128}


@dataclass(frozen=True)
class Point:
    """A point that has a goal."""

    name: str
    """What it is called in the table."""
    workload: str
    """The shipped example."""
    tokens: int
    """Tokens of its context."""
    kv_heads: int
    """Key and value heads."""
    goal: float
    """Seconds."""

    def overrides(self, tokens: int | None = None) -> dict[str, Any]:
        """What is set, with another context if one is given."""
        length = tokens or self.tokens
        queries = {"shape.q_len": length} if self.workload.startswith("prefill") else {}
        return {**HEADS, **queries, "shape.kv_heads": self.kv_heads, "shape.kv_len": length}


DECODES = [
    Point("dense decode", "decode_dense", 1 << 20, 8, 0.5),
    Point("top-k decode, 5 %", "decode_topk", 1 << 20, 8, 0.3),
]
PREFILL = Point("causal prefill", "prefill_causal", 1 << 14, 32, 1.5)
LONG = Point("causal prefill", "prefill_causal", 1 << 17, 8, 10.0)
SMALL = 1 << 11
"""Tokens of the point that compiles, or loads what is compiled."""


@cache
def wall(point: Point, tokens: int) -> float:
    """Seconds of the point with a context of so many tokens."""
    memgrain.run(CHIP, point.workload, set=point.overrides(SMALL))
    asked = point.overrides(tokens)
    return settled(lambda: memgrain.run(CHIP, point.workload, set=asked))


@cache
def asked_bytes(point: Point, tokens: int) -> int:
    """Bytes that the trace asks for."""
    (trace,) = Task(CHIP, {}, point.workload, point.overrides(tokens)).resolve().kernels()
    return sum(read + written for read, written in count_bytes(trace).values())


def described(point: Point) -> str:
    """The point's name, context and lines."""
    lines = asked_bytes(point, point.tokens) / LINE / 1e6
    return f"{point.name}, {point.tokens:,} tokens ({lines:,.1f} M lines)"


@pytest.mark.bench
@pytest.mark.parametrize("point", [*DECODES, PREFILL], ids=lambda point: point.workload)
def test_seconds_of_a_point(point: Point, report: Report) -> None:
    took = wall(point, point.tokens)
    report(Figure(described(point), took, "s", point.goal, less=True))
    report(Figure("  a line", took / asked_bytes(point, point.tokens) * LINE * 1e9, "ns"))


@pytest.mark.bench
@pytest.mark.parametrize("point", DECODES, ids=lambda point: point.workload)
def test_growth_with_the_context(point: Point, report: Report) -> None:
    short, long = 1 << 17, 1 << 20
    growth = wall(point, long) / wall(point, short)
    bytes_growth = asked_bytes(point, long) / asked_bytes(point, short)
    report(Figure(f"{point.name}, time of 1M tokens over 128K (goal: bytes)", growth, "x", bytes_growth, less=True))


@pytest.mark.bench
def test_longest_point(report: Report) -> None:
    memgrain.run(CHIP, LONG.workload, set=LONG.overrides(SMALL))
    ended = alone(CHIP, LONG.workload, LONG.overrides(SMALL), LONG.overrides(), LONG_LIMIT)
    line = ended.wall / asked_bytes(LONG, LONG.tokens) * LINE * 1e9
    report(Figure(described(LONG), ended.wall, "s", LONG.goal, less=True, stopped=ended.stopped))
    report(Figure("  a line", line, "ns", stopped=ended.stopped))
    report(Figure("  its peak of memory", ended.peak, "MiB", MEMORY_GOAL, less=True, stopped=ended.stopped))


@pytest.mark.bench
@pytest.mark.parametrize("point", [*DECODES, PREFILL], ids=lambda point: point.workload)
def test_memory_of_a_point(point: Point, report: Report) -> None:
    peak = alone(CHIP, point.workload, point.overrides(SMALL), point.overrides()).peak
    report(Figure(f"peak of memory: {point.name}, {point.tokens:,} tokens", peak, "MiB", MEMORY_GOAL, less=True))


@pytest.mark.bench
def test_largest_point_of_the_demo(report: Report) -> None:
    took = settled(lambda: memgrain.run(CHIP, DEMO_WORKLOAD, set=LARGEST))
    report(Figure("the demo's largest point", took, "s", LARGEST_GOAL, less=True))
    peak = alone(CHIP, DEMO_WORKLOAD, {"shape.kv_len": SMALL}, LARGEST).peak
    report(Figure("  its peak of memory", peak, "MiB", MEMORY_GOAL, less=True))


@pytest.mark.bench
def test_seconds_of_the_demo(report: Report, tmp_path: Path) -> None:
    for chip in load_sweep(DEMO).chips:
        memgrain.run(chip, DEMO_WORKLOAD, set={"shape.kv_len": SMALL})
    ended = call(("sweep", DEMO, "-o", str(tmp_path), "-j", "2"), DEMO_LIMIT)
    rows = tmp_path / "rows.jsonl"
    points = len(rows.read_text(encoding="utf-8").splitlines()) if rows.exists() else 0
    assert ended.stopped or points == DEMO_POINTS
    name = f"the demo's {DEMO_POINTS} points, two processes"
    report(Figure(name, ended.wall, "s", DEMO_GOAL, less=True, stopped=ended.stopped))
    if ended.stopped:
        report(Figure("  points that were answered", points, "points"))
