"""Does the compressed trace of an attention call expand to what its definition reads, row by row and in order?"""

from __future__ import annotations

import itertools
import math
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from memgrain.workloads import (
    AttentionShape,
    Budget,
    DTypes,
    Trace,
    Workload,
    attention,
    count_bytes,
    count_exps,
    count_flops,
    count_issued_macs,
    count_macs,
    count_steps,
    expand,
    load_trace,
    parse_workload,
    save_trace,
)
from memgrain.workloads.layouts.layout import Paged, place
from memgrain.workloads.selection import list_of

Make = Callable[..., Workload]
BUDGET = Budget(cores=3, scratchpad_bytes=65536, max_programs=2)
SHARES = ("head", "group", "all")
SHAPE = {"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 1, "kv_len": 53, "head_dim": 8, "head_dim_v": 4}
PATTERNS: dict[str, dict[str, object]] = {
    "dense": {"kind": "dense"},
    "causal": {"kind": "causal"},
    "sliding_window": {"kind": "sliding_window", "window": 13, "sinks": 3},
    "block_sparse": {"kind": "block_sparse", "block": 4},
    "hierarchical": {"kind": "hierarchical", "window": 10, "sinks": 2},
}
LAYOUTS: dict[str, dict[str, object]] = {
    "bnsd": {"kind": "bnsd"},
    "bsnd": {"kind": "bsnd"},
    "small_pages_hnd": {"kind": "paged", "page": 4, "inner": "hnd"},
    "large_pages_hnd": {"kind": "paged", "page": 16, "inner": "hnd", "seed": 3},
    "large_pages_nhd": {"kind": "paged", "page": 16, "inner": "nhd"},
    "odd_pages": {"kind": "paged", "page": 12, "inner": "hnd"},
    "contiguous_pages": {"kind": "paged", "page": 8, "inner": "nhd", "placement": "contiguous"},
}


@pytest.fixture
def small() -> Callable[..., Workload]:
    """Makes a workload of 2 x 4 (2) heads and 53 tokens in tiles of 8; `changes` replace whole sections."""

    def make(pattern: str = "dense", layout: str = "bnsd", phase: str = "decode", **changes: object) -> Workload:
        q_len = 1 if phase == "decode" else 21
        raw: dict[str, object] = {
            "kind": "attention",
            "name": "small",
            "phase": phase,
            "dtype": "bf16",
            "pattern": PATTERNS[pattern],
            "shape": SHAPE | {"q_len": q_len},
            "layout": LAYOUTS[layout],
            "tiling": {"block_kv": 8, "block_q": 8},
        }
        if pattern in ("block_sparse", "hierarchical"):
            raw["selection"] = {"kind": "random", "ratio": 0.4}
        return parse_workload(raw | changes)

    return make


def ravel(at: tuple[int, ...], sizes: tuple[int, ...]) -> int:
    """Number of an element of an array of `sizes`, rows first."""
    number = 0
    for coordinate, size in zip(at, sizes, strict=True):
        assert 0 <= coordinate < size
        number = number * size + coordinate
    return number


@cache
def block_table(layout: Paged, shape: AttentionShape) -> NDArray[np.int32]:
    table = place(layout, shape, DTypes(q="bf16", k="bf16", v="bf16", o="bf16")).table
    assert table is not None
    return table


def row_address(workload: Workload, trace: Trace, name: str, batch: int, head: int, token: int) -> int:
    """Address of a row, from the definition of the layout."""
    shape, layout = workload.shape, workload.layout
    heads, length = (shape.q_heads, shape.q_len) if name in "QO" else (shape.kv_heads, shape.kv_len)
    row = 2 * (8 if name in "QK" else 4)
    base = next(t.base for t in trace.tensors if t.name == name)
    if isinstance(layout, Paged) and name in "KV":
        page = layout.page
        table = block_table(layout, shape)
        physical, pages = int(table[batch, token // page]), int(table.size)
        if layout.inner == "hnd":
            number = ravel((physical, head, token % page), (pages, heads, page))
        else:
            number = ravel((physical, token % page, head), (pages, page, heads))
    elif layout.kind == "bnsd":
        number = ravel((batch, head, token), (shape.batch, heads, length))
    else:
        number = ravel((batch, token, head), (shape.batch, length, heads))
    return base + int(number) * row


def chosen_tokens(workload: Workload, batch: int, head: int, tile: int, queries: tuple[int, int]) -> list[int]:
    """The selected tokens of one q tile, in the order of the list."""
    selection, candidates = workload.selection, workload.visits(*queries).candidates
    if selection is None or candidates[0] == candidates[1]:
        return []
    number = list_of(selection.share, workload.shape, head)
    first = selection.choose(batch, number, tile, candidates, workload.unit)
    return [int(t) + i for t in first for i in range(workload.unit)]


def tiles_of(workload: Workload, batch: int, head: int, tile: int, queries: tuple[int, int]) -> list[list[int]]:
    """The kv tiles of 8 tokens that one q tile walks, from the mask of the pattern."""
    listed = chosen_tokens(workload, batch, head, tile, queries)
    selected = None
    if workload.selection is not None:
        start, stop = workload.visits(*queries).candidates
        selected = np.ones(workload.shape.kv_len, bool)
        selected[start:stop] = False
        selected[listed] = True
    read = workload.pattern.mask(workload.shape, selected)[slice(*queries)].any(0)
    streamed = sorted(set(np.flatnonzero(read).tolist()) - set(listed))
    if workload.phase == "prefill" or workload.tiling.aligned:
        streamed = [t for t in range(workload.shape.kv_len) if t // 8 in {s // 8 for s in streamed}]
    elif isinstance(workload.layout, Paged):
        grain = math.gcd(workload.layout.page, 8)
        heads = {t for t in streamed if t - 1 not in streamed}
        streamed = sorted({u for t in heads for u in range(t // grain * grain, t)} | set(streamed))
    parts: list[list[int]] = []
    for token in streamed:
        if not parts or token != parts[-1][-1] + 1:
            parts.append([])
        parts[-1].append(token)
    if listed:
        parts.append(listed)
    start = workload.visits(*queries).candidates[0]
    parts.sort(key=lambda part: start if part is listed else part[0])
    found = [part[i : i + 8] for part in parts for i in range(0, len(part), 8)]
    return found[::-1] if workload.tiling.order == "reverse" else found


def definition(workload: Workload, trace: Trace, heads: int, splits: int) -> Iterator[list[tuple[str, int]]]:
    """For each program in launch order, the rows of Q, K, V and O that it touches, in order; query rows of `heads`
    heads are packed token by token."""
    shape, decode = workload.shape, workload.phase == "decode"
    block_q = shape.q_len if decode else 8
    q_tiles = [(q, min(q + block_q, shape.q_len)) for q in range(0, shape.q_len, block_q)]
    for batch, head in itertools.product(range(shape.batch), range(0, shape.q_heads, heads)):
        for number, queries in enumerate(q_tiles):
            walked = tiles_of(workload, batch, head, number, queries)
            if workload.tiling.order == "reverse":
                walked = walked[::-1]
            share = math.ceil(len(walked) / splits)
            packed = [(h, t) for t in range(*queries) for h in range(head, head + heads)]
            size = workload.tiling.block_q if isinstance(workload.tiling.block_q, int) else len(packed)
            blocks = [packed[i : i + size] for i in range(0, len(packed), size)]
            for own, split in itertools.product(blocks, range(splits)):
                rows = [("Q", row_address(workload, trace, "Q", batch, h, t)) for h, t in sorted(own)]
                part = walked[split * share : (split + 1) * share]
                for tile in part[::-1] if workload.tiling.order == "reverse" else part:
                    kv_head = head // shape.group
                    for name, t in itertools.product("KV", tile):
                        rows.append((name, row_address(workload, trace, name, batch, kv_head, t)))
                if splits == 1:
                    rows += [("O", row_address(workload, trace, "O", batch, h, t)) for h, t in sorted(own)]
                yield rows


def expanded(workload: Workload, trace: Trace) -> list[list[tuple[str, int]]]:
    """For each program the rows of Q, K, V and O in its expanded trace."""
    found: dict[int, list[tuple[str, int]]] = {}
    for piece in expand(trace):
        name = trace.tensors[int(piece["tensor"])].name
        rows = found.setdefault(int(piece["program"]), [])
        if name in "QKVO":
            row = 2 * (8 if name in "QK" else 4)
            assert piece["bytes"] % row == 0
            rows += [(name, int(piece["address"]) + i * row) for i in range(int(piece["bytes"]) // row)]
    return [found[program] for program in sorted(found)]


def check(workload: Workload, heads: int) -> Trace:
    trace = attention(workload, BUDGET)
    rows_of_programs = workload.shape.batch * workload.shape.q_heads // heads
    block_q, rows = workload.tiling.block_q, heads * workload.shape.q_len
    blocks = math.ceil(rows / block_q) if isinstance(block_q, int) else 1
    splits = len(next(trace.chunks()).programs) // blocks if workload.phase == "decode" else 1
    got, want = expanded(workload, trace), list(definition(workload, trace, heads, splits))
    assert len(got) == len(want) + (rows_of_programs if splits > 1 else 0)
    for mine, theirs in zip(got, want, strict=False):
        assert [r for r in mine if r[0] in "KV"] == [r for r in theirs if r[0] in "KV"]
        assert sorted(r for r in mine if r[0] in "QO") == sorted(r for r in theirs if r[0] in "QO")
    for mine in got[len(want) :]:
        assert {name for name, _ in mine} == {"O"}
    pieces = expand(trace)
    for number, tensor in enumerate(trace.tensors):
        of = pieces[pieces["tensor"] == number]
        sums = [int(of["bytes"][of["op"] == op].astype(np.int64).sum()) for op in (0, 1)]
        assert count_bytes(trace)[tensor.name] == tuple(sums)
        ends = of["address"] + of["bytes"]
        assert of["address"].min() >= tensor.base
        assert ends.max() <= tensor.base + tensor.bytes
    for name in {"indices", "partial"} & {t.name for t in trace.tensors}:
        tensor = next(t for t in trace.tensors if t.name == name)
        of = pieces[pieces["tensor"] == trace.tensors.index(tensor)]
        for op in set(of["op"].tolist()):
            covered = np.zeros(tensor.bytes, int)
            for piece in of[of["op"] == op]:
                covered[int(piece["address"]) - tensor.base :][: int(piece["bytes"])] += 1
            gap = np.flatnonzero(covered == 0)
            assert len(gap) < 512
            assert name == "partial" or not len(gap)
            assert name == "indices" or covered.max() == 1
    for name in "KV":
        touched = {row for rows in want for row in rows if row[0] == name}
        tensor = next(t for t in trace.tensors if t.name == name)
        row = 2 * (8 if name == "K" else 4)
        rounded = workload.phase == "prefill" or workload.tiling.aligned or isinstance(workload.layout, Paged)
        assert tensor.useful_bytes <= len(touched) * row
        assert rounded or tensor.useful_bytes == len(touched) * row
    return trace


@pytest.mark.parametrize("order", ["forward", "reverse"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_expansion_is_the_definition(small: Make, pattern: str, phase: str, layout: str, order: str) -> None:
    workload = small(pattern, layout, phase, tiling={"block_kv": 8, "block_q": 8, "order": order})
    check(workload, 2 if phase == "decode" else 1)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_selected_expansion_is_the_definition(small: Make, pattern: str, phase: str, layout: str, share: str) -> None:
    unit = {} if pattern == "block_sparse" else {"unit": 2}
    selection = {"kind": "random", "ratio": 0.5, "share": share, "seed": 5, **unit}
    workload = small(pattern, layout, phase, selection=selection)
    check(workload, 2 if phase == "decode" and share != "head" else 1)


@pytest.mark.parametrize("unit", [1, 4, 16])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_units_smaller_and_larger_than_tiles_and_pages(small: Make, unit: int, layout: str, order: str) -> None:
    selection = {"kind": "random", "ratio": 0.8, "unit": unit, "order": "random"}
    check(small("dense", layout, selection=selection, tiling={"block_kv": 8, "order": order, "splits": 2}), 2)


def test_a_trace_survives_a_file(small: Make, tmp_path: Path) -> None:
    trace = attention(small("hierarchical", "small_pages_hnd"), BUDGET)
    save_trace(trace, tmp_path / "trace.npz")
    loaded = load_trace(tmp_path / "trace.npz")
    assert (loaded.tensors, loaded.resident, loaded.dtype) == (trace.tensors, trace.resident, trace.dtype)
    for mine, theirs in zip(loaded.chunks(), trace.chunks(), strict=True):
        for name in ("programs", "steps", "runs", "indices"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name))


def test_more_splits_than_tiles_launch_empty_programs(small: Make) -> None:
    workload = small(tiling={"block_kv": 8, "splits": 9})
    trace = check(workload, 2)
    chunk = next(trace.chunks())
    assert len(chunk.programs) == 9
    assert chunk.programs["steps"].tolist() == [3] * 7 + [2] * 2


def test_several_query_tokens_decode_together(small: Make) -> None:
    shape = SHAPE | {"q_len": 3}
    for layout in ("bnsd", "bsnd"):
        check(small("causal", layout, shape=shape, tiling={"block_kv": 8}), 2)
    for block_q in (1, 2, 4, 5):
        check(small("causal", "bsnd", shape=shape, tiling={"block_kv": 8, "block_q": block_q, "splits": 3}), 2)
        check(small("causal", shape=shape, tiling={"block_kv": 8, "block_q": block_q, "splits": 1}), 2)
    check(small("causal", shape=shape, tiling={"block_kv": 8, "block_q": 2, "pack_group": False}), 1)


@pytest.mark.parametrize("share", ["group", "all"])
def test_each_selected_token_is_read_once_per_group(small: Make, share: str) -> None:
    workload = small("hierarchical", selection={"kind": "random", "ratio": 0.5, "share": share})
    trace = attention(workload, BUDGET)
    reads = Counter(row for rows in expanded(workload, trace) for row in rows if row[0] == "K")
    assert set(reads.values()) == {1}
    assert len(reads) == 4 * (2 + 10 + 20)


def test_query_heads_without_packing_read_k_again(small: Make) -> None:
    packed, apart = small(), small(tiling={"block_kv": 8, "pack_group": False})
    assert count_bytes(attention(apart, BUDGET))["K"][0] == 2 * count_bytes(attention(packed, BUDGET))["K"][0]
    check(apart, 1)


def test_counts_follow_the_formula(small: Make) -> None:
    trace = attention(small(tiling={"block_kv": 8, "splits": 1, "pad_head_dim": 16}), BUDGET)
    tiles, rows = math.ceil(53 / 8) * 8, 2 * 4
    assert count_issued_macs(trace) == rows * tiles * (16 + 16)
    assert count_macs(trace) == rows * 53 * (8 + 4)
    assert count_flops(trace) == 2 * count_macs(trace)
    assert count_exps(trace) == rows * 53
    assert count_steps(trace) == 4 * (7 + 2)
    assert trace.written_bytes == 8 * 4 * 2
    assert trace.useful_bytes == 8 * 8 * 2 + 4 * 53 * (8 + 4) * 2
    assert trace.footprint_bytes == sum(t.bytes for t in trace.tensors)


def test_a_causal_prefill_skips_tiles_above_the_diagonal(small: Make) -> None:
    shape = {"batch": 1, "q_heads": 1, "kv_heads": 1, "q_len": 64, "kv_len": 64, "head_dim": 8}
    trace = attention(small("causal", phase="prefill", shape=shape), BUDGET)
    assert count_issued_macs(trace) == sum(8 * 8 * (t + 1) for t in range(8)) * 16
    assert count_macs(trace) == sum(range(1, 65)) * 16


def test_partial_outputs_are_written_and_read_once(small: Make) -> None:
    trace = attention(small(tiling={"block_kv": 8, "splits": 3}), BUDGET)
    moved = 3 * 8 * (4 + 1) * 4
    assert count_bytes(trace)["partial"] == (moved, moved)
    alone = attention(small(tiling={"block_kv": 8, "splits": 3, "combine": False}), BUDGET)
    assert count_bytes(alone)["partial"] == (0, moved)
    assert "O" not in count_bytes(alone)


def test_index_list_and_block_table_bytes(small: Make) -> None:
    half = {"kind": "random", "tokens": 20}
    assert count_bytes(attention(small(selection=half), BUDGET))["indices"] == (2 * 2 * 20 * 4, 0)
    assert attention(small(selection=half | {"share": "all"}), BUDGET).index_bytes == 2 * 20 * 4
    assert count_bytes(attention(small(layout="small_pages_hnd"), BUDGET))["table"] == (2 * 2 * 14 * 4, 0)
    assert count_bytes(attention(small(layout="large_pages_hnd"), BUDGET))["table"] == (2 * 2 * 7 * 4, 0)
    assert "table" not in count_bytes(attention(small(layout="large_pages_hnd", selection=half), BUDGET))


@pytest.mark.parametrize("layout", ["small_pages_hnd", "large_pages_hnd", "large_pages_nhd", "odd_pages"])
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_the_table_entries_read_are_those_of_the_pages_read(small: Make, layout: str, phase: str) -> None:
    workload = small("sliding_window", layout, phase)
    trace, paged = attention(workload, BUDGET), workload.layout
    assert isinstance(paged, Paged)
    bases, pieces = {t.name: t.base for t in trace.tensors}, expand(trace)
    names = [t.name for t in trace.tensors]
    entries = block_table(paged, workload.shape).ravel()
    for program in np.unique(pieces["program"]):
        own = pieces[pieces["program"] == program]
        table, keys = own[own["tensor"] == names.index("table")], own[own["tensor"] == 1]
        read = {
            int(a) // 4 + i
            for a, b in zip(table["address"] - bases["table"], table["bytes"], strict=True)
            for i in range(int(b) // 4)
        }
        page_bytes = paged.page * 2 * 8 * 2
        assert {int(entries[e]) for e in read} == {int(a) // page_bytes for a in keys["address"] - bases["K"]}


def test_whole_ratio_still_gathers(small: Make) -> None:
    workload = small(selection={"kind": "random", "ratio": 1.0})
    trace = attention(workload, BUDGET)
    assert trace.index_bytes == 2 * 2 * 53 * 4
    assert trace.useful_bytes == attention(small(), BUDGET).useful_bytes


def test_pages_are_gathered_whole_and_once(small: Make) -> None:
    workload = small(layout="small_pages_hnd")
    pieces = expand(attention(workload, BUDGET))
    keys = pieces[pieces["tensor"] == 1]
    assert Counter(keys["bytes"].tolist()) == {4 * 16: 2 * 2 * 13, 16: 2 * 2}
    assert len(np.unique(keys["address"])) == len(keys)


def test_a_million_tokens_stay_one_step_a_split(small: Make) -> None:
    shape = {"batch": 1, "q_heads": 64, "kv_heads": 8, "q_len": 1, "kv_len": 1 << 20, "head_dim": 128}
    trace = attention(small(shape=shape, tiling={"combine": False}), Budget(132, 228 << 10, 32))
    chunks = list(trace.chunks())
    assert len(chunks) == 8
    assert all(len(chunk.steps) == 3 * len(chunk.programs) for chunk in chunks)
    assert count_bytes(trace)["K"] == (8 * (1 << 20) * 256, 0)


def test_long_lists_are_dealt_to_several_chunks(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = small("causal", phase="prefill", selection={"kind": "random", "ratio": 0.5})
    whole = expand(attention(workload, BUDGET))
    monkeypatch.setattr(import_module("memgrain.workloads.attention"), "LARGEST_LISTS", 24)
    trace = attention(workload, BUDGET)
    assert len(list(trace.chunks())) > 8
    assert np.array_equal(expand(trace), whole)


def test_same_seed_same_trace(small: Make) -> None:
    def addresses(seed: int) -> list[int]:
        selection = {"kind": "random", "ratio": 0.3, "order": "random", "seed": seed}
        return expand(attention(small(selection=selection), BUDGET))["address"].tolist()  # type: ignore[no-any-return]

    assert addresses(1) == addresses(1)
    assert addresses(1) != addresses(2)


def test_a_trace_can_be_pickled_and_iterated_again(small: Make) -> None:
    trace = attention(small("hierarchical"), BUDGET)
    assert np.array_equal(expand(pickle.loads(pickle.dumps(trace))), expand(trace))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pattern", ["sliding_window", "hierarchical"])
def test_aligned_tiles_begin_at_multiples(small: Make, pattern: str, layout: str) -> None:
    workload = small(pattern, layout, tiling={"block_kv": 8, "block_q": 8, "aligned": True})
    check(workload, 2)
    moved = [count_bytes(attention(asked, BUDGET))["K"][0] for asked in (workload, small(pattern, layout))]
    assert moved[0] > moved[1]
