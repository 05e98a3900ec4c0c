"""Do the micro-traces touch what they say, and does a trace survive a file?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from memgrain.workloads import (
    READ,
    WRITE,
    Trace,
    WorkloadError,
    count_bytes,
    count_steps,
    expand,
    gather,
    load_trace,
    pointer_chase,
    save_trace,
    stream,
    stride,
)


def test_a_stream_passes_over_every_byte() -> None:
    trace = stream(bytes=100 * 64, piece=64, programs=8, op=WRITE, repeat_passes=3)
    pieces = expand(trace)
    assert pieces["address"].tolist() == 3 * [64 * i for i in range(100)]
    assert count_bytes(trace) == {"X": (0, 3 * 6400)}
    assert count_steps(trace) == 300
    assert (trace.useful_bytes, trace.written_bytes) == (0, 6400)


def test_strides_are_apart() -> None:
    pieces = expand(stride(count=10, bytes=32, stride=4096, programs=3))
    assert pieces["address"].tolist() == [4096 * i for i in range(10)]
    assert set(pieces["op"].tolist()) == {READ}


@pytest.mark.parametrize("order", ["random", "sorted", "sequential"])
@pytest.mark.parametrize("index_list", [True, False])
def test_a_gather_reads_distinct_rows_in_its_order(
    order: str,
    index_list: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("memgrain.workloads.steps.synthetic.PROGRAMS_OF_A_CHUNK", 3)
    trace = gather(101, 192, 256, 32, 1000, order, 16, 7, index_list)  # type: ignore[arg-type]
    pieces = expand(trace)
    rows = (pieces["address"][pieces["tensor"] == 0] - 32) // 256
    assert len(np.unique(rows)) == 101
    assert (np.diff(rows.astype(int)) > 0).all() == (order != "random")
    assert count_bytes(trace) == {"X": (101 * 192, 0), "O": (0, 4 * 7)} | ({"indices": (404, 0)} if index_list else {})
    if index_list:
        assert pieces["bytes"][pieces["tensor"] == 2].tolist() == [64] * 6 + [20]
    assert trace.index_bytes == 404 * index_list


def test_a_chase_goes_round_the_footprint() -> None:
    trace = pointer_chase(n=40, line=128, footprint=16 * 128, seed=1)
    addresses = expand(trace)["address"]
    assert trace.stages == 1
    assert len(np.unique(addresses)) == 16
    assert addresses[:16].tolist() == addresses[16:32].tolist()
    assert addresses.max() < 16 * 128


@pytest.mark.parametrize(
    "trace",
    [
        gather(100, 64, 64, 0, 300, "random", 8, 3),
        pointer_chase(9, 64, 640, 0),
        stream(640, 64, 3),
    ],
    ids=lambda trace: trace.name,
)
def test_a_trace_survives_a_file(trace: Trace, tmp_path: Path) -> None:
    save_trace(trace, tmp_path / "trace.npz")
    loaded = load_trace(tmp_path / "trace.npz")
    for name in ("name", "tensors", "dtype", "scratchpad_bytes", "stages", "resident", "useful_bytes", "index_bytes"):
        assert getattr(loaded, name) == getattr(trace, name)
    for mine, theirs in zip(loaded.chunks(), trace.chunks(), strict=True):
        for name in ("programs", "steps", "runs", "indices"):
            assert getattr(mine, name).dtype == getattr(theirs, name).dtype
            assert np.array_equal(getattr(mine, name), getattr(theirs, name))


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "other.npz").write_text("no trace")
    makes: list[Callable[[], Trace]] = [
        lambda: stream(100, 64, 1),
        lambda: stride(0, 1, 1),
        lambda: gather(9, 8, 8, 0, 5, "random", 1, 0),
        lambda: gather(1, 8, 8, -1, 5, "random", 1, 0),
        lambda: pointer_chase(1, 64, 32, 0),
        lambda: load_trace(tmp_path / "other.npz"),
        lambda: load_trace(tmp_path / "absent.npz"),
    ]
    for make in makes:
        with pytest.raises(WorkloadError) as caught:
            make()
        assert "\n" not in str(caught.value)
        assert ";" in str(caught.value)
