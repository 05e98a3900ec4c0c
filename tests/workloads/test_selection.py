"""Are lists of selected tokens distinct, aligned, of the size asked for, and the same for the same seed?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgrain.workloads import AttentionShape, RandomSelection, RecordedSelection, WorkloadError
from memgrain.workloads.selection import list_of, lists_of, sample


@given(st.integers(0, 300), st.data())
def test_samples_are_sets_of_the_size_asked_for(population: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, population))
    chosen = sample(np.random.default_rng(data.draw(st.integers(0, 9))), population, count)
    assert len(chosen) == count
    assert chosen.dtype == np.int32
    assert np.all(np.diff(chosen) > 0)
    assert all(0 <= c < population for c in chosen)


def test_samples_are_uniform() -> None:
    rng = np.random.default_rng(1)
    for count in (3, 9):
        hits = np.bincount(np.concatenate([sample(rng, 12, count) for _ in range(4000)]), minlength=12)
        expected = 4000 * count / 12
        assert np.all(np.abs(hits - expected) < 6 * np.sqrt(expected * (1 - count / 12)))


@pytest.mark.parametrize(
    ("ratio", "unit", "tokens"), [(0.05, 1, 6553), (0.05, 64, 6528), (1.0, 64, 131072), (1e-9, 16, 16)]
)
def test_units_are_aligned_and_counted(ratio: float, unit: int, tokens: int) -> None:
    selection = RandomSelection(kind="random", ratio=ratio)
    assert selection.count(131072, unit) == tokens
    first = selection.choose(0, 0, 0, (1024, 1024 + 131072), unit)
    assert len(first) * unit == tokens
    assert np.all(first % unit == 0)
    assert first.min() >= 1024
    assert first.max() + unit <= 1024 + 131072


def test_lists_differ_by_batch_list_tile_and_seed_only() -> None:
    def draw(seed: int, batch: int, number: int, tile: int) -> tuple[int, ...]:
        return tuple(RandomSelection(kind="random", tokens=20, seed=seed).choose(batch, number, tile, (0, 500), 1))

    keys = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    assert len({draw(*key) for key in keys}) == len(keys)
    assert draw(7, 1, 2, 3) == draw(7, 1, 2, 3)


def test_order_changes_the_order_only() -> None:
    ordered, mixed = (
        RandomSelection(kind="random", ratio=0.5, order=o).choose(0, 0, 0, (0, 99), 1) for o in ("sorted", "random")
    )
    assert ordered.tolist() == sorted(mixed.tolist())
    assert ordered.tolist() != mixed.tolist()


def test_shares() -> None:
    shape = AttentionShape(batch=1, q_heads=6, kv_heads=2, q_len=1, kv_len=8, head_dim=1)
    assert [lists_of(s, shape) for s in ("head", "group", "all")] == [6, 2, 1]
    assert [list_of(s, shape, 5) for s in ("head", "group", "all")] == [5, 1, 0]


def test_ratio_or_tokens() -> None:
    for ratio, tokens in ((None, None), (0.5, 3)):
        with pytest.raises(ValueError, match="ratio and tokens"):
            RandomSelection(kind="random", ratio=ratio, tokens=tokens)


def test_recorded_lists(tmp_path: Path) -> None:
    lists = np.array([[[5, 1, 3], [2, 0, 4]]])
    np.save(tmp_path / "lists.npy", lists)
    np.savez(tmp_path / "lists.npz", positions=lists[0, 1])
    recorded = RecordedSelection(kind="recorded", path=str(tmp_path / "lists.npy"))
    assert recorded.choose(3, 0, 0, (0, 6), 1).tolist() == [5, 1, 3]
    assert recorded.count(6, 1) == 3
    in_order = RecordedSelection(kind="recorded", path=str(tmp_path / "lists.npz"), order="sorted")
    assert in_order.choose(0, 7, 0, (0, 6), 1).tolist() == [0, 2, 4]


def test_recorded_mistakes_are_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "twice.npy", np.array([1, 1]))
    np.save(tmp_path / "float.npy", np.array([0.5]))
    np.save(tmp_path / "lists.npy", np.array([[1], [2]]))
    for name, number, stop in (("twice", 0, 9), ("twice", 0, 1), ("float", 0, 9), ("lists", 2, 9), ("absent", 0, 9)):
        with pytest.raises(WorkloadError) as caught:
            RecordedSelection(kind="recorded", path=str(tmp_path / f"{name}.npy")).choose(0, number, 0, (0, stop), 1)
        assert "\n" not in str(caught.value)
        assert ";" in str(caught.value)
