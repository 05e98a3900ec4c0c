"""The front follows its definition, and the hypervolume equals that of counting cells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgrain.explore.pareto import Points, front, hypervolume, worst

SIDE = 7
"""Cells along each edge of the counted box."""


def points(objectives: int) -> st.SearchStrategy[Points]:
    """Points with whole coordinates, some beyond the reference."""
    point = st.lists(st.integers(0, SIDE + 1), min_size=objectives, max_size=objectives)
    return st.lists(point, min_size=1, max_size=9).map(lambda rows: np.array(rows, dtype=np.float64))


def count_cells(found: Points) -> int:
    """Unit cells of the box up to SIDE that some point dominates."""
    cells = np.array(list(itertools.product(range(SIDE), repeat=found.shape[1])))
    return int((found[:, None, :] <= cells[None, :, :]).all(axis=2).any(axis=0).sum())


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_the_hypervolume_is_the_number_of_dominated_cells(objectives: int) -> None:
    @given(points(objectives))
    def check(found: Points) -> None:
        assert hypervolume(found, [SIDE] * objectives) == count_cells(found)

    check()


@given(points(3))
def test_the_front_is_what_nothing_dominates(found: Points) -> None:
    def beats(a: list[float], b: list[float]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    rows = found.tolist()
    assert front(found).tolist() == [not any(beats(other, row) for other in rows) for row in rows]


@given(points(3), st.permutations(range(3)))
def test_the_hypervolume_depends_on_the_front_alone_and_not_on_the_order(found: Points, order: list[int]) -> None:
    whole = hypervolume(found, [SIDE] * 3)
    assert hypervolume(found[front(found)], [SIDE] * 3) == whole
    assert hypervolume(found[::-1][:, order], [SIDE] * 3) == whole


def test_a_front_worked_by_hand() -> None:
    found = np.array([[1.0, 5.0], [2.0, 3.0], [4.0, 1.0], [4.0, 4.0], [6.0, 0.5]])
    assert front(found).tolist() == [True, True, True, False, True]
    assert worst(found).tolist() == [6.0, 5.0]
    # Between x = 2 and 4 the points leave 5 - 3, from 4 to 6 they leave 5 - 1.
    assert hypervolume(found, worst(found)) == 2 * 2 + 2 * 4
    assert hypervolume(found, [7.0, 6.0]) == 1 * 1 + 2 * 3 + 2 * 5 + 1 * 5.5
    assert hypervolume(found, [0.5, 9.0]) == 0.0
