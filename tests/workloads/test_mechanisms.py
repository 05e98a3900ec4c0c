"""Mechanisms at a tiny size, against lists of accesses written from their definitions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgrain.cli import call
from memgrain.workloads import Budget, SparseAttentionStep, Trace, count_bytes, parse_any
from memgrain.workloads.layouts.layout import place
from memgrain.workloads.patterns import HeavyHitters, Streaming, VerticalSlash
from memgrain.workloads.selection import ColumnSelection
from memgrain.workloads.steps.indexer import IndexRows, Tree
from memgrain.workloads.trace import READ, WRITE
from tests.workloads.touched import touched

BUDGET = Budget(cores=3, scratchpad_bytes=65536, max_programs=2)
DIM, ROW = 8, 16
INDEXER = {"tokens": 1, "row_bytes": 12, "heads": 3, "dim": 8, "dtype": "fp8", "block": 4, "passes": 2, "selectors": 3}
CHOICE = {"kind": "random", "tokens": 12, "share": "all", "seed": 1}


def step(shape: dict[str, Any], attention: dict[str, Any], **sections: Any) -> SparseAttentionStep:
    whole = {"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 1, "head_dim": DIM} | shape
    inner = {"kind": "attention", "name": "attend", "phase": "decode", "shape": whole, "dtype": "bf16"}
    inner |= {"pattern": {"kind": "dense"}, "layout": {"kind": "bnsd"}} | attention
    asked = parse_any({"kind": "indexed", "name": "step", "attention": inner, **sections})
    assert isinstance(asked, SparseAttentionStep)
    return asked


def kernels(asked: SparseAttentionStep) -> dict[str, Trace]:
    return {trace.name: trace for trace in asked.kernels(BUDGET)}


def rows(*numbers: int, size: int = ROW, times: int = 1) -> Counter[int]:
    """The bytes of rows `numbers` of `size` bytes."""
    return Counter({number * size + i: times for number in numbers for i in range(size)})


def test_a_ring_holds_the_sinks_and_the_newest_tokens() -> None:
    for sinks, window in ((0, 1), (4, 3), (2, 5)):
        ring: dict[int, int] = {}
        for token in range(40):
            cache = Streaming(kind="streaming", context=token + 1, sinks=sinks, window=window)
            ring[cache.slot(0, 0)] = token
            wanted = {t for t in range(token + 1) if t < sinks or t > token - window}
            assert set(ring.values()) == wanted
            assert sorted(ring) == list(range(cache.kept))


@pytest.mark.parametrize("context", [3, 7, 8, 1000])
def test_streaming_reads_what_it_keeps_and_overwrites_the_oldest(context: int) -> None:
    asked = step({}, {"pattern": {"kind": "streaming", "context": context, "sinks": 2, "window": 5}})
    traces, kept = kernels(asked), min(context, 7)
    assert list(traces) == ["write", "attend"]
    assert touched(traces["attend"], "K", READ) == rows(*range(4 * kept))
    slot = context - 1 if context <= 7 else 2 + (context - 3) % 5
    assert touched(traces["write"], "V", WRITE) == rows(*(head * kept + slot for head in range(4)))
    assert asked.attention.kv_bytes == 2 * 4 * kept * ROW
    assert {t.name: t.bytes for t in traces["attend"].tensors}["K"] == 4 * kept * ROW


def test_heavy_hitters_keep_a_share_and_the_account_of_it() -> None:
    asked = step({}, {"pattern": {"kind": "heavy_hitters", "context": 200, "heavy": 0.1, "recent": 0.05}})
    traces, kept = kernels(asked), 30
    assert list(traces) == ["write", "attend", "account"]
    assert touched(traces["attend"], "K", READ) == rows(*range(4 * kept))
    for op in (READ, WRITE):
        assert touched(traces["account"], "attended", op) == rows(*range(4 * kept), size=4)
    pattern = asked.attention.pattern
    assert isinstance(pattern, HeavyHitters)
    evicted = [pattern.slot(batch, head) for batch in range(2) for head in range(2)]
    assert len(set(evicted)) > 1
    assert touched(traces["write"], "K", WRITE) == rows(*(head * kept + slot for head, slot in enumerate(evicted)))
    assert asked.attention.kv_bytes == 2 * 4 * kept * ROW


@given(st.integers(1, 9), st.integers(0, 200), st.integers(0, 50), st.integers(0, 3))
def test_columns_are_one_in_each_stretch_and_the_same_for_every_tile(
    every: int, stop: int, less: int, head: int
) -> None:
    columns = ColumnSelection(kind="columns", every=every, seed=1)
    found = columns.choose(0, head, 0, (0, stop), 1)
    assert (found // every).tolist() == list(range(stop // every))
    assert len(found) == columns.count(stop, 1)
    shorter = columns.choose(0, head, 7, (0, max(0, stop - less)), 1)
    assert np.array_equal(found[: len(shorter)], shorter)


def test_vertical_slash_reads_blocks_on_diagonals_and_columns_before_them() -> None:
    tokens, block, queries = 48, 4, 8
    pattern = {"kind": "vertical_slash", "slashes": 3, "reach": 16, "block": block, "seed": 3}
    choice = {"kind": "columns", "every": 5, "share": "head", "seed": 2}
    shape = {"batch": 1, "q_len": tokens, "kv_len": tokens}
    prompt = {"phase": "prefill", "pattern": pattern, "selection": choice, "tiling": {"block_q": 4, "block_kv": 4}}
    estimate = {"queries": queries, "block": 7, "passes": 3, "selectors": 2}
    asked = step(shape, prompt, estimate=estimate)
    traces = kernels(asked)
    assert list(traces) == ["estimate", "select", "attend"]
    slash, columns = asked.attention.pattern, asked.attention.selection
    assert isinstance(slash, VerticalSlash)
    assert isinstance(columns, ColumnSelection)
    assert len(set(slash.distances)) == 3
    assert all(0 <= distance < 16 and distance % block == 0 for distance in (*slash.distances, 0))
    wanted: Counter[int] = Counter()
    for head in range(4):
        chosen = columns.choose(0, head, 0, (0, tokens), 1).tolist()
        for begin in range(0, tokens, block):
            far = max(0, begin + block - 16)
            read = {t for d in slash.distances for t in range(begin - d, begin - d + block) if t >= 0}
            read |= {t for t in chosen if t // 5 < far // 5}
            wanted.update(head // 2 * tokens + t for t in read)
    assert touched(traces["attend"], "K", READ) == Counter(
        {t * ROW + i: times for t, times in wanted.items() for i in range(ROW)}
    )
    last = [head * tokens + t for head in range(4) for t in range(tokens - queries, tokens)]
    assert set(touched(traces["estimate"], "Q", READ)) == set(rows(*last))
    assert touched(traces["estimate"], "K", READ) == rows(*range(2 * tokens), times=2)
    scores = 4 * queries * tokens
    assert touched(traces["estimate"], "scores", WRITE) == rows(*range(scores), size=4)
    assert touched(traces["select"], "scores", READ) == rows(*range(scores), size=4, times=3)
    entries = set(touched(traces["select"], "indices", WRITE))
    assert entries == set(touched(traces["attend"], "indices", READ)) == set(range(len(entries)))


@pytest.mark.parametrize(("layout", "kv_len"), [({"kind": "bsnd"}, 61), ({"kind": "bnsd"}, 300)])
def test_a_tree_is_searched_family_by_family(layout: dict[str, Any], kv_len: int) -> None:
    fanout, beam = 3, 4
    indexer = INDEXER | {"tree": {"fanout": fanout, "beam": beam, "seed": 5}}
    asked = step({"kv_len": kv_len, "kv_heads": 1}, {"layout": layout, "selection": CHOICE}, indexer=indexer)
    traces = kernels(asked)
    assert list(traces) == ["write", "search", "select", "attend"]
    sizes = [kv_len]  # of the levels, leaves last
    while sizes[0] > fanout * beam:
        sizes.insert(0, -(-sizes[0] // fanout))
    stored = [sizes[0], *(size * fanout for size in sizes[:-1])]
    tree = Tree(fanout=fanout, beam=beam, seed=5)
    wanted: Counter[int] = Counter()
    for number in range(2):
        first = number * sum(stored)
        wanted += rows(*range(first, first + sizes[0]), size=12)
        reached = set(range(sizes[0]))
        for level, best in enumerate(tree.walk(kv_len, number)):
            assert len(set(best.tolist())) == beam
            assert set(best.tolist()) <= reached
            assert max(best) < sizes[level]
            reached = {int(node) * fanout + child for node in best for child in range(fanout)}
            begin = first + sum(stored[: level + 1])
            wanted += rows(*(begin + node for node in reached), size=12)
    assert touched(traces["search"], "index", READ) == wanted
    assert touched(traces["search"], "scores", WRITE) == rows(*range(2 * fanout * beam), size=4)
    leaves = [number * sum(stored) + sum(stored[:-1]) + kv_len - 1 for number in range(2)]
    assert touched(traces["write"], "index", WRITE) == rows(*leaves, size=12)


def test_a_search_reads_as_many_rows_more_as_levels_are_added() -> None:
    def read(kv_len: int) -> int:
        indexer = INDEXER | {"tree": {"fanout": 2, "beam": 8}}
        asked = step({"kv_len": kv_len, "batch": 1, "kv_heads": 1}, {"selection": CHOICE}, indexer=indexer)
        return count_bytes(kernels(asked)["search"])["index"][0] // 12

    assert [read(1 << power) - read(1 << power - 1) for power in (8, 12, 16)] == [16, 16, 16]


@pytest.mark.parametrize("token", [1, 3, 4])
@pytest.mark.parametrize("indexed", [True, False])
def test_compressors_change_their_state_and_complete_rows(token: int, indexed: bool) -> None:
    """DeepSeek V4: the window's row is written for every token, a compressed row and its index row every so many."""
    kv_len, window = 37, 5
    compressor = {"tokens": 4, "token": token, "window": window, "state_row_bytes": 40, "state_rows": 8}
    pattern = {"kind": "hierarchical", "window": window} if indexed else {"kind": "dense"}
    inner = {"pattern": pattern, "layout": {"kind": "bsnd"}} | ({"selection": CHOICE} if indexed else {})
    own = {"indexer": INDEXER | {"newest": window}} if indexed else {}
    shape = {"kv_len": kv_len, "kv_heads": 1, "v_in_k": True}
    traces = kernels(step(shape, inner, compressor=compressor, **own))
    middle = ["scan", "select"] if indexed else []
    assert list(traces) == ["write", "compress", *middle, "attend"]
    assert touched(traces["compress"], "state", WRITE) == rows(token - 1, 8 + token - 1, size=40)
    assert touched(traces["compress"], "state", READ) == rows(*(range(16) if token == 4 else ()), size=40)
    assert touched(traces["write"], "K", WRITE) == rows(kv_len - 1, 2 * kv_len - 1)
    complete = (kv_len - window - 1, 2 * kv_len - window - 1) if token == 4 else ()
    assert touched(traces["compress"], "K", WRITE) == rows(*complete)
    if indexed:
        newest = (kv_len - window - 1, 2 * (kv_len - window) - 1) if token == 4 else ()
        assert touched(traces["compress"], "index", WRITE) == rows(*newest, size=12)
        assert not touched(traces["write"], "index", WRITE)


