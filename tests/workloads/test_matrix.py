"""Do tiled reads, elementwise operations and products touch what they say, in the order that they say?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memgrain.workloads import READ, WRITE, WorkloadError, count_bytes, count_macs, count_steps, expand, parse_any
from memgrain.workloads.trace import UNCACHED, count

READ_OF: dict[str, Any] = {
    "kind": "matrix_read",
    "name": "read",
    "rows": 48,
    "columns": 40,
    "dtype": "fp16",
    "tile": [4, 16],
    "programs": 3,
    "cores": "vector",
    "order": "own",
    "rows_per_step": 4,
}
GEMM: dict[str, Any] = {
    "kind": "gemm",
    "name": "gemm",
    "m": 96,
    "n": 80,
    "k": 64,
    "dtype": "fp16",
    "out_dtype": "fp32",
    "b_rows": "k",
    "block": [32, 32],
    "k_steps": [32, 16],
    "stages": 2,
    "deal": {"kind": "rectangles", "grid": [2, 2]},
}


def elements(pieces: np.ndarray, base: int, size: int) -> np.ndarray:
    """Numbers of the elements that pieces of a tensor cover, in order."""
    covered = [np.arange(p["address"], p["address"] + p["bytes"], size) for p in pieces]
    return (np.concatenate(covered) - base) // size


@pytest.mark.parametrize("rows_per_step", [1, 4, 8])
def test_a_read_takes_tiles_of_its_own_rows_in_order(rows_per_step: int) -> None:
    trace = parse_any({**READ_OF, "rows_per_step": rows_per_step}).trace()  # type: ignore[union-attr]
    pieces, matrix = expand(trace), np.arange(48 * 40).reshape(48, 40)
    for program in range(3):
        block = matrix[16 * program : 16 * program + 16]
        tiles = [block[r : r + 4, c : c + 16].ravel() for r in range(0, 16, 4) for c in range(0, 40, 16)]
        own = pieces[pieces["program"] == program]
        assert elements(own, 0, 2).tolist() == np.concatenate(tiles).tolist()
    assert count_steps(trace) == 3 * 4 * 3 * 4 // rows_per_step
    assert set(pieces["op"].tolist()) == {READ}


def test_bands_are_read_again_before_the_next_one_begins() -> None:
    trace = parse_any({**READ_OF, "bands": 2, "passes": 3, "tile": [16, 20]}).trace()  # type: ignore[union-attr]
    own = expand(trace)[: 16 * 6]
    first, second = (np.arange(48 * 40).reshape(48, 40)[:16, c : c + 20].ravel().tolist() for c in (0, 20))
    assert elements(own, 0, 2).tolist() == 3 * first + 3 * second


@pytest.mark.parametrize("order", ["same", "rotated"])
def test_all_programs_read_all_blocks_from_the_first_or_from_their_own(order: str) -> None:
    pieces = expand(parse_any({**READ_OF, "order": order, "cached": False}).trace())  # type: ignore[union-attr]
    for program in range(3):
        own = elements(pieces[pieces["program"] == program], 0, 2)
        assert np.array_equal(np.sort(own), np.arange(48 * 40))
        assert own[0] == (program * 16 * 40 if order == "rotated" else 0)
    assert set(pieces["op"].tolist()) == {UNCACHED}


def test_an_addition_reads_both_and_writes_one_evenly_shared() -> None:
    add = {"kind": "elementwise", "name": "add", "inputs": 2, "rows": 10, "columns": 12, "dtype": "fp16", "piece": 20}
    trace = parse_any({**add, "buffers": 2, "programs": 4, "cores": "vector"}).trace()  # type: ignore[union-attr]
    pieces = expand(trace)
    assert count_bytes(trace) == {"X0": (240, 0), "X1": (240, 0), "O": (0, 240)}
    assert np.bincount(pieces["program"][pieces["op"] == WRITE], pieces["bytes"][pieces["op"] == WRITE]).tolist() == [
        72,
        72,
        48,
        48,
    ]
    for tensor in range(3):
        mine = pieces[pieces["tensor"] == tensor]
        assert elements(mine, trace.tensors[tensor].base, 2).tolist() == list(range(120))
        assert mine["bytes"].max() == 40


NORM: dict[str, Any] = {
    **{"kind": "elementwise", "name": "norm", "inputs": 1, "rows": 6, "columns": 20000, "dtype": "fp16"},
    **{"piece": 9000, "buffers": 1, "programs": 3, "cores": "vector", "operations": 2.5, "exps": 1},
}


@pytest.mark.parametrize("synchronous", [False, True])
def test_a_first_pass_reads_its_share_and_writes_a_sum_for_each_piece(synchronous: bool) -> None:
    raw = {**NORM, "in_place": True, "first_pass": {"share": 0.5, "operations": 1}, "synchronous": synchronous}
    trace = parse_any(raw).trace()  # type: ignore[union-attr]
    sampled, operation = trace.chunks()
    assert (sampled.barrier, operation.barrier) == (False, True)
    pieces = 3 * 3  # of 20,000 elements of a program, of which it has 40,000
    assert count_bytes(trace) == {"X0": (3 * 120000, 240000), "sums": (0, 4 * pieces)}
    every = expand(trace)
    written = every[(every["op"] == WRITE) & (every["tensor"] == 0)]
    assert elements(written, 0, 2).tolist() == list(range(120000))
    assert elements(every[every["tensor"] == 1], trace.tensors[1].base, 4).tolist() == list(range(pieces))
    assert count(trace).issued_exps == 120000
    assert count(trace).issued_ops == 120000 * 2.5 / 2 + 60000 / 2
    assert trace.synchronous == int(synchronous)


def test_a_synchronous_piece_is_loaded_in_requests_and_stored_whole() -> None:
    trace = parse_any({**NORM, "synchronous": True}).trace()  # type: ignore[union-attr]
    first = expand(trace)[:4]
    assert first["bytes"].tolist() == [16384, 18000 - 16384, 18000, 16384]
    assert first["op"].tolist() == [READ, READ, WRITE, READ]


def test_stores_may_have_rows_of_a_few_elements() -> None:
    raw = {**NORM, "piece": 5000, "stored": 10}
    trace = parse_any(raw).trace()  # type: ignore[union-attr]
    written = expand(trace)
    written = written[written["op"] == WRITE]
    assert set(written["bytes"].tolist()) == {20}
    assert elements(written, trace.tensors[1].base, 2).tolist() == list(range(120000))


def test_a_part_of_the_columns_is_read_at_the_pitch_of_all() -> None:
    trace = parse_any({**READ_OF, "read_columns": 20, "tile": [4, 16]}).trace()  # type: ignore[union-attr]
    covered = elements(expand(trace), 0, 2)
    assert np.array_equal(np.sort(covered), np.arange(48 * 40).reshape(48, 40)[:, :20].ravel())
    assert trace.useful_bytes == 48 * 20 * 2


def test_a_fill_reads_nothing() -> None:
    trace = parse_any({**NORM, "inputs": 0, "synchronous": True}).trace()  # type: ignore[union-attr]
    assert count_bytes(trace) == {"O": (0, 240000)}
    assert trace.useful_bytes == 0


@pytest.mark.parametrize("b_rows", ["k", "n"])
@pytest.mark.parametrize(
    "deal",
    [
        {"kind": "rectangles", "grid": [2, 2]},
        {"kind": "rectangles", "grid": [1, 2], "row_parts": 3},
        {"kind": "round_robin", "programs": 4, "band": 2},
        {"kind": "round_robin", "programs": 5},
        {"kind": "round_robin", "programs": 4, "band": 2, "band_of": "rows"},
        {"kind": "sliding_window", "programs": 9, "window": 2},
    ],
)
def test_a_product_makes_every_tile_once_from_its_rows_and_columns(b_rows: str, deal: dict[str, Any]) -> None:
    trace = parse_any({**GEMM, "b_rows": b_rows, "deal": deal}).trace()  # type: ignore[union-attr]
    pieces = expand(trace)
    written = elements(pieces[pieces["op"] == WRITE], trace.tensors[2].base, 4)
    assert np.array_equal(np.sort(written), np.arange(96 * 80))
    assert count_macs(trace) == 96 * 80 * 64
    tiles_across, tiles_down = 3, 3  # the last column of tiles is 16 wide
    read = count_bytes(trace)
    assert read["A"] == (96 * 64 * 2 * tiles_across, 0)
    assert read["B"] == (80 * 64 * 2 * tiles_down, 0)
    for tensor, size in ((0, 96 * 64), (1, 80 * 64)):
        covered = elements(pieces[pieces["tensor"] == tensor], trace.tensors[tensor].base, 2)
        assert np.array_equal(np.unique(covered), np.arange(size))


SERIES: dict[str, Any] = {**GEMM, "k_steps": [32, 32], "stages": 1, "b_rows": "n"}


@pytest.mark.parametrize(("a_rows", "b_rows", "parts"), [("k", "n", 1), ("m", "k", 2)])
def test_a_product_in_series_loads_b_once_a_step_and_a_part_by_part(a_rows: str, b_rows: str, parts: int) -> None:
    series = {"row_parts": parts, "operations": [1, 2, 3], "a_rows": a_rows}
    trace = parse_any({**SERIES, "b_rows": b_rows, "in_series": series}).trace()  # type: ignore[union-attr]
    pieces, tiles_across, tiles_down, steps = expand(trace), 3, 3, 2
    assert count_macs(trace) == 96 * 80 * 64
    a, b = 96 * 64 * tiles_across, 80 * 64 * tiles_down
    assert count_bytes(trace) == {"A": (2 * a, 0), "B": (2 * b, 0), "C": (0, 4 * 96 * 80)}
    assert count(trace).issued_ops == a * 1 / 2 + b * 2 / 2 + 96 * 80 * steps * 3
    for tensor, size, count_of in ((0, 2, 96 * 64), (1, 2, 80 * 64), (2, 4, 96 * 80)):
        covered = elements(pieces[pieces["tensor"] == tensor], trace.tensors[tensor].base, size)
        assert np.array_equal(np.unique(covered), np.arange(count_of))
    first = pieces[pieces["program"] == 0]
    order = first["tensor"][np.flatnonzero(np.diff(first["tensor"], prepend=9))].tolist()
    assert order[:2] == [1, 0]


def test_b_stays_for_the_next_tile_of_the_same_columns_where_k_is_one_step() -> None:
    deal = {"kind": "round_robin", "programs": 3}  # three columns of tiles: a program keeps to one
    raw = {**SERIES, "k_steps": [64, 64], "deal": deal, "in_series": {"buffers": 2}}
    trace = parse_any(raw).trace()  # type: ignore[union-attr]
    assert count_bytes(trace)["B"] == (80 * 64 * 2, 0)
    assert trace.synchronous == 2


def test_the_last_step_has_what_is_left_of_k_and_blocks_hold_the_same_elements() -> None:
    """B in blocks [n / 16, k, 16]: its rows are runs of 32 bytes of a column of blocks."""
    asked = {**GEMM, "k": 72, "b_rows": "blocks", "deal": {"kind": "round_robin", "programs": 4}}
    trace = parse_any(asked).trace()  # type: ignore[union-attr]
    assert count_macs(trace) == 96 * 80 * 72
    assert count_bytes(trace) == {"A": (96 * 72 * 2 * 3, 0), "B": (80 * 72 * 2 * 3, 0), "C": (0, 96 * 80 * 4)}
    pieces = expand(trace)
    own = pieces[(pieces["tensor"] == 1) & (pieces["program"] == 1)]
    blocks = np.arange(80 * 72).reshape(5, 72, 16)[2:4]  # the second tile: columns 32 to 64
    first = np.concatenate([blocks[:, k : k + 16].ravel() for k in (0, 16, 32, 48)] + [blocks[:, 64:].ravel()])
    assert elements(own, trace.tensors[1].base, 2)[: len(first)].tolist() == first.tolist()


@pytest.mark.parametrize("splits", [1, 2])
def test_vector_cores_finish_what_matrix_cores_have_summed(splits: int) -> None:
    """Sums of each split are read once, and every element of C is converted once; without splits, the last tile of a
    core comes behind the products."""
    deal = {"kind": "round_robin", "programs": 9}
    asked = parse_any({**GEMM, "out_dtype": "fp16", "finish": "vector", "splits": splits, "deal": deal})
    products, *behind = asked.kernels()  # type: ignore[union-attr]
    assert [trace.cores for trace in behind] == ["vector"] * splits
    assert all(trace.joined for trace in behind)
    assert products.mixed
    assert count_macs(products) == 96 * 80 * 64
    assert count_bytes(products)["sums"] == (0, 96 * 80 * 4 * splits)
    assert count_bytes(behind[0])["sums"] == (96 * 80 * 4 * splits, 0)
    written = expand(behind[-1])
    written = elements(written[written["op"] == WRITE], products.tensors[2].base, 2)
    assert np.array_equal(np.sort(written), np.arange(96 * 80))


def test_rows_of_a_are_kept_while_a_core_stays_in_their_row_of_tiles() -> None:
    deal = {"kind": "round_robin", "programs": 2, "consecutive": True}
    trace = parse_any({**GEMM, "keep_a": True, "deal": deal}).trace()  # type: ignore[union-attr]
    assert count_bytes(trace)["A"] == (32 * 64 * 2 * 4, 0)  # tiles 0 1 2 3, of rows 0 0 0 1, and 4 5 6 7 8: 1 1 2 2 2
    assert trace.scratchpad_bytes == (32 * 64 + 2 * 32 * 16) * 2


def test_bands_of_tiles_are_walked_down_and_up_again() -> None:
    deal = {"kind": "round_robin", "programs": 1, "band": 2}
    asked = parse_any({**GEMM, "deal": deal})
    places = asked.deal.tiles(asked)[0]  # type: ignore[union-attr]
    walk = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2)]
    assert [(r // 32, c // 32) for r, c, _, _ in places] == walk
    assert places[-1] == (0, 64, 32, 16)
    turned = parse_any({**GEMM, "deal": {**deal, "band_of": "rows"}})
    assert [(c // 32, r // 32) for r, c, _, _ in turned.deal.tiles(turned)[0]] == walk  # type: ignore[union-attr]


def test_the_last_round_is_cut_and_shared_where_few_tiles_are_left() -> None:
    """Nine tiles on six cores: in turn down windows of two rows, of which the last takes the third row too. Three are
    left for six cores, so each is halved, along the rows of C's last tile (16 wide) as CATLASS does."""
    asked = parse_any({**GEMM, "m": 96, "n": 80, "deal": {"kind": "sliding_window", "programs": 6, "window": 2}})
    dealt = asked.deal.tiles(asked)  # type: ignore[union-attr]
    assert [place for (place, *_) in dealt] == [
        (0, 0, 32, 32), (32, 0, 32, 32), (64, 0, 32, 32), (0, 32, 32, 32), (32, 32, 32, 32), (64, 32, 32, 32),
    ]  # fmt: skip
    assert [place for (_, place) in dealt] == [
        (0, 64, 32, 8), (0, 72, 32, 8), (32, 64, 32, 8), (32, 72, 32, 8), (64, 64, 32, 8), (64, 72, 32, 8),
    ]  # fmt: skip
    whole = parse_any({**GEMM, "deal": {"kind": "sliding_window", "programs": 5, "window": 2}})
    assert [len(mine) for mine in whole.deal.tiles(whole)] == [2, 2, 2, 2, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize("b_rows", ["k", "n"])
@pytest.mark.parametrize("k", [9, 33, 71, 96])
def test_the_last_step_takes_what_is_left_of_k(k: int, b_rows: str) -> None:
    trace = parse_any({**GEMM, "k": k, "b_rows": b_rows}).trace()  # type: ignore[union-attr]
    pieces = expand(trace)
    for tensor, edge in ((0, 96), (1, 80)):
        covered = elements(pieces[pieces["tensor"] == tensor], trace.tensors[tensor].base, 2)
        assert np.array_equal(np.unique(covered), np.arange(edge * k))
        assert len(covered) == 3 * edge * k
    assert count_macs(trace) == 96 * 80 * k
    assert count_steps(trace) == 9 * -(-k // 32)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({**READ_OF, "programs": 5}, "no multiple of the tile's 4 rows; change programs or tile"),
        ({**NORM, "inputs": 0, "in_place": True}, "inputs 0 is a fill, which reads nothing; remove in_place"),
        ({**NORM, "first_pass": {"share": 1.5}}, "first_pass.share"),
        ({**NORM, "stored": 7}, "stored 7 must divide piece 9000 and columns 20000; change stored"),
        ({**READ_OF, "read_columns": 50}, "read_columns 50 exceeds columns 40; lower it"),
        ({**READ_OF, "bands": 3}, "columns 40 is no multiple of bands 3; change bands"),
        ({**READ_OF, "cores": "scalar"}, "expected 'matmul' or 'vector', got 'scalar' @ cores"),
        ({**READ_OF, "tiles": 3}, "unknown key 'tiles' @ tiles; did you mean 'tile'?"),
        ({**SERIES, "k_steps": [32, 16], "in_series": {}}, "k_steps (32, 16) must be equal and stages 1 must be 1"),
        ({**GEMM, "k_steps": [24, 16]}, "must divide one another; change one of them"),
        ({**GEMM, "splits": 3}, "splits 3 of 2 steps along k; lower splits"),
        ({**GEMM, "splits": 2}, "splits 2 needs finish: vector, deal.kind: round_robin, and no keep_a"),
        ({**GEMM, "deal": {"kind": "rectangles", "grid": [2, 2], "row_parts": 5}}, "no multiple of row_parts 5"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(WorkloadError) as refused:
        parse_any(raw, "mine.yaml")
    assert str(refused.value).startswith("mine.yaml: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
