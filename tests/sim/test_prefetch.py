"""Prefetch: what it hides, what it costs, and that every byte of it is accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain import hwmodels
from memgrain.sim import Result, SimulationError, simulate_sequence
from memgrain.sim.levels.level import PS
from memgrain.sim.prefetch.prefetched import COUNTS, holds, reads
from memgrain.workloads import (
    PROGRAM,
    READ,
    RUN,
    STEP,
    Chunk,
    MatrixRead,
    Tensor,
    Trace,
    WorkloadError,
    expand,
    in_one_memory,
)
from memgrain.workloads.steps import synthetic
from memgrain.workloads.steps.prefetch import Prefetch, guess, in_order, pieces_read
from tests.sim.conftest import ask, cache_of, pieces

TOY = hwmodels.load_chip("toy", {"barrier": "1 us"})
PIECE, KB = 4096, 1 << 10
L2 = 1 << 20
US = 1_000_000


def compute_chunks(steps: int) -> Iterator[Chunk]:
    programs, repeated = np.zeros(4, PROGRAM), np.zeros(1, STEP)
    programs["steps"], repeated["repeats"] = 1, steps
    repeated["m1"], repeated["n1"], repeated["k1"] = 64, 128, 128  # 1.024 us
    yield Chunk(programs, repeated, np.zeros(0, RUN), np.zeros(0, np.int32))


def computing(steps: int = 50) -> Trace:
    """A kernel that asks for no memory, for `steps` x 1.024 us."""
    return Trace("compute", (), "bf16", 0, 1, 1, 0, 0, 0, lambda: compute_chunks(steps))


def run(size: int, before: str = "cold", steps: int = 50, further: int = 0, **order: object) -> Result:
    """Compute, then read X of `size` bytes, which is fetched ahead if anything of the order is given."""
    traces = in_one_memory([computing(steps), *[computing(1)] * further, synthetic.stream(size, PIECE, 8)])
    prefetch = Prefetch(**{"kernel": 1 + further, "tensors": ("X",), "piece": PIECE, **order}) if order else None
    return simulate_sequence(TOY, traces, before, prefetch=[prefetch] if prefetch else [])


def counts(result: Result) -> dict[str, int]:
    return {name: result.counters[f"prefetch.{name}"] for name in COUNTS}


def test_with_time_and_room_enough_nothing_is_left_to_wait_for() -> None:
    """The kernel takes as long as if all it reads were in the L2 from the run before; the one before is no slower."""
    without, ahead, warm = run(256 * KB), run(256 * KB, lead=1), run(256 * KB, "warm")
    assert [kernel.counters["hbm.read_bytes"] for kernel in ahead.kernels] == [256 * KB, 0]
    assert ahead.kernels[1].time == warm.kernels[1].time < 0.5 * without.kernels[1].time
    assert ahead.kernels[0].time == without.kernels[0].time
    assert counts(ahead) == dict.fromkeys(COUNTS, 0) | {"bytes": 256 * KB, "used_bytes": 256 * KB}


def test_wrong_guesses_gain_nothing_and_double_the_bytes() -> None:
    without, wrong = run(256 * KB), run(256 * KB, hit_probability=0.0)
    assert wrong.kernels[1].time == without.kernels[1].time
    assert wrong.counters["hbm.read_bytes"] == 2 * without.counters["hbm.read_bytes"]
    assert counts(wrong) == dict.fromkeys(COUNTS, 0) | {"bytes": 256 * KB, "wrong_bytes": 256 * KB}


def test_a_prefetch_of_nothing_changes_nothing() -> None:
    without = run(256 * KB)
    for nothing in (run(256 * KB, limit=0), run(256 * KB, limit=PIECE - 1), run(256 * KB, after=10**9)):
        assert [kernel.time for kernel in nothing.kernels] == pytest.approx([k.time for k in without.kernels], rel=1e-2)
        kept = {name: n for name, n in nothing.counters.items() if not name.startswith("prefetch.")}
        assert kept["hbm.read_bytes"] == without.counters["hbm.read_bytes"]
    assert run(256 * KB, limit=0).kernels[1].time == without.kernels[1].time
    assert not any(counts(run(256 * KB, limit=0)).values())


@pytest.mark.parametrize("after", [0, 20 * US, 45 * US, 50 * US])
def test_a_lead_too_short_hides_as_much_as_the_engine_can_ask_for(after: int) -> None:
    """A piece each 1 us + 4096 B / 8 GB/s, the first after `after`, until the computation ends."""
    each = US + PIECE * PS // 8_000_000_000
    found = run(256 * KB, after=after, startup=US, bandwidth=8_000_000_000)
    working = found.kernels[0].time - TOY.launch_overhead
    asked = len(range(after, working, each))
    assert found.kernels[0].counters["prefetch.bytes"] == PIECE * asked
    assert counts(found)["used_bytes"] >= PIECE * asked
    # it goes on in the second kernel, where it may be late
    assert counts(found)["lost_bytes"] == counts(found)["wrong_bytes"] == 0
    assert found.counters["hbm.read_bytes"] == 256 * KB


def test_more_lead_never_harms_where_there_is_room() -> None:
    times = [run(512 * KB, after=after).kernels[1].time for after in (60 * US, 48 * US, 45 * US, 40 * US, 0)]
    assert times == sorted(times, reverse=True)
    assert times[0] > 2 * times[-1]


def test_it_goes_on_over_kernels_and_barriers() -> None:
    """Two barriers and two more computations of a step each give it 4 x about 1 us more."""
    order = {"startup": US, "bandwidth": 10**15, "after": 50 * US}
    near, far = run(256 * KB, lead=1, **order), run(256 * KB, lead=3, further=2, **order)
    asked = [sum(k.counters["prefetch.bytes"] for k in result.kernels[:-1]) // PIECE for result in (near, far)]
    assert asked[1] - asked[0] in (3, 4, 5)
    assert far.kernels[3].time < near.kernels[1].time


def test_more_than_the_cache_holds_drives_its_own_lines_out() -> None:
    """Of two caches full the second half drives out the first; read from the beginning, LRU keeps none of it."""
    without, found = run(2 * L2), run(2 * L2, lead=1)
    assert found.kernels[0].counters["l2.prefetch.evictions"] == L2 // 128
    kept = counts(found)
    assert kept["used_bytes"] + kept["lost_bytes"] == kept["bytes"] == 2 * L2
    assert kept["lost_bytes"] >= L2
    assert found.counters["hbm.read_bytes"] == 2 * L2 + kept["lost_bytes"]
    half = run(2 * L2, limit=L2 // 2)
    assert counts(half)["used_bytes"] > 0.9 * L2 // 2
    assert without.kernels[1].time > found.kernels[1].time >= half.kernels[1].time  # for a quarter of the bytes


def test_it_drives_out_what_the_running_kernel_would_have_read_again() -> None:
    twice = replace(synthetic.stream(L2, PIECE, 8, repeat_passes=2), name="twice")
    traces = in_one_memory([twice, synthetic.stream(L2, PIECE, 8)], [{"X": "A"}, {}])
    without = simulate_sequence(TOY, traces).kernels
    found = simulate_sequence(TOY, traces, prefetch=[Prefetch(1, ("X",), PIECE)]).kernels
    assert without[0].counters["hbm.A.read_bytes"] == L2
    assert found[0].counters["hbm.A.read_bytes"] > 1.5 * L2
    assert found[0].time > 1.5 * without[0].time


def test_where_memory_is_busy_there_is_nothing_to_gain() -> None:
    """Two kernels that wait for the DRAM alone: their bytes take as long whoever asks for them."""
    traces = in_one_memory([synthetic.stream(4 * L2, PIECE, 8), synthetic.stream(L2 // 2, PIECE, 8)], [{"X": "A"}, {}])
    without = simulate_sequence(TOY, traces)
    found = simulate_sequence(TOY, traces, prefetch=[Prefetch(1, ("X",), PIECE, after=50 * US)])
    assert found.kernels[1].time < 0.5 * without.kernels[1].time
    assert found.time > 0.9 * without.time


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from((64 * KB, 300 * KB, L2, 3 * L2 // 2)),
    st.sampled_from((64, 1024, PIECE, 3 * PIECE)),
    st.sampled_from((0.0, 0.3, 1.0)),
    st.sampled_from((0, 40 * US, 49 * US)),
    st.sampled_from((None, 100_000)),
    st.sampled_from(("cache", "scratchpad")),
    st.integers(0, 3),
)
def test_every_byte_is_accounted_for(
    size: int, piece: int, p: float, after: int, limit: int | None, into: str, seed: int
) -> None:
    if size // piece > 5000:
        piece = PIECE
    size = -(-size // PIECE) * PIECE
    order = {"piece": piece, "hit_probability": p, "after": after, "limit": limit, "into": into, "seed": seed}
    found = run(size, **order)
    kept = counts(found)
    assert min(kept.values()) >= 0
    assert kept["bytes"] >= sum(kept[name] for name in COUNTS[1:])
    if into == "cache" or piece <= PIECE:  # else cores fetch pieces of which they read a part
        assert kept["bytes"] == sum(kept[name] for name in COUNTS[1:])
        assert kept["bytes"] <= (limit or size + piece)
    assert found.counters["hbm.read_bytes"] == 64 * found.counters["l2.misses"]
    own = found.counters.get("hbm.X.read_bytes", 0)
    assert own + found.counters.get("hbm.prefetch.read_bytes", 0) == found.counters["hbm.read_bytes"]
    if into == "cache":
        assert size - kept["used_bytes"] - kept["late_bytes"] <= own <= size - kept["used_bytes"]
        assert found.counters.get("l2.prefetch.read_bytes", 0) == kept["bytes"]
    else:
        assert found.counters["port.bytes"] == size - kept["used_bytes"] + kept["bytes"]
    assert found == run(size, **order)


def test_scratchpads_hold_what_programs_leave_room_for() -> None:
    """The second kernel's programs need 16 KiB each, two on a core: 224 of 256 KiB are left on each of four cores."""
    found = run(L2, into="scratchpad")
    assert counts(found)["bytes"] == counts(found)["used_bytes"] == 4 * 224 * KB
    assert found.kernels[1].counters["port.bytes"] == L2 - 4 * 224 * KB
    whole = run(256 * KB, into="scratchpad")
    assert whole.kernels[1].counters["port.bytes"] == 0
    assert whole.kernels[1].time < TOY.barrier + US // 1000
    assert whole.kernels[1].counters["core.programs"] == 8


