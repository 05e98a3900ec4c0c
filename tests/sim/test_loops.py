"""The compiled event loop against SimPy's: the same result to the last count, on shipped chips and on odd ones."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain import hwmodels
from memgrain.runs.task import Task
from memgrain.sim import LOOPS, SimulationError, simulate, simulate_sequence
from memgrain.sim.result import Result
from memgrain.workloads import parse_any
from memgrain.workloads.trace import JOINED, PROGRAM, READ, RUN, STEP, WRITE, Chunk, Tensor, Trace

SHORT = {"shape.kv_len": 3000}
CHIPS = ("toy", "h100_sxm", "ascend_910b2", "mlu370_x8", "mlu370_article", "tpu_v5p")


def both(chip: str, workload: str, changes: dict[str, Any], before: str) -> list[Result]:
    """A point's result from each loop."""
    point = Task(chip, {}, workload, changes, before).resolve()
    kernels = point.kernels()
    if len(kernels) == 1:
        return [simulate(point.chip, kernels[0], point.before, loop=loop) for loop in LOOPS]
    return [simulate_sequence(point.chip, kernels, point.before, loop=loop) for loop in LOOPS]


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize(
    ("workload", "changes", "before"),
    [
        ("decode_paged", SHORT, "cold"),
        ("decode_topk", SHORT, "dirty"),
        ("decode_v4_pages", {}, "warm"),
        ("prefill_causal", {"shape.kv_len": 640, "shape.q_len": 640}, "dirty"),
        ("chunk_topk", {"shape.batch": 8}, "cold"),
        ("linear_decode", {}, "cold"),
    ],
)
def test_shipped_points(chip: str, workload: str, changes: dict[str, Any], before: str) -> None:
    try:
        compiled, simpy = both(chip, workload, changes, before)
    except (SimulationError, hwmodels.HardwareError) as error:
        pytest.skip(str(error))
    assert compiled == simpy


def any_trace(data: st.DataObject) -> Trace:
    """A trace of a few chunks with barriers, index lists, gathers, stores, steps that do nothing, and repeats."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    chunks = []
    for number in range(data.draw(st.integers(1, 4))):
        programs, steps, runs = [], [], []
        for _ in range(int(rng.integers(1, 9))):
            first = len(steps)
            for _ in range(int(rng.integers(0, 4))):
                counts = [int(rng.integers(0, high)) for high in (2, 3, 2)]
                steps.append(_step(rng, len(runs), counts))
                runs += [_run(rng, part) for part, count in enumerate(counts) for _ in range(count)]
            programs.append((first, len(steps) - first, 0, 0))
        chunks.append(
            Chunk(
                np.array(programs, PROGRAM),
                np.array(steps, STEP),
                np.array(runs, RUN),
                rng.integers(0, 64, 256).astype(np.int32),
                barrier=bool(number and rng.integers(2)),
                once_cycles=(int(rng.integers(0, 400)), int(rng.integers(0, 90))),
            )
        )
    engines = [None, ("mma", 2, "rows", 1, 0), ("wgmma", 1, "rows", 0, 0), ("fma", 1, "rows", 0, 0)]
    engines += [("cube", 1, "rows", 0, 0), ("cube", 4, "rows", 0, 0), ("cube", 3, "rows", 0, 32)]
    return Trace(
        name="any",
        tensors=tuple(Tensor(name, i << 20, 1 << 20, 0) for i, name in enumerate(("K", "V", "O"))),
        dtype="bf16",
        scratchpad_bytes=0,
        stages=data.draw(st.integers(1, 3)),
        resident=None,
        useful_bytes=0,
        index_bytes=0,
        written_bytes=0,
        make_chunks=lambda: iter(chunks),
        step_cycles=(int(rng.integers(0, 900)), int(rng.integers(0, 90))),
        once_cycles=(int(rng.integers(0, 500)), int(rng.integers(0, 90))),
        launch_cycles=(int(rng.integers(0, 500)), int(rng.integers(0, 5))),
        lists_ahead=data.draw(st.integers(0, 2)),
        engine=data.draw(st.sampled_from(engines)),
        joined=data.draw(st.booleans()),
        one_result=data.draw(st.booleans()),
        synchronous=data.draw(st.integers(0, 2)),
    )


def _step(rng: np.random.Generator, first_run: int, counts: list[int]) -> tuple[int, ...]:
    products = rng.integers(1, 65, 6) * rng.integers(2)
    return (first_run, *counts, int(rng.integers(1, 4)), *products.tolist(), int(products[0] * products[1]))


def _run(rng: np.random.Generator, part: int) -> tuple[int, ...]:
    size, index = int(rng.choice([32, 100, 256, 4096])), -1
    if part == 1 and rng.integers(2):
        index = int(rng.integers(0, 100))
    op, advance = WRITE if part == 2 else READ, int(rng.integers(0, 3)) * (size if index < 0 else 1)
    base = (int(rng.integers(3)) << 20) + 32 * int(rng.integers(0, 1 << 10))
    shape = base, size * int(rng.integers(1, 3)), int(rng.integers(1, 7)), size
    return (*shape, index, advance, op, base >> 20, int(rng.choice([0, 1, 3, JOINED])))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_trace(data: st.DataObject) -> None:
    chip = hwmodels.load_chip(
        data.draw(st.sampled_from(["toy", "h100_sxm", "ascend_910b2", "ascend_950pr", "mlu370_x8"])),
    )
    before = data.draw(st.sampled_from(["cold", "dirty", "warm"]))
    trace, at_a_time = any_trace(data), data.draw(st.sampled_from([1, 1 << 17]))
    with patch("memgrain.sim.engine.stream._ENOUGH", at_a_time):
        if data.draw(st.booleans()):
            compiled, simpy = (simulate_sequence(chip, [trace, trace], before, loop=loop) for loop in LOOPS)
        else:
            compiled, simpy = (simulate(chip, trace, before, loop=loop) for loop in LOOPS)
    assert compiled == simpy


@pytest.mark.parametrize("store", ["matmul", "vector"])
def test_a_product_with_rows_that_do_not_suit(store: str) -> None:
    gemm = {"kind": "gemm", "name": "g", "m": 300, "n": 203, "k": 200, "dtype": "fp16", "out_dtype": "fp32"}
    gemm |= {"b_rows": "n", "block": [64, 64], "k_steps": [64, 64], "stages": 2, "one_result": True, "store": store}
    trace = parse_any({**gemm, "deal": {"kind": "sliding_window", "programs": 8}}).trace()  # type: ignore[union-attr]
    compiled, simpy = (simulate(hwmodels.load_chip("ascend_950pr"), trace, loop=loop) for loop in LOOPS)
    assert compiled == simpy


def test_a_trace_before() -> None:
    point = Task("toy", {}, "decode_topk", SHORT).resolve()
    (trace,) = point.kernels()
    compiled, simpy = (simulate(point.chip, trace, trace, loop=loop) for loop in LOOPS)
    assert compiled == simpy


def test_unknown_loop() -> None:
    point = Task("toy", {}, "decode_topk", SHORT).resolve()
    with pytest.raises(SimulationError, match="loop 'fast' is none of compiled, simpy"):
        simulate(point.chip, point.kernels()[0], loop="fast")  # type: ignore[arg-type]
