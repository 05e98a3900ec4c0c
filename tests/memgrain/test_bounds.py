"""The bound is what no implementation can beat: no measured time lies below it, whatever kernel was measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memgrain.hwmodels import Chip
from memgrain.models.point import ModelPoint
from memgrain.models.request import ModelRequest
from memgrain.runs.task import Point, budget
from memgrain.sim.breakdown.bounds import bounds
from memgrain.validation.calls import Gather
from memgrain.validation.cases import CaseMaker, ValidationCase
from memgrain.validation.points import load_points, resolve
from memgrain.validation.records import read_records
from memgrain.workloads import Trace, Workload, attention
from memgrain.workloads.layers.stages import LayerStages
from memgrain.workloads.trace import count, nothing

MEASURED = Path("tests/validation")


def bound_us(chip: Chip, trace: Trace, warm: bool) -> float:
    """The bound in microseconds; steps count only if the algorithm's work follows from them."""
    asked = nothing(len(trace.tensors)) if trace.macs is not None else count(trace)
    return bounds(chip, trace, asked, warm, {}).time / 1e6


def of_case(case: ValidationCase) -> float:
    """The bound of a row of a table."""
    assert isinstance(case.call, Gather | Workload)
    trace = case.call.trace() if isinstance(case.call, Gather) else attention(case.call, budget(case.chip))
    return bound_us(case.chip, trace, case.state in ("warm", "prev_step"))


def beaten(found: Iterator[tuple[str, float, float]]) -> tuple[int, list[str]]:
    """The number of comparisons, and the rows whose measured time is below their bound."""
    rows = list(found)
    return len(rows), [f"{name}: {time:.2f} us, bound {bound:.2f}" for name, bound, time in rows if bound > time]


@pytest.mark.parametrize(("file", "least"), [("h100_attention.csv", 200), ("fa3_paper.csv", 60)])
def test_no_measured_kernel_beats_the_bound_of_its_call(file: str, least: int) -> None:
    records, maker = read_records(MEASURED / file), CaseMaker(None, {}, False)
    cases = [(maker.make(record), record.real("kernel_time_us")) for record in records]
    number, wrong = beaten((str(case), of_case(case), time) for case, time in cases if time)
    assert wrong == []
    assert number >= least


@pytest.mark.parametrize("file", ["ascend_910b.yaml", "ascend_950.yaml", "mlu370.yaml"])
def test_no_published_time_beats_the_bound_of_its_workload(file: str) -> None:
    path = MEASURED / file

    def found() -> Iterator[tuple[str, float, float]]:
        for point in load_points(path).points:
            asked = resolve(path, point, {}, {})
            if isinstance(asked, Point) and "time_us" in point.measured:
                kernels = asked.kernels()
                each = (bound_us(asked.chip, k, point.before == "warm" or n > 0) for n, k in enumerate(kernels))
                yield point.id, sum(each), point.measured["time_us"]

    number, wrong = beaten(found())
    assert wrong == []
    assert number >= 20


def of_step(question: ModelRequest) -> float:
    """The bound per token of a model's step: the sum over its kernels, without exchanges and drafts."""
    writer = LayerStages(question.model, question.step, question.shard, budget(question.chip), "auto")
    kinds = {layer: writer.layer(layer) for layer in dict.fromkeys(question.model.order)}
    stages = [stage for layer in question.model.order for stage in kinds[layer]] + list(writer.head())
    each = {id(s.trace): bound_us(question.chip, s.trace, True) for s in stages if s.trace is not None}
    return sum(each[id(stage.trace)] for stage in stages if stage.trace is not None) / (1 + (question.accepted or 0))


def test_no_published_step_beats_the_bounds_of_its_kernels() -> None:
    path = MEASURED / "ascend_950dt.yaml"

    def found() -> Iterator[tuple[str, float, float]]:
        for point in load_points(path).points:
            asked = resolve(path, point, {}, {})
            assert isinstance(asked, ModelPoint)
            yield point.id, of_step(asked.request()), point.measured["time_per_token_us"]

    number, wrong = beaten(found())
    assert wrong == []
    assert number >= 4