def test_a_second_prefetch_gets_the_room_that_the_first_one_leaves() -> None:
    traces = in_one_memory([computing(), synthetic.stream(L2, PIECE, 8)])
    one = Prefetch(1, ("X",), PIECE, limit=4 * 200 * KB, into="scratchpad")
    found = simulate_sequence(TOY, traces, prefetch=[one, replace(one, limit=None)])
    assert found.counters["prefetch.bytes"] == 4 * 224 * KB


def test_the_look_into_a_cache_agrees_with_what_it_answers() -> None:
    rng = np.random.default_rng(1)
    for keys in ({}, {"partitions": 2, "replicate": True, "far_latency": "200 ns"}, {"set_hash": "xor", "ways": 3}):
        keys = {"capacity": "12 KiB", **keys}
        cache, _ = cache_of(**keys)
        for address in (64 * rng.integers(0, 400, 600)).tolist():
            granule = np.array([address // 64])
            core = int(rng.integers(4))
            expected = bool(holds(cache, granule, core)[0])
            before = cache.counters()["hits"]
            cache.serve(ask(pieces([(address, 64, READ)])), 0, core, 0)
            assert (cache.counters()["hits"] > before) == expected
    assert holds(cache, np.arange(400), 0).sum() > 50


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 60), st.integers(16, 300), st.integers(0, 200), st.sampled_from((64, 256, 1000)), st.integers(0, 9)
)
def test_pieces_are_those_that_the_expanded_trace_touches(rows: int, row: int, gap: int, piece: int, seed: int) -> None:
    trace = synthetic.gather(rows, row, row + gap, 0, 200, "random", 7, seed)
    order = Prefetch(0, ("X",), piece, lead=0)
    every = expand(trace)
    for number, found in enumerate(pieces_read(trace, order)):
        mine = every[(every["program"] == number) & (every["tensor"] == 0)]
        touched = [
            n * piece
            for low, size in zip(mine["address"].tolist(), mine["bytes"].tolist(), strict=True)
            for n in range(low // piece, (low + size - 1) // piece + 1)
        ]
        assert found.tolist() == list(dict.fromkeys(touched))


def test_guesses_are_right_as_often_as_said_and_wrong_ones_are_not_wanted() -> None:
    trace = synthetic.gather(4000, 64, 64, 0, 20_000, "random", 50, seed=3)
    order = Prefetch(0, ("X",), 64, lead=0, hit_probability=0.7)
    wanted = in_order(np.concatenate(list(pieces_read(trace, order))))
    made = guess(wanted, trace, order, None, np.random.default_rng(0), 1 << 30)
    assert made.right.mean() == pytest.approx(0.7, abs=0.03)
    assert not np.isin(made.addresses[~made.right], wanted).any()
    assert (made.addresses[made.right] == wanted[made.right]).all()
    assert len(np.unique(made.addresses)) == len(wanted)
    assert made.addresses.max() < 20_000 * 64


def test_what_cannot_be_is_refused_in_one_line() -> None:
    with pytest.raises(WorkloadError, match=r"hit_probability is 1\.5"):
        Prefetch(1, ("X",), PIECE, hit_probability=1.5)
    with pytest.raises(WorkloadError, match="lead 2 begins before the first kernel; lower it to 1"):
        Prefetch(1, ("X",), PIECE, lead=2)
    with pytest.raises(WorkloadError, match="piece of a prefetch is 0, must be at least 1"):
        Prefetch(1, ("X",), 0)
    with pytest.raises(WorkloadError, match="no tensor W to prefetch; the sequence has X"):
        run(64 * KB, tensors=("W",))
    with pytest.raises(SimulationError, match="for kernel 2, and the sequence has 2"):
        run(64 * KB, kernel=2)
    with pytest.raises(SimulationError, match="l2 fetches 64 at a time"):
        run(64 * KB, piece=100)
    traces = in_one_memory([replace(computing(), scratchpad_bytes=254 * KB), synthetic.stream(64 * KB, PIECE, 8)])
    with pytest.raises(SimulationError, match="compute leave 2048 bytes of smem, and a piece to prefetch is 4096"):
        simulate_sequence(TOY, traces, prefetch=[Prefetch(1, ("X",), PIECE, into="scratchpad")])
    cambricon = hwmodels.load_chip("mlu370_x8")
    with pytest.raises(SimulationError, match="has no cache to prefetch into; prefetch into the scratchpad"):
        simulate_sequence(cambricon, traces, prefetch=[Prefetch(1, ("X",), PIECE)])


def test_a_tensor_that_programs_share_is_fetched_once() -> None:
    trace = Trace("t", (Tensor("X", 0, 8192, 8192),), "bf16", 4096, 1, 1, 8192, 0, 0, lambda: _shared())
    assert [found.tolist() for found in pieces_read(trace, Prefetch(0, ("X",), 2048, lead=0))] == [
        [0, 2048, 4096, 6144]
    ] * 3


def _shared() -> Iterator[Chunk]:
    programs, step, runs = np.zeros(3, PROGRAM), np.zeros(1, STEP), np.zeros(1, RUN)
    programs["steps"] = 1
    step["load_runs"], step["repeats"] = 1, 2
    runs[0] = (0, 1024, 4, 1024, -1, 4096, READ, 0, 1)
    yield Chunk(programs, step, runs, np.zeros(0, np.int32))


def test_scratchpads_of_vector_cores_are_reached_through_their_own_ports() -> None:
    chip = hwmodels.load_chip("ascend_910b1")
    shape = {"rows": 960, "columns": 2048, "dtype": "fp16", "tile": [8, 2048], "programs": 24, "order": "own"}
    raw = {"name": "read", "kind": "matrix_read", "rows_per_step": 8, **shape}
    traces = [MatrixRead.model_validate({**raw, "cores": cores}).trace() for cores in ("matmul", "vector")]
    found = simulate_sequence(
        chip, in_one_memory(traces, [{"X": "A"}, {}]), prefetch=[Prefetch(1, ("X",), PIECE, into="scratchpad")]
    )
    held = counts(found)
    assert held["bytes"] == held["used_bytes"] + held["late_bytes"] == 960 * 2048 * 2
    assert found.counters["aiv_port.bytes"] == held["bytes"] + 960 * 2048 * 2 - held["used_bytes"]
    assert held["used_bytes"] > 0
    direct = hwmodels.load_chip("ascend_910b1", {"exchange": "direct"})
    with pytest.raises(SimulationError, match="aiv of ascend_910b1 reaches memory only while no kernel runs on aic"):
        simulate_sequence(direct, in_one_memory(traces), prefetch=[Prefetch(1, ("X",), PIECE, into="scratchpad")])


@given(
    rows=st.integers(1, 40), size=st.sampled_from([32, 128]), gap=st.integers(0, 300), held=st.sets(st.integers(0, 39))
)
def test_what_is_left_of_a_run_is_read_whole_and_in_few_runs(rows: int, size: int, gap: int, held: set[int]) -> None:
    left = [(row * (size + gap), size) for row in range(rows) if row not in held]
    runs = reads(left, 3)
    touched = [
        int(run["base"]) + i * int(run["stride"]) + byte
        for run in runs
        for i in range(int(run["count"]))
        for byte in range(int(run["bytes"]))
    ]
    assert touched == [low + byte for low, _ in left for byte in range(size)]
    assert len(runs) <= max(1, 2 * len(held & set(range(rows))) + 1)
