"""Requests of DMA engines, reads past a cache, and ports with a way of their own for writes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain import hwmodels
from memgrain.hwmodels.spec import SplitWrites
from memgrain.sim import LOOPS, SimulationError, simulate
from memgrain.sim.levels.level import PS
from memgrain.sim.levels.link import Link
from memgrain.sim.levels.machine import Machine, loads_taken
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.sim.levels.scratchpad import Scratchpad
from memgrain.sim.levels.uncached import Uncached
from memgrain.workloads import READ, WRITE, Trace, gather, parse_any
from memgrain.workloads.trace import RUN, UNCACHED, count_commands
from tests.sim.conftest import BASE, Sink, ask, pieces

BUSY_ASCEND = {"aic.count": 2, "aiv.count": 4, "hbm.channels": 8, "hbm.bandwidth": "200 GB/s"}


def requests_of(address: int, size: int) -> int:
    """As the guide of the Ascend says it: pieces of 512, 256 or 128 B, as the address allows; all that are touched."""
    piece = next((piece for piece in (512, 256, 128) if address % piece == 0), 128)
    return len({byte // piece for byte in range(address, address + size)})


@pytest.mark.parametrize("base", [0, 128, 256, 384, 2, 640])
@pytest.mark.parametrize(("stride", "size"), [(24576, 2048), (24574, 512), (1024, 128), (256, 256), (130, 96)])
def test_the_address_of_a_row_decides_its_requests(base: int, stride: int, size: int) -> None:
    runs = np.zeros(1, RUN)
    runs[0] = (base, stride, 6, size, -1, 0, READ, 0, 1)
    rows = [(base + i * stride, size) for i in range(6)] if stride != size else [(base, 6 * size)]
    assert Request(runs, NO_INDEX, 0, 1).requests(512, 128) == sum(requests_of(*row) for row in rows)


@pytest.mark.parametrize(("base", "stride", "size"), [(0, 1024, 1024), (0, 8152, 1000), (48, 128, 96), (128, 72, 64)])
def test_rows_that_do_not_suit_are_written_piece_by_piece(base: int, stride: int, size: int) -> None:
    """Eight rows through an engine that takes 5 ps a piece of 64 B; reads and rows at multiples of 64 take none."""
    spec = hwmodels.load_chip("ascend_950pr").scratchpad
    assert spec is not None
    split = SplitWrites.model_validate({"piece": "64 B", "interval": "5 ps"})
    plain = spec.model_copy(update={"dma_startup": 0, "banks": 1 << 30})
    runs = np.zeros(1, RUN)
    for field, value in {"base": base, "stride": stride, "count": 8, "bytes": size, "index": -1}.items():
        runs[field] = value
    times = {}
    for op in (READ, WRITE):
        runs["op"] = op
        pad = Scratchpad(plain.model_copy(update={"split_writes": split}), (1, 1), Sink())
        times[op] = pad.serve(Request(runs, NO_INDEX, 0, 1), 0, 0, 0)
        assert pad.row_times == [0, times[op]]
    odd = [address for address in range(base, base + 8 * stride, stride) if address % 64]
    assert times == {READ: 0, WRITE: 5 * len(odd) * -(-size // 64)}


def test_a_core_with_room_for_one_result_computes_no_other_until_it_is_stored() -> None:
    """Two tiles on one core, whose stores take longer than its products: with room for both they overlap."""
    gemm = {"kind": "gemm", "name": "g", "m": 64, "n": 128, "k": 64, "dtype": "fp16", "out_dtype": "fp32"}
    gemm |= {"b_rows": "n", "block": [64, 64], "k_steps": [64, 64], "stages": 2}
    gemm |= {"deal": {"kind": "rectangles", "grid": [1, 1]}}
    chip = hwmodels.load_chip("ascend_950pr", {"aic.write_bandwidth": "1 GB/s"})
    apart, together = (
        simulate(chip, parse_any({**gemm, "one_result": one}).trace())  # type: ignore[union-attr]
        for one in (False, True)
    )
    products = 64 * 64 * 64 * PS // (4096 * 1_650_000_000)
    assert together.time - apart.time == pytest.approx(products, abs=400_000)
    assert together.time - apart.time >= products
    assert together.breakdown["stall.port"] > 10 * products
    assert "stall.port" not in apart.breakdown


def test_results_pass_to_the_vector_cores_only_where_there_is_a_way() -> None:
    gemm = {"kind": "gemm", "name": "g", "m": 256, "n": 250, "k": 64, "dtype": "fp16", "out_dtype": "fp32"}
    gemm |= {"b_rows": "n", "block": [256, 256], "k_steps": [64, 64], "stages": 2}
    gemm |= {"deal": {"kind": "rectangles", "grid": [1, 1]}}
    direct, across = (parse_any({**gemm, "store": store}).trace() for store in ("matmul", "vector"))  # type: ignore[union-attr]
    chip = hwmodels.load_chip("ascend_950pr")
    assert simulate(chip, across).time < 0.8 * simulate(chip, direct).time
    with pytest.raises(SimulationError, match="results pass only through memory on ascend_910b1"):
        simulate(hwmodels.load_chip("ascend_910b1"), across)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_load_is_cut_into_parts_that_read_the_same_bytes_with_as_many_commands(data: st.DataObject) -> None:
    """Strided, gathered and contiguous rows; a part has its share of the bytes in flight at most."""
    indices = np.array(data.draw(st.lists(st.integers(0, 500), min_size=200, max_size=200)), np.int64)
    runs = np.zeros(data.draw(st.integers(1, 4)), RUN)
    for i in range(len(runs)):
        size, rows = data.draw(st.sampled_from([96, 128, 256, 512, 640, 9000])), data.draw(st.integers(1, 150))
        index, block = data.draw(st.sampled_from([-1, 0, 7])), data.draw(st.sampled_from([1, 16, 128]))
        stride = data.draw(st.sampled_from([size, 2048, 8000, 24574]))
        base = data.draw(st.sampled_from([0, 128, 64, 2]))
        runs[i] = (base, stride, rows, size, index, 0, READ, 0, block)
    chip = hwmodels.load_chip("ascend_910b1")
    machine = Machine(chip, matrix_trace())
    found, parts, ends = machine.load_parts(runs, indices, np.zeros(1, np.int64), np.array([len(runs)]))
    assert ends.tolist() == [len(parts)]
    assert parts[:, 2].max() <= 48 * 1024 // 6
    assert np.array_equal(bytes_of(found[len(runs) :], indices), bytes_of(runs, indices))
    for first, count, size in parts.tolist():
        assert size == Request(found, indices, first, count).requests(512, 128) * 512
    commands = count_commands(found[len(runs) :], 4095).sum()
    assert count_commands(runs, 4095).sum() <= commands <= count_commands(runs, 4095).sum() + (runs["index"] >= 0).sum()


def bytes_of(runs: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Every byte that runs read, in order."""
    found = []
    for run in runs:
        rows = np.arange(run["count"]) if run["index"] < 0 else indices[run["index"] : run["index"] + run["count"]]
        low = int(run["base"]) + rows * int(run["stride"])
        found.append((low[:, None] + np.arange(run["bytes"])).ravel())
    return np.concatenate(found)


