"""The over-fetch map compared with a published table, with counting every byte, and with the simulator."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memgrain
from memgrain.analysis.over_fetch import (
    DTYPES,
    GRANULES,
    HEAD_DIMS,
    LAYOUTS,
    LayoutOptions,
    MapRow,
    Read,
    on_chip,
    over_fetch_map,
    rows_of,
)
from memgrain.errors import MemgrainError
from memgrain.hwmodels import load_chip
from memgrain.sim.levels.granules import fetched, granule_of

TABLE = {
    "d64 bf16": (128, (100, 100, 100, 50, 25)),
    "d80 bf16": (160, (100, 83, 62, 42, 25)),
    "d96 bf16": (192, (100, 100, 75, 50, 30)),
    "d112 bf16": (224, (100, 88, 70, 50, 32)),
    "d128 bf16": (256, (100, 100, 100, 100, 50)),
    "d192 bf16": (384, (100, 100, 100, 75, 50)),
    "d256 bf16": (512, (100, 100, 100, 100, 100)),
    "V4 bf16 (A2/A3)": (1024, (100, 100, 100, 100, 100)),
    "MLA bf16": (1152, (100, 100, 100, 90, 75)),
    "d96 fp8": (96, (100, 75, 50, 30, 17)),
    "V3.2 fp8": (656, (98, 93, 85, 73, 57)),
    "V4 fp8 (576 data)": (576, (100, 100, 90, 75, 56)),
    "V4 Ascend-950": (640, (100, 100, 100, 83, 62)),
    "index fp8": (132, (82, 69, 52, 34, 21)),
    "index MXFP4": (68, (71, 53, 35, 21, 12)),
    "engram row": (264, (92, 82, 69, 52, 34)),
}
"""Useful-byte share of isolated gathered rows, in %: bytes of a row, and the share at granules of 32, 64, 128, 256 and
512 B. Row stride = row size, base aligned, no neighbour selected; the mean over the repeat period, halves rounded to
even (82.5 is 82, 87.5 is 88, 62.5 is 62)."""


@pytest.mark.parametrize("name", TABLE)
def test_isolated_rows_agree_with_the_table_in_every_cell(name: str) -> None:
    size, shares = TABLE[name]
    cells = over_fetch_map([MapRow(name, size, "")], (32, 64, 128, 256, 512), ["rows"])
    assert tuple(round(100 / cell.ratio) for cell in cells if cell.ratio) == shares


sizes = st.integers(1, 700)
granules = st.sampled_from([1, 2, *GRANULES])


@given(sizes, st.integers(0, 300), granules)
def test_the_mean_is_that_of_every_row_of_the_repeat_period(size: int, gap: int, granule: int) -> None:
    stride = size + gap
    begins = range(0, math.lcm(stride, granule), stride)
    touched = [len({at // granule for at in range(begin, begin + size)}) for begin in begins]
    assert fetched(size, stride, granule) == pytest.approx(granule * sum(touched) / len(touched), rel=1e-12)


@given(st.integers(1, 200), granules, st.sampled_from([0.001, 0.05, 0.5, 0.99]))
def test_at_random_a_shared_granule_counts_once(size: int, granule: int, density: float) -> None:
    count = math.lcm(size, granule) // size
    rows = [{at // granule for at in range(row * size, (row + 1) * size)} for row in range(count)]
    all_granules = set().union(*rows)
    expected = sum(1 - (1 - density) ** sum(number in row for row in rows) for number in all_granules)
    found = fetched(size, size, granule, density)
    assert found == pytest.approx(granule * expected / (density * count), rel=1e-9)
    assert size * (1 - 1e-9) <= found <= fetched(size, size, granule) * (1 + 1e-9)


@given(sizes, granules)
def test_a_stream_over_fetches_nothing_where_granules_are_kept(size: int, granule: int) -> None:
    read = Read(size, size, density=1.0)
    assert read.ratio(granule) == pytest.approx(1.0)
    assert read.ratio(granule, cached=False) == Read(size, size).ratio(granule)


@pytest.mark.parametrize("chip", ["toy", "h100_sxm", "ascend_910b1", "mlu370_x4"])
def test_the_simulator_counts_what_the_formula_says(chip: str) -> None:
    cells = on_chip(load_chip(chip), [*rows_of([80, 96, 128], DTYPES), MapRow("132 B", 132, "")])
    asked = [cell for cell in cells if cell.ratio is not None]
    assert {cell.layout for cell in asked} == set(LAYOUTS)
    for cell in asked:
        assert cell.simulated == pytest.approx(cell.ratio, rel=0.02 if cell.layout == "random" else 1e-12), cell


def test_an_attention_call_fetches_as_the_formula_says() -> None:
    """decode_topk on the toy chip, K and V apart: 5 % of a head's rows at random, a granule of 64 B."""
    chip, terms = load_chip("toy"), LayoutOptions(ratio=0.05)
    for head_dim in (72, 80, 96):
        result = memgrain.run("toy", "decode_topk", set={"shape.kv_len": 16384, "shape.head_dim": head_dim})
        ((ratio,),) = [[cell.ratio for cell in over_fetch_map(rows_of([head_dim], ["bf16"]), [64], ["random"], terms)]]
        needed = 8 * round(0.05 * 16384) * head_dim * 2
        assert granule_of(chip) == ("l2.fill_granule", 64)
        for tensor in "KV":
            assert result.counters[f"hbm.{tensor}.read_bytes"] / needed == pytest.approx(ratio, rel=0.01)


def test_nz_and_padding() -> None:
    cells = {
        (cell.layout, cell.row.label, cell.granule): cell.ratio
        for cell in over_fetch_map(rows_of([96], ["bf16"]), GRANULES)
    }
    assert [cells["nz", "96", granule] for granule in GRANULES] == [1, 2, 4, 8, 16]
    assert cells["padded", "96", 128] == pytest.approx(256 / 192)
    assert cells["rows", "96", 256] == 2
    odd = over_fetch_map(rows_of([80], ["fp8"]), [64], ["nz"])
    assert odd[0].ratio is None


def test_mistakes_are_one_line_with_the_mend() -> None:
    rows = rows_of(HEAD_DIMS, ["bf16"])
    for make, said in (
        (lambda: over_fetch_map(rows, [48]), "power of two"),
        (lambda: over_fetch_map(rows, [64], ["columns"]), "rows, random, padded"),
        (lambda: over_fetch_map(rows, [64], ["padded"], LayoutOptions(stride=100)), "raise it to 128"),
        (lambda: over_fetch_map(rows, [1024], ["nz"]), "page of at least 32 tokens"),
        (lambda: LayoutOptions(ratio=1.5), "between 0 and 1"),
        (lambda: LayoutOptions(page=0), "at least 1"),
        (lambda: rows_of([64], ["fp4"]), "bf16, fp16"),
        (lambda: over_fetch_map([MapRow("0 B", 0, "")], [64]), "at least one byte"),
    ):
        with pytest.raises(MemgrainError, match=said) as caught:
            make()
        assert "\n" not in str(caught.value)
