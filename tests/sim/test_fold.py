"""Folding: long repeats that are counted instead of simulated end within the error that is given."""

from __future__ import annotations

import pytest

from memgrain.runs.task import Task
from memgrain.sim import Result, SimulationError, simulate, simulate_sequence

LONG = {"shape.kv_len": 1 << 20}


def exact_and_folded(chip: str, fold: float, **changes: object) -> tuple[Result, Result]:
    point = Task(chip, {}, "decode_dense", {**LONG, **changes}).resolve()
    (trace,) = point.kernels()
    return simulate(point.chip, trace), simulate(point.chip, trace, fold=fold)


@pytest.mark.parametrize(("chip", "fold"), [("ascend_910b1", 0.01), ("mlu370_x4", 0.03)])
def test_a_long_decode(chip: str, fold: float) -> None:
    exact, folded = exact_and_folded(chip, fold)
    assert folded.folded is not None
    assert folded.folded.tiles > exact.counters["core.tiles"] // 3
    assert abs(folded.time / exact.time - 1) <= folded.folded.error < fold
    assert sum(folded.breakdown.values()) == folded.time
    for name in ("core.macs", "core.tiles", "core.programs"):
        assert folded.counters[name] == exact.counters[name]
    for name, count in exact.counters.items():
        # which tensor's lines give way drifts, to whom all the more (windows are not compared by that); refreshes and
        # row conflicts are random counts
        share = 10 * fold if "evicted_by" in name else 3 * fold if name.endswith("evictions") else fold
        assert folded.counters.get(name, 0) == pytest.approx(count, rel=share, abs=8 * count**0.5), name


def test_what_is_short_is_simulated() -> None:
    exact, folded = exact_and_folded("ascend_910b1", 0.05, **{"shape.kv_len": 1 << 14})
    assert folded.folded is not None
    assert folded.folded.tiles == 0
    assert (folded.time, folded.counters) == (exact.time, exact.counters)
    assert "nothing was folded" in folded.table()


def test_a_sequence_adds_what_was_folded() -> None:
    point = Task("mlu370_x4", {}, "decode_dense", LONG).resolve()
    (trace,) = point.kernels()
    both = simulate_sequence(point.chip, [trace, trace], fold=0.03)
    assert both.folded is not None
    assert both.folded.tiles == sum(kernel.folded.tiles for kernel in both.kernels if kernel.folded)
    assert both.row()["fold.error"] == both.folded.error <= 0.03


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"fold": 1.0}, "between 0 and 1"), ({"fold": 0.1, "loop": "simpy"}, "leave fold out")],
)
def test_what_does_not_go(settings: dict[str, object], message: str) -> None:
    point = Task("toy", {}, "decode_topk", {}).resolve()
    with pytest.raises(SimulationError, match=message):
        simulate(point.chip, point.kernels()[0], **settings)  # type: ignore[arg-type]