def matrix_trace() -> Trace:
    read = {"kind": "matrix_read", "name": "x", "rows": 64, "columns": 256, "dtype": "fp16", "tile": [64, 256]}
    return parse_any({**read, "programs": 1, "cores": "matmul", "order": "own", "rows_per_step": 4}).trace()  # type: ignore[union-attr]


def test_loads_in_parts_go_on_while_a_core_computes() -> None:
    """Steps of 192 KiB, four times the bytes in flight: loads and products take their own time side by side."""
    gemm = {"kind": "gemm", "name": "g", "m": 128, "n": 256, "k": 8192, "dtype": "fp16", "out_dtype": "fp16"}
    gemm |= {"b_rows": "blocks", "block": [128, 256], "k_steps": [256, 256], "stages": 2}
    gemm |= {"deal": {"kind": "round_robin", "programs": 1}}
    trace = parse_any(gemm).trace()  # type: ignore[union-attr]
    rates = ({"fp16": 4096}, {"fp16": 1 << 20})
    chips = [hwmodels.load_chip("ascend_910b1", {"aic.matmul.macs_per_cycle": rate}) for rate in rates]
    time, loads = (simulate(chip, trace).time - chip.launch_overhead for chip in chips)
    products = 128 * 256 * 8192 * PS / (4096 * 1_850_000_000)
    assert products > 0.6 * loads
    assert loads <= time < 1.05 * loads


def test_uncached_reads_of_one_line_take_turns() -> None:
    """Three cores ask for pieces of one 512-byte line at once: each waits one latency more; another line does not."""
    below = Sink()
    below.latency = 250_000
    spec = hwmodels.Cache.model_validate({**BASE, "line": "512 B", "sector": "128 B", "fill_granule": "512 B"})
    past = Uncached(spec.model_copy(update={"uncached": "serial"}), below)
    waits = [past.serve(ask(pieces([(address, 128, UNCACHED)])), 0, 0, 0) for address in (1024, 1152, 1024, 512)]
    assert waits == [0, 250_000, 500_000, 0]
    assert past.serve(ask(pieces([(1024, 128, UNCACHED)])), 0, 0, 900_000) == 900_000
    beside = Uncached(spec.model_copy(update={"uncached": "parallel"}), below)
    assert [beside.serve(ask(pieces([(0, 128, UNCACHED)])), 0, 0, 0) for _ in range(3)] == [0, 0, 0]


