"""Does a product with weights make every element of C once, out of all of A and W, and fill the cores?"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain.workloads import Budget, Linear, WorkloadError, count_bytes, count_macs, count_steps, expand, parse_any
from memgrain.workloads.steps.linear import STORAGE, WeightFormat

CHIP = Budget(cores=6, scratchpad_bytes=128 << 10, max_programs=8)
H100 = Budget(cores=132, scratchpad_bytes=228 << 10, max_programs=32, multicast=2)
RAW: dict[str, Any] = {
    "kind": "linear",
    "name": "mine",
    "tokens": 16,
    "inputs": 4096,
    "outputs": 4096,
    "weights": "bf16",
    "dtype": "bf16",
    "out_dtype": "bf16",
}


def linear(**changes: Any) -> Linear:
    return Linear.model_validate({**RAW, **changes})


TILINGS = st.fixed_dictionaries(
    {
        "block_m": st.sampled_from(["auto", 16, 32]),
        "block_n": st.sampled_from(["auto", 16, 64]),
        "block_k": st.sampled_from(["auto", 16, 48]),
        "splits": st.sampled_from(["auto", 1, 3]),
        "band": st.sampled_from(["auto", 1, 3]),
        "cluster": st.sampled_from([1, 2]),
    }
)
ROWS = st.lists(st.integers(0, 70), min_size=1, max_size=4).filter(any)


@given(ROWS, st.integers(1, 90).map(lambda half: 2 * half), st.integers(1, 150), TILINGS)
@settings(max_examples=80, deadline=None)
def test_every_byte_of_c_is_written_once_out_of_all_of_a_and_w(
    rows: list[int], inputs: int, outputs: int, tiling: dict[str, Any]
) -> None:
    asked = linear(
        tokens=sum(rows), matrices=len(rows), rows=tuple(rows), inputs=inputs, outputs=outputs, tiling=tiling
    )
    trace = asked.trace(CHIP)
    assert count_macs(trace) == sum(rows) * inputs * outputs
    pieces = expand(trace)
    for number, tensor in enumerate(trace.tensors):
        touched = np.zeros((2, tensor.bytes), np.int64)
        for piece in pieces[pieces["tensor"] == number]:
            start = int(piece["address"]) - tensor.base
            assert start >= 0
            assert start + int(piece["bytes"]) <= tensor.bytes
            touched[int(piece["op"]), start : start + int(piece["bytes"])] += 1
        reads, writes = touched
        if tensor.name == "C":
            assert (writes == 1).all()
            assert not reads.any()
        elif tensor.name == "partial":
            assert (writes == 1).all()
            assert (reads == 1).all()
        elif tensor.name == "W":
            of_matrix = reads.reshape(len(rows), -1)
            assert ((of_matrix > 0).all(axis=1) == [count > 0 for count in rows]).all()
            assert not of_matrix[[count == 0 for count in rows]].any(), "a matrix without rows reads nothing"
        else:
            assert (reads > 0).all()


@pytest.mark.parametrize("weights", get_args(WeightFormat))
def test_weights_of_any_type_are_read_once_in_decode_and_so_are_their_scales(weights: WeightFormat) -> None:
    asked, stored = linear(weights=weights, inputs=2048), STORAGE[weights]
    read = count_bytes(asked.trace(H100))["W"][0]
    elements = asked.inputs * asked.outputs
    scales = {"fp8": elements / 128**2 * 4, "fp4": elements / 32, "int4": elements / 128 * 2}
    least = elements * stored.bits / 8 + scales.get(weights, 0)
    assert least <= read <= least * 1.04
    packed = expand(linear(weights=weights, inputs=128, outputs=64, tokens=3).trace(CHIP))
    covered: set[int] = set()
    for piece in packed[packed["tensor"] == 1]:
        ours = range(int(piece["address"]), int(piece["address"]) + int(piece["bytes"]))
        assert covered.isdisjoint(ours) or stored.group[0]
        covered.update(ours)
    assert len(covered) >= 128 * 64 * stored.bits // 8


def test_decode_gives_every_core_something_to_do_in_few_records() -> None:
    for tokens, inputs, outputs in ((1, 16384, 53248), (16, 8192, 1024), (64, 4096, 4096), (128, 7168, 2048)):
        asked = linear(tokens=tokens, inputs=inputs, outputs=outputs)
        chunk, *merge = asked.trace(H100).chunks()
        assert 100 <= len(chunk.programs) <= 132, (tokens, inputs, outputs)
        assert len(chunk.steps) <= 2 * (len(chunk.programs) + 52248 // 64)
        assert bool(merge) == (asked.fit(H100).splits > 1)
        assert all(other.barrier for other in merge)


def test_tiles_are_those_of_the_vendors_library_where_its_names_say_so() -> None:
    """cuBLAS 13.1 on an H100: nvjet_sm90_tst_{columns}x{rows}_64x{stages}_{cluster}, splitK."""
    named = {
        (64, 4096, 4096): (32, 64, 16, 1),
        (256, 4096, 4096): (64, 128, 8, 1),
        (1024, 4096, 4096): (128, 256, 4, 1),
        (512, 16384, 16384): (128, 256, 4, 1),
    }
    for (tokens, outputs, inputs), expected in named.items():
        fitted = linear(tokens=tokens, inputs=inputs, outputs=outputs).fit(H100)
        assert (fitted.block_m, fitted.block_n, fitted.stages, fitted.splits) == expected
        assert fitted.cluster == 2
    assert linear(tokens=16, inputs=8192, outputs=1024).fit(H100).splits > 1
    assert linear(tokens=1, inputs=16384, outputs=64).fit(H100).splits > 1
    assert linear(tokens=1, inputs=1024, outputs=1024).fit(H100).splits == 1
    assert linear(tokens=16, inputs=16384, outputs=16384).fit(H100).splits == 1


def test_a_cluster_loads_w_once_for_its_tiles() -> None:
    tiles = {"block_m": 64, "block_n": 64}
    asked = linear(tokens=512, inputs=256, outputs=512, tiling=tiles)
    alone = count_bytes(linear(tokens=512, inputs=256, outputs=512, tiling={**tiles, "cluster": 1}).trace(H100))
    shared = count_bytes(asked.trace(H100))
    assert 2 * shared["W"][0] == alone["W"][0]
    assert shared["A"] == alone["A"]
    assert count_macs(asked.trace(H100)) == 512 * 256 * 512


def test_a_step_loads_what_it_multiplies() -> None:
    asked = linear(tokens=4096, tiling={"block_m": 128, "block_n": 128, "block_k": 64, "cluster": 1, "splits": 1})
    trace = asked.trace(H100)
    assert count_steps(trace) == 32 * 32 * 64
    assert count_bytes(trace) == {"A": (32 * 4096**2 * 2, 0), "W": (32 * 4096**2 * 2, 0), "C": (0, 4096**2 * 2)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"matrices": 2, "rows": [16]}, "rows has 1 numbers for 2 matrices; give one for each"),
        ({"rows": [15]}, "rows add to 15, tokens is 16; set tokens: 15"),
        ({"weights": "fp2"}, "expected 'bf16'"),
        ({"tiling": {"blockn": 2}}, "unknown key 'blockn' @ tiling.blockn; did you mean 'tiling.block_n'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(WorkloadError) as refused:
        parse_any({**RAW, **changes}, "mine.yaml")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_tile_that_fits_nowhere_names_the_mend() -> None:
    small = Budget(cores=1, scratchpad_bytes=4 << 10, max_programs=1)
    assert linear().fit(Budget(cores=1, scratchpad_bytes=9 << 10, max_programs=1)).stages >= 1
    with pytest.raises(WorkloadError, match=r"the smallest tile needs \d+ B .* lower tiling.block_m"):
        linear(tiling={"block_m": 64, "block_n": 64}).fit(small)
