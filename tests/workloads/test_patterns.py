"""Does each pattern enumerate exactly the tokens that its mask defines?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from memgrain.workloads import PATTERNS, AttentionShape, Pattern
from memgrain.workloads.patterns import Visits, in_units

ADAPTER: TypeAdapter[Pattern] = TypeAdapter(Pattern)
NUMBERS = {
    **dict.fromkeys(("window", "block", "context", "slashes"), st.integers(1, 12)),
    **dict.fromkeys(("sinks", "seed", "reach"), st.integers(0, 45)),
    **dict.fromkeys(("heavy", "recent"), st.floats(0.01, 0.5)),
}


@pytest.mark.parametrize("kind", PATTERNS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_visits_are_what_the_mask_reads(kind: str, data: st.DataObject) -> None:
    kv_len = data.draw(st.integers(1, 40))
    q_len = data.draw(st.integers(1, 60 if kind == "dense" else kv_len))
    shape = AttentionShape(batch=1, q_heads=1, kv_heads=1, q_len=q_len, kv_len=kv_len, head_dim=1)
    fields = {name: data.draw(NUMBERS[name]) for name in PATTERNS[kind].model_fields if name != "kind"}
    if kind == "vertical_slash":
        fields["reach"] += fields["block"] * fields["slashes"]
    pattern = ADAPTER.validate_python({"kind": kind, **fields})
    q_start = data.draw(st.integers(0, q_len - 1))
    block = int(fields["block"]) if kind == "vertical_slash" else q_len  # whose q tiles lie within a block
    q_stop = data.draw(st.integers(q_start + 1, min(q_len, (q_start // block + 1) * block)))
    selecting = data.draw(st.booleans())
    selected = np.array(data.draw(st.lists(st.booleans(), min_size=kv_len, max_size=kv_len))) if selecting else None
    visits = in_units(pattern.visits(shape, q_start, q_stop, selecting), 1)
    read = np.zeros(kv_len, int)
    for start, stop in visits.ranges:
        read[start:stop] += 1
    candidates = slice(*visits.candidates)
    if selected is not None:
        read[candidates] += selected[candidates]
    assert read.max() <= 1
    assert np.array_equal(read > 0, pattern.mask(shape, selected)[q_start:q_stop].any(0))
    assert visits.tokens == sum(stop - start for start, stop in visits.ranges)
    for (_, stop), (start, _) in zip(visits.ranges, visits.ranges[1:], strict=False):
        assert stop < start


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 20))
def test_units_neither_lose_nor_double_tokens(start: int, length: int, unit: int) -> None:
    cut = in_units(Visits((), (start, start + length)), unit)
    first, last = cut.candidates
    tokens = [t for a, b in cut.ranges for t in range(a, b)] + list(range(first, last))
    assert sorted(tokens) == list(range(start, start + length))
    assert first % unit == last % unit == 0


def test_masks_by_hand() -> None:
    shape = AttentionShape(batch=1, q_heads=1, kv_heads=1, q_len=3, kv_len=6, head_dim=1)
    expected = {
        "dense": ["111111", "111111", "111111"],
        "causal": ["111100", "111110", "111111"],
        "sliding_window": ["101100", "100110", "100011"],
        "block_sparse": ["111100", "110010", "110011"],
        "hierarchical": ["111100", "110110", "110011"],
        "streaming": ["111111", "111111", "111111"],
        "heavy_hitters": ["111111", "111111", "111111"],
        "vertical_slash": ["111100", "111110", "110111"],
    }
    assert set(expected) == set(PATTERNS)
    sizes = {"window": 2, "sinks": 1, "block": 2, "context": 6, "heavy": 0.5, "recent": 0.5, "seed": 0}
    sizes |= {"slashes": 2, "reach": 4}
    selected = np.array([c == "1" for c in "110000"])
    for kind, rows in expected.items():
        fields = {name: sizes[name] for name in PATTERNS[kind].model_fields if name != "kind"}
        chosen = selected if PATTERNS[kind].needs_selection else None
        mask = ADAPTER.validate_python({"kind": kind, **fields}).mask(shape, chosen)
        assert ["".join("1" if x else "0" for x in row) for row in mask] == rows, kind
