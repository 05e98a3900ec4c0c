"""Do tiled reads, elementwise operations and products touch what they say, in the order that they say?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memgrain.workloads import READ, WRITE, WorkloadError, count_bytes, count_macs, count_steps, expand, parse_any
from memgrain.workloads.trace import UNCACHED

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


@pytest.mark.parametrize("b_rows", ["k", "n"])
@pytest.mark.parametrize(
    "deal",
    [
        {"kind": "rectangles", "grid": [2, 2]},
        {"kind": "rectangles", "grid": [1, 2], "row_parts": 3},
        {"kind": "round_robin", "programs": 4, "band": 2},
        {"kind": "round_robin", "programs": 5},
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
    assert [(r // 32, c // 32) for r, c in places] == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({**READ_OF, "programs": 5}, "no multiple of the tile's 4 rows; change programs or tile"),
        ({**READ_OF, "bands": 3}, "columns 40 is no multiple of bands 3; change bands"),
        ({**READ_OF, "cores": "scalar"}, "expected 'matmul' or 'vector', got 'scalar' @ cores"),
        ({**READ_OF, "tiles": 3}, "unknown key 'tiles' @ tiles; did you mean 'tile'?"),
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