@pytest.mark.parametrize(
    ("update", "kv_len", "read", "written"),
    [("write", 37, 0, 2), ("modify", 37, 2, 2), ("complete", 37, 0, 0), ("complete", 36, 0, 2)],
)
def test_a_token_changes_the_index_row_it_belongs_to(update: str, kv_len: int, read: int, written: int) -> None:
    """Quest's least and largest keys are read and written; NSA's compressed rows wait for their tokens."""
    indexer = INDEXER | {"tokens": 4, "update": update}
    shape, choice = {"kv_len": kv_len, "kv_heads": 1}, CHOICE | {"unit": 4}
    trace = kernels(step(shape, {"selection": choice, "layout": {"kind": "bsnd"}}, indexer=indexer))["write"]
    index_rows = -(-kv_len // 4)
    newest = rows(index_rows - 1, 2 * index_rows - 1, size=12)
    assert touched(trace, "index", READ) == (newest if read else Counter())
    assert touched(trace, "index", WRITE) == (newest if written else Counter())


@pytest.mark.parametrize(("kv_heads", "share", "tokens"), [(1, "all", 1), (2, "group", 2), (2, "head", 4)])
def test_index_rows_in_pages_are_found_through_the_table(kv_heads: int, share: str, tokens: int) -> None:
    kv_len, page = 37, 4
    layout = {"kind": "paged", "page": page, "inner": "nhd", "placement": "shuffled", "seed": 2}
    choice = CHOICE | {"share": share, "unit": 4}
    indexer = INDEXER | {"tokens": tokens, "paged": True, "block": 8}
    asked = step({"kv_len": kv_len, "kv_heads": kv_heads}, {"layout": layout, "selection": choice}, indexer=indexer)
    traces, inner = kernels(asked), asked.attention
    table = place(inner.layout, inner.shape, inner.dtypes).table
    assert table is not None
    own, per_page, again = kv_heads if share != "all" else 1, page // tokens, 2 if share == "head" else 1

    def at(batch: int, head: int, row: int) -> int:
        return (int(table[batch, row // per_page]) * own + head) * per_page + row % per_page

    every = [(batch, head, row) for batch in range(2) for head in range(own) for row in range(-(-kv_len // tokens))]
    assert touched(traces["scan"], "index", READ) == rows(*(at(*which) for which in every), size=12, times=again)
    assert touched(traces["scan"], "table", READ) == rows(*range(table.size), size=4, times=own * again)
    newest = {(batch, head): row for batch, head, row in every}
    written = rows(*(at(*which, row) for which, row in newest.items()), size=12)
    assert touched(traces["write"], "index", WRITE) == written


@pytest.mark.parametrize("queries", [1, 2, 5])
def test_a_chunk_of_a_prompt_scores_one_set_of_index_rows(queries: int) -> None:
    kv_len, chunk = 37, 5
    indexer = INDEXER | ({"queries": queries} if queries > 1 else {})
    layout = {"kind": "bsnd", "shared": True}
    shape = {"batch": chunk, "kv_heads": 1, "kv_len": kv_len}
    asked = step(shape, {"layout": layout, "selection": CHOICE}, indexer=indexer)
    traces = kernels(asked)
    passes = -(-chunk // queries)
    assert touched(traces["scan"], "index", READ) == rows(*range(kv_len), size=12, times=passes)
    assert touched(traces["scan"], "scores", WRITE) == rows(*range(chunk * kv_len), size=4)
    assert set(touched(traces["scan"], "index_q", READ)) == set(range(chunk * 3 * 8))
    assert touched(traces["select"], "scores", READ) == rows(*range(chunk * kv_len), size=4, times=2)
    newest = range(kv_len - chunk, kv_len)
    assert touched(traces["write"], "K", WRITE) == rows(*newest)
    assert touched(traces["write"], "index", WRITE) == rows(*newest, size=12)
    assert touched(traces["attend"], "K", READ).total() == chunk * 12 * ROW
    assert asked.indexer is not None
    assert IndexRows(asked.attention, asked.indexer).sets == 1
    assert asked.attention.kv_bytes == 2 * kv_len * ROW


@pytest.mark.parametrize(
    ("workload", "setting", "message"),
    [
        ("decode_topk", "selection={kind: recorded, path: LONG}", "outside the candidates 0..131071"),
        ("decode_quest", "indexer.tokens=5", "must be whole index rows"),
        ("decode_dsa", "indexer.block=96", "do not come out in pages of 64 tokens"),
        ("decode_article_scan", "attention.shape.kv_len=1000", "leaves none to index"),
        ("decode_hca", "attention.shape.kv_len=128", "leaves none that are compressed"),
        ("decode_csa", "compressor.window=64", "is not indexer.newest 128"),
        ("decode_nsa", "attention.pattern.window=65536", "leaves none to choose"),
        ("decode_streaming", "attention.shape.kv_len=131072", "contradicts pattern.context 131072"),
        ("decode_streaming", "attention.phase=prefill", "is a cache in decode"),
        ("decode_h2o", "attention.layout.shared=true", "keeps other tokens in each sequence"),
        ("decode_h2o", "attention.pattern.heavy=0.95", "more than the whole context"),
        ("prefill_vertical_slash", "attention.tiling.block_q=128", "lie in two blocks of 64"),
        ("prefill_vertical_slash", "attention.pattern.slashes=200", "exceeds the 128 blocks"),
    ],
)
def test_what_cannot_be_is_refused_by_the_command_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], workload: str, setting: str, message: str
) -> None:
    long = tmp_path / "long.npy"
    np.save(long, np.arange(131073, dtype=np.int32))
    assert call(["run", "h100_sxm", workload, "--set", setting.replace("LONG", str(long))]) == 2
    said = capfd.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_mask_of_the_wrong_shape_is_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mask = tmp_path / "mask.npy"
    np.save(mask, np.ones((2, 3, 4, 5, 6), bool))
    assert call(["trace", "import", str(mask), "-o", str(tmp_path / "lists.npz")]) == 2
    said = capfd.readouterr().err
    assert "shape (2, 3, 4, 5, 6)" in said
    assert said.count("\n") == 1