def test_writes_with_a_way_of_their_own_do_not_hold_reads_up() -> None:
    read, write = ask(pieces([(0, 1000, READ)])), ask(pieces([(0, 1000, WRITE)]))
    shared = Link("port", (1, 1), 10**9, 0, Sink())
    apart = Link("port", (1, 1), 10**9, 0, Sink(), write_bandwidth=5 * 10**8)
    assert [shared.serve(request, 0, 0, 0) for request in (read, write, read)] == [PS // 10**6 * n for n in (1, 2, 3)]
    assert [apart.serve(request, 0, 0, 0) for request in (read, write, read)] == [PS // 10**6 * n for n in (1, 2, 2)]


def test_misaligned_rows_take_longer_where_requests_are_few() -> None:
    """Four to five times the requests for the same bytes; bytes from DRAM stay within the lines that both touch."""
    read = {"kind": "matrix_read", "name": "x", "rows": 256, "dtype": "fp16", "tile": [64, 256], "programs": 2}
    read |= {"cores": "matmul", "order": "own", "rows_per_step": 4}
    chip = hwmodels.load_chip("ascend_910b1", {"aic.count": 2, "aiv.count": 4})
    times = [
        simulate(chip, parse_any({**read, "columns": columns}).trace()).time - chip.launch_overhead  # type: ignore[union-attr]
        for columns in (2048, 2047)
    ]
    assert 1.5 < times[1] / times[0] < 5.1


@pytest.mark.parametrize("cached", [True, False])
def test_vector_cores_run_programs_of_their_own(cached: bool) -> None:
    """Four vector cores add: inputs past the L2 leave it to the sums, which then stay there."""
    add = {"kind": "elementwise", "name": "add", "inputs": 2, "rows": 64, "columns": 4096, "dtype": "fp16"}
    add |= {"piece": 4096, "buffers": 2, "programs": 4, "cores": "vector", "cached": cached}
    trace = parse_any(add).trace()  # type: ignore[union-attr]
    result = simulate(hwmodels.load_chip("ascend_910b1", BUSY_ASCEND), trace)
    size = 64 * 4096 * 2
    assert result.counters["core.programs"] == 4
    assert result.counters["hbm.read_bytes"] == 2 * size
    assert result.counters["aiv_port.bytes"] == 3 * size
    assert result.counters["port.bytes"] == 0
    assert result.counters["l2.misses"] == (2 * size // 512 if cached else 0)


def test_products_send_no_scores_to_the_vector_cores() -> None:
    gemm = {"kind": "gemm", "name": "g", "m": 256, "n": 512, "k": 512, "dtype": "fp16", "out_dtype": "fp16"}
    gemm |= {"b_rows": "k", "block": [128, 256], "k_steps": [256, 256], "stages": 2}
    gemm |= {"deal": {"kind": "rectangles", "grid": [1, 2]}}
    result = simulate(hwmodels.load_chip("ascend_910b1", BUSY_ASCEND), parse_any(gemm).trace())  # type: ignore[union-attr]
    assert result.counters["aiv_port.bytes"] == 0
    assert result.counters["core.macs"] == 256 * 512 * 512


def test_chips_that_do_not_say_how_refuse() -> None:
    add = {"kind": "elementwise", "name": "add", "inputs": 1, "rows": 4, "columns": 4096, "dtype": "fp16"}
    add |= {"piece": 4096, "buffers": 1, "programs": 2, "cores": "vector", "cached": False}
    with pytest.raises(SimulationError, match=r"set l2\.uncached to serial or parallel"):
        simulate(hwmodels.load_chip("toy"), parse_any(add).trace())  # type: ignore[union-attr]


def test_a_step_that_is_never_repeated_loads_nothing_whatever_its_runs_say() -> None:
    """A gather of whole tiles leaves a step for the remainder with no repeats, whose index lies behind the list."""
    trace = gather(256, 160, 160, 0, 4096, "sorted", 64, 0, index_list=False)
    chunk = next(iter(trace.chunks()))
    idle = chunk.steps[chunk.steps["repeats"] == 0]
    assert chunk.runs[idle["first_run"]]["index"].max() == len(chunk.indices)
    assert not loads_taken(idle).any()
    chip = hwmodels.load_chip("ascend_910b1")
    one, other = (simulate(chip, trace, loop=loop) for loop in LOOPS)
    assert one == other
    assert one.counters["core.flight_bytes"] >= 256 * 160
