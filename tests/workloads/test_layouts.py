"""Do traces read rows where the definitions of the layouts put them? Addresses here are those of numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memgrain.workloads import Budget, Trace, Workload, WorkloadError, attention, count_bytes, expand, parse_workload
from memgrain.workloads.layouts.layout import place
from memgrain.workloads.selection import list_of
from memgrain.workloads.trace import count_commands, run_times

Bytes = NDArray[np.int64]
"""Offsets in a tensor of the bytes of rows, [context, head, token, byte]."""
BUDGET = Budget(cores=3, scratchpad_bytes=1 << 20, max_programs=2)
SHAPE = {"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 1, "kv_len": 53, "head_dim": 64, "head_dim_v": 32}
PARTS = {"k_parts": [{"bytes": 96}, {"bytes": 32, "tensor": "K_rope"}], "v_parts": [{"bytes": 64}, {"bytes": 32}]}
NZ_PAGES = {"kind": "paged", "page": 16, "inner": "nz"}
LAYOUTS: dict[str, dict[str, Any]] = {
    "bnsd": {"kind": "bnsd"},
    "bsnd": {"kind": "bsnd"},
    "nz": {"kind": "nz"},
    "hnd": {"kind": "paged", "page": 16, "inner": "hnd"},
    "nhd": {"kind": "paged", "page": 16, "inner": "nhd"},
    "pages_nz": NZ_PAGES,
    "large_pages_nz": {"kind": "paged", "page": 32, "inner": "nz", "seed": 3},
    "bnsd_parts": {"kind": "bnsd", **PARTS},
    "bsnd_parts": {"kind": "bsnd", **PARTS},
    "nz_parts": {"kind": "nz", **PARTS},
    "hnd_parts": {"kind": "paged", "page": 12, "inner": "hnd", **PARTS},
    "nhd_parts": {"kind": "paged", "page": 16, "inner": "nhd", **PARTS, "page_multiple": 576},
    "pages_nz_parts": {**NZ_PAGES, **PARTS, "page_multiple": 512},
}
SELECTIONS: dict[str, dict[str, Any] | None] = {
    "streamed": None,
    "tokens": {"kind": "random", "ratio": 0.4, "unit": 1, "share": "head", "order": "random"},
    "fours": {"kind": "random", "ratio": 0.4, "unit": 4, "share": "group"},
    "blocks": {"kind": "random", "ratio": 0.7, "unit": 16, "share": "all"},
}


def workload(layout: dict[str, Any], phase: str = "decode", block_kv: int = 16, **changes: Any) -> Workload:
    shape, tiling = SHAPE | {"q_len": 1 if phase == "decode" else 21}, {"block_kv": block_kv, "block_q": 16}
    raw = {"kind": "attention", "name": "small", "phase": phase, "shape": shape, "dtype": "bf16", "layout": layout}
    raw |= {"pattern": {"kind": "causal"}, "tiling": tiling | ({"splits": 1} if phase == "decode" else {})}
    return parse_workload(raw | changes)


def as_rows(kind: str, region: Bytes, sizes: tuple[int, int, int, int]) -> Bytes:
    """The bytes of rows in `region`, [page, byte], of pages that hold (heads, tokens, bytes of a row) in order `kind`,
    as [page, head, token, byte]."""
    pages, heads, tokens, size = sizes
    if kind in ("nhd", "bsnd"):
        return region.reshape(pages, tokens, heads, size).transpose(0, 2, 1, 3)
    if kind == "nz":
        pieces = region.reshape(pages, heads, size // 32, tokens, 32)
        return pieces.transpose(0, 1, 3, 2, 4).reshape(pages, heads, tokens, size)
    return region.reshape(pages, heads, tokens, size)


def defined(asked: Workload, name: str) -> dict[str, Bytes]:
    """The bytes of all rows of K or V in each of its tensors, from the definition of the layout."""
    layout, shape = asked.layout.model_dump(), asked.shape
    kind, paged = layout.get("inner", layout["kind"]), layout["kind"] == "paged"
    dim = shape.head_dim if name == "K" else shape.value_dim
    element = 1 if asked.dtypes.k == "fp8" else 2
    stated = layout["k_parts" if name == "K" else "v_parts"] or [{"bytes": dim * element, "tensor": None}]
    heads, contexts = shape.kv_heads, 1 if layout["shared"] else shape.batch
    tokens = layout["page"] if paged else -(-shape.kv_len // 16) * 16 if kind == "nz" else shape.kv_len
    pages = contexts * (-(-shape.kv_len // tokens) if paged else 1)
    found: dict[str, Bytes] = {}
    for tensor in {part["tensor"] or name for part in stated}:
        own = [part["bytes"] for part in stated if (part["tensor"] or name) == tensor]
        full = tokens * heads * sum(own)
        size = -(-full // layout.get("page_multiple", 1)) * layout.get("page_multiple", 1)
        block = np.arange(pages * size).reshape(pages, size)[:, :full]
        if kind in ("nhd", "bsnd"):  # a region of a page holds all heads
            cuts = np.cumsum([tokens * heads * part for part in own])[:-1]
            regions = np.split(block, cuts, axis=1)
        else:  # each head has its regions
            cuts = np.cumsum([tokens * part for part in own])[:-1]
            regions = np.split(block.reshape(pages, heads, -1), cuts, axis=2)
        parts = [as_rows(kind, part, (pages, heads, tokens, size)) for part, size in zip(regions, own, strict=True)]
        rows = np.concatenate(parts, axis=-1)
        table = place(asked.layout, shape, asked.dtypes).table
        lying = rows[:, None] if table is None else rows[table]
        whole = lying.transpose(0, 2, 1, 3, 4).reshape(contexts, heads, -1, sum(own))
        found[tensor] = whole[:, :, : shape.kv_len]
    return found


def read_tokens(asked: Workload, batch: int, head: int, tile: int) -> list[int]:
    """The tokens that a program reads, in order."""
    shape, size = asked.shape, asked.tiling.block_kv
    assert isinstance(size, int)
    queries = (0, 1) if asked.phase == "decode" else (16 * tile, min(16 * tile + 16, shape.q_len))
    last = shape.kv_len - shape.q_len + queries[1]  # causal: up to the tile's last query
    if asked.selection is None:
        return list(range(last if asked.phase == "decode" else min(-(-last // size) * size, shape.kv_len)))
    visits = asked.visits(*queries)
    number = list_of(asked.selection.share, shape, head)
    first = asked.selection.choose(batch, number, tile, visits.candidates, asked.unit)
    listed = [int(token) + i for token in first for i in range(asked.unit)]
    edges = [(a // size * size, min(-(-b // size) * size, shape.kv_len)) for a, b in visits.ranges]
    if asked.phase == "decode":
        grain = np.gcd(size, asked.layout.page) if asked.layout.kind == "paged" else 1
        edges = [(int(a // grain * grain), b) for a, b in visits.ranges]
    streamed = [range(a, b) for a, b in edges]
    before = [token for run in streamed if run.start < visits.candidates[0] for token in run]
    after = [token for run in streamed if run.start >= visits.candidates[0] for token in run]
    return [*before, *listed, *after]


def offsets(trace: Trace, pieces: NDArray[np.void]) -> Bytes:
    """The bytes of pieces of one tensor, in order."""
    sizes, ends = pieces["bytes"].astype(np.int64), np.cumsum(pieces["bytes"], dtype=np.int64)
    bases = np.array([tensor.base for tensor in trace.tensors])[pieces["tensor"]]
    begins = np.repeat(pieces["address"].astype(np.int64) - bases - ends + sizes, sizes)
    whole: Bytes = begins + np.arange(len(begins))
    return whole


def pieces_of(trace: Trace, name: str, pieces: NDArray[np.void] | None = None) -> NDArray[np.void]:
    """Those of a trace's accesses that touch a tensor."""
    pieces = expand(trace) if pieces is None else pieces
    return pieces[pieces["tensor"] == [tensor.name for tensor in trace.tensors].index(name)]


def same(found: Bytes, wanted: Bytes) -> bool:
    """Whether these are the same bytes, each as often."""
    return len(found) == wanted.size and np.array_equal(np.bincount(found), np.bincount(wanted.ravel()))


def check(asked: Workload) -> Trace:
    """Whether each program reads the bytes of its tokens' rows, each tile's after the one before."""
    trace, shape, size = attention(asked, BUDGET), asked.shape, asked.tiling.block_kv
    assert isinstance(size, int)
    rows = {name: defined(asked, name) for name in shape.kv_tensors}
    names = tuple(tensor for own in rows.values() for tensor in own)
    packed = asked.phase == "decode" and (asked.selection is None or asked.selection.share != "head")
    heads = range(0, shape.q_heads, shape.group if packed else 1)
    tiles = range(1 if asked.phase == "decode" else -(-shape.q_len // 16))
    calls = [(batch, head, tile) for batch in range(shape.batch) for head in heads for tile in tiles]
    seen: dict[str, list[Bytes]] = {name: [] for name in names}
    pieces = expand(trace)
    accesses = {name: pieces_of(trace, name, pieces) for name in names}
    assert {len(np.unique(own["program"])) for own in accesses.values()} == {len(calls)}
    for program, (batch, head, tile) in enumerate(calls):
        context, kv_head = 0 if asked.layout.shared else batch, head // shape.group
        listed = read_tokens(asked, batch, head, tile)
        for tensor in names:
            lying = next(of[tensor] for of in rows.values() if tensor in of)[context, kv_head]
            bytes_ = offsets(trace, accesses[tensor][accesses[tensor]["program"] == program])
            assert same(bytes_, lying[listed])
            if asked.selection is None:
                width = lying.shape[1] * size
                for at in range(0, len(listed), size):
                    mine = bytes_[at // size * width :][:width]
                    assert same(mine, lying[listed[at : at + size]])
            seen[tensor].append(bytes_)
    for number, of in enumerate(trace.tensors):
        own = pieces[pieces["tensor"] == number]
        assert own["address"].min() >= of.base
        assert (own["address"] + own["bytes"]).max() <= of.base + of.bytes
        if of.name in names:
            union = np.count_nonzero(np.bincount(np.concatenate(seen[of.name])))
            assert of.useful_bytes <= union
            assert asked.phase == "prefill" or asked.selection or of.useful_bytes == union
    assert asked.kv_bytes == sum(of.bytes for of in trace.tensors if of.name in names)
    return trace


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_lie_where_the_definition_says(layout: str, phase: str, selection: str) -> None:
    check(workload(LAYOUTS[layout], phase, selection=SELECTIONS[selection]))


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("layout", ["nz", "pages_nz", "nz_parts", "pages_nz_parts", "hnd_parts"])
def test_elements_of_one_byte(layout: str, selection: str) -> None:
    check(
        workload(
            LAYOUTS[layout], dtype={"q": "bf16", "k": "fp8", "v": "fp8", "o": "bf16"}, selection=SELECTIONS[selection]
        )
    )


@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("block_kv", [8, 24, 64])
@pytest.mark.parametrize("layout", ["nz", "pages_nz", "large_pages_nz", "hnd_parts", "nhd_parts", "pages_nz_parts"])
def test_tiles_smaller_and_larger_than_pages(layout: str, block_kv: int, phase: str) -> None:
    check(workload(LAYOUTS[layout], phase, block_kv))


@pytest.mark.parametrize("page", [16, 32, 48, 64, 128, 256, 512, 1024])
@pytest.mark.parametrize("inner", ["hnd", "nhd", "nz"])
def test_pages_of_any_size(inner: str, page: int) -> None:
    shape, layout = SHAPE | {"kv_len": 333, "batch": 1}, {"kind": "paged", "page": page, "inner": inner}
    for selection in ("streamed", "fours"):
        check(workload(layout, block_kv=64, selection=SELECTIONS[selection], shape=shape))


PART_SIZES = st.lists(st.tuples(st.integers(1, 3), st.sampled_from([None, "{}_a", "{}_b"])), min_size=1, max_size=4)


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Any layout: pages that divide nothing, parts in any number of tensors and regions, padding."""
    inner, paged, grain = draw(st.sampled_from(["hnd", "nhd", "nz"])), draw(st.booleans()), draw(st.integers(1, 40))
    layout: dict[str, Any] = {"kind": {"hnd": "bnsd", "nhd": "bsnd", "nz": "nz"}[inner], "shared": draw(st.booleans())}
    if paged:
        page = 16 * (1 + grain % 4) if inner == "nz" else grain
        layout |= {"kind": "paged", "inner": inner, "page": page, "page_multiple": draw(st.integers(1, 700))}
    unit = 32 if inner == "nz" else draw(st.sampled_from([1, 4, 32]))
    for name in "KV":
        sizes = draw(PART_SIZES)
        parts = [
            {"bytes": size * unit, "tensor": tensor.format(name) if tensor and number else None}
            for number, (size, tensor) in enumerate(sizes)
        ]
        layout[f"{name.lower()}_parts"] = parts
    return layout


@settings(max_examples=60, deadline=None)
@given(layouts(), st.sampled_from(["decode", "prefill"]), st.integers(4, 40), st.integers(0, 40), st.integers(22, 70))
def test_any_layout_any_tile_any_unit(
    layout: dict[str, Any], phase: str, block_kv: int, unit: int, kv_len: int
) -> None:
    """A unit of 0 streams the context."""
    selection = {"kind": "random", "ratio": 0.5, "unit": unit, "share": ("head", "group", "all")[unit % 3]}
    shape = SHAPE | {"q_len": 1 if phase == "decode" else 21, "kv_len": kv_len}
    check(workload(layout, phase, block_kv, shape=shape, selection=selection if unit else None))


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("layout", ["bnsd", "bsnd", "nz_parts", "hnd", "nhd_parts", "pages_nz"])
def test_a_shared_context_lies_in_memory_once(layout: str, phase: str, selection: str) -> None:
    """Each of three queries has lists of its own; what any of them reads is useful once."""
    shape = SHAPE | {"q_len": 1 if phase == "decode" else 21, "batch": 3}
    changes: dict[str, Any] = {"selection": SELECTIONS[selection], "shape": shape}
    apart = workload(LAYOUTS[layout], phase, **changes)
    shared = workload(LAYOUTS[layout] | {"shared": True}, phase, **changes)
    trace, other = check(shared), attention(apart, BUDGET)
    assert 3 * shared.kv_bytes == apart.kv_bytes
    assert count_bytes(trace) == count_bytes(other)
    sizes, others = ({tensor.name: tensor.bytes for tensor in found.tensors} for found in (trace, other))
    for name, size in sizes.items():
        assert size * (3 if name[0] in "KV" or name == "table" else 1) == others[name]
    if selection != "streamed" and phase == "decode":
        for tensor in (found for found in trace.tensors if found.name in ("K", "K_rope", "V")):
            read = np.unique(offsets(trace, pieces_of(trace, tensor.name)))
            assert tensor.useful_bytes <= len(read)
            assert tensor.useful_bytes == len(read) or shared.layout.kind == "paged"


def test_members_of_a_cluster_share_out_pieces() -> None:
    tiling, dense = {"block_kv": 16, "block_q": 16}, {"kind": "dense"}
    for layout in ("nz_parts", "bsnd_parts"):
        alone, pair = (
            attention(workload(LAYOUTS[layout], "prefill", pattern=dense, tiling=tiling | {"cluster": size}), BUDGET)
            for size in (1, 2)
        )
        for name in ("K", "K_rope", "V"):
            whole, parts = (np.unique(offsets(found, pieces_of(found, name))) for found in (alone, pair))
            assert np.array_equal(whole, parts)
            assert 2 * count_bytes(pair)[name][0] == count_bytes(alone)[name][0]


LATENT = {"batch": 1, "q_heads": 4, "kv_heads": 1, "q_len": 1, "kv_len": 256, "head_dim": 576, "head_dim_v": 512}
LATENT |= {"v_in_k": True}


def test_nz_takes_a_page_in_one_piece_and_a_token_in_36() -> None:
    layout = {"kind": "paged", "page": 128, "inner": "nz"}
    chosen = {"kind": "random", "tokens": 10, "share": "all"}
    streamed = attention(workload(layout, block_kv=128, shape=LATENT), BUDGET)
    gathered = attention(workload(layout, block_kv=128, shape=LATENT, selection=chosen), BUDGET)
    halves = attention(workload(layout, block_kv=64, shape=LATENT), BUDGET)
    sizes = [pieces_of(trace, "K")["bytes"].tolist() for trace in (streamed, gathered, halves)]
    assert sizes == [2 * [128 * 1152], 10 * 36 * [32], 4 * 36 * [64 * 32]]
    base = next(tensor.base for tensor in gathered.tensors if tensor.name == "K")
    starts = {int(address) - base for address in pieces_of(gathered, "K")["address"]}
    firsts = {start for start in starts if start % (128 * 1152) < 4096}
    assert starts == {first + 128 * 32 * piece for first in firsts for piece in range(36)}


@pytest.mark.parametrize(
    ("layout", "selected", "commands"),
    [
        ({"kind": "paged", "page": 16, "inner": "nhd"}, None, 16),  # a command a page: its rows are at one distance
        ({"kind": "paged", "page": 16, "inner": "hnd"}, None, 16),
        ({"kind": "paged", "page": 64, "inner": "nhd"}, None, 8),  # and a tile of 32 tokens is half a page
        ({"kind": "paged", "page": 16, "inner": "nhd"}, 1, 256),  # single tokens
        ({"kind": "paged", "page": 16, "inner": "nhd"}, 8, 32),  # selected units
        ({"kind": "paged", "page": 16, "inner": "nz"}, 1, 256),  # the pieces of a token in NZ are one command
        ({"kind": "bsnd"}, 8, 32),
        ({"kind": "bsnd"}, None, 8),
    ],
)
def test_dma_commands_move_rows_at_one_distance(layout: dict[str, Any], selected: int | None, commands: int) -> None:
    """Of K, for two heads of a sequence of 128 tokens, all of them selected, in tiles of 32."""
    shape = {**SHAPE, "batch": 1, "q_heads": 2, "kv_len": 128, "head_dim": 128}
    chosen = {"kind": "random", "ratio": 1.0, "unit": selected, "share": "head", "order": "random"}
    asked = workload(layout, block_kv=32, shape=shape, **({"selection": chosen} if selected else {}))
    trace = attention(asked, BUDGET)
    number = [tensor.name for tensor in trace.tensors].index("K")
    found = 0
    for chunk in trace.chunks():
        found += int((count_commands(chunk.runs, 4095) * run_times(chunk))[chunk.runs["tensor"] == number].sum())
    assert found == commands


def test_latent_and_rope_lie_in_tensors_of_their_own() -> None:
    """vllm-ascend: (blocks, 128, 1, 512) and (blocks, 128, 1, 64) of two bytes."""
    parts = [{"bytes": 1024}, {"bytes": 128, "tensor": "K_rope"}]
    layout = {"kind": "paged", "page": 128, "inner": "nhd", "k_parts": parts}
    chosen = {"kind": "random", "tokens": 10, "share": "all"}
    for selection, pieces in ((None, 2), (chosen, 10)):
        asked = workload(layout, block_kv=128, shape=LATENT, selection=selection)
        trace = check(asked)
        sizes = {name: pieces_of(trace, name)["bytes"].tolist() for name in ("K", "K_rope")}
        tokens = 128 if selection is None else 1
        assert sizes == {"K": pieces * [1024 * tokens], "K_rope": pieces * [128 * tokens]}
        numbers = next(trace.chunks()).indices
        assert len(numbers) == (2 if selection is None else 10), "both tensors are numbered alike"


@pytest.mark.parametrize("page", [2, 64])
def test_a_page_of_v4_holds_all_data_before_all_scales(page: int) -> None:
    """FlashMLA's MODEL1: bs x 576 B, then bs x 8 B, padded to a multiple of 576 B."""
    shape = LATENT | {"head_dim": 512, "kv_len": 130}
    layout = {"kind": "paged", "page": page, "inner": "nhd", "page_multiple": 576}
    layout |= {"k_parts": [{"bytes": 576}, {"bytes": 8}]}
    block = -(-page * 584 // 576) * 576
    for selection in (None, {"kind": "random", "tokens": 10, "share": "all"}):
        asked = workload(layout, shape=shape, selection=selection, dtype="fp8")
        trace, tokens = check(asked), read_tokens(asked, 0, 0, 0)
        table = place(asked.layout, asked.shape, asked.dtypes).table
        assert table is not None
        wanted: list[int] = []
        for token in tokens:
            first, at = int(table[0, token // page]) * block, token % page
            wanted += [*range(first + 576 * at, first + 576 * at + 576)]
            wanted += [*range(first + 576 * page + 8 * at, first + 576 * page + 8 * at + 8)]
        assert sorted(offsets(trace, pieces_of(trace, "K")).tolist()) == sorted(wanted)
        assert asked.kv_bytes == -(-130 // page) * block


@pytest.mark.parametrize("inner", ["nhd", "hnd"])
def test_halves_of_a_tensor_of_vllm(inner: str) -> None:
    """vLLM keeps (2, blocks, bs, kv_heads, d) or (2, blocks, kv_heads, bs, d): K is its first half, V its second."""
    asked = workload({"kind": "paged", "page": 16, "inner": inner}, shape=SHAPE | {"head_dim_v": 64})
    placed, blocks = place(asked.layout, asked.shape, asked.dtypes), 8
    axes = (2, blocks, 16, 2, 64) if inner == "nhd" else (2, blocks, 2, 16, 64)
    whole = 2 * np.arange(np.prod(axes)).reshape(axes)
    assert placed.table is not None
    for half, name in enumerate("KV"):
        assert placed.bytes_of(name) == 2 * whole[half].size
        for batch, head, token in np.ndindex(2, 2, 53):
            block, at = placed.table[batch, token // 16], token % 16
            row = whole[half, block, at, head] if inner == "nhd" else whole[half, block, head, at]
            expected = [(name, int(row[0]) - int(whole[half].min()), 128)]
            assert list(placed.stored(name, batch, head, token)) == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_row_to_be_written_lies_where_it_is_read(layout: str) -> None:
    asked = workload(LAYOUTS[layout])
    placed = place(asked.layout, asked.shape, asked.dtypes)
    for name in "KV":
        rows = defined(asked, name)
        for batch, head, token in ((0, 0, 0), (1, 1, 52), (1, 0, 17)):
            found: dict[str, list[int]] = {tensor: [] for tensor in rows}
            for tensor, offset, size in placed.stored(name, batch, head, token):
                found[tensor] += range(offset, offset + size)
            assert found == {tensor: own[batch, head, token].tolist() for tensor, own in rows.items()}


def test_a_million_tokens_in_nz_stay_few_runs() -> None:
    shape = {"batch": 1, "q_heads": 64, "kv_heads": 8, "q_len": 1, "kv_len": 1 << 20, "head_dim": 128}
    for layout, runs in (({"kind": "nz"}, 1), ({"kind": "paged", "page": 128, "inner": "nz"}, 1), (NZ_PAGES, 1)):
        asked = workload(layout, block_kv=128, shape=shape)
        chunk = next(attention(asked, Budget(24, 1 << 20, 1)).chunks())
        tile = chunk.steps[chunk.steps["repeats"] > 1][0]
        assert tile["repeats"] == (1 << 20) // 128
        assert tile["load_runs"] == 2 * runs


@pytest.mark.parametrize(
    ("layout", "changes", "message"),
    [
        (NZ_PAGES | {"page": 24}, {}, "pages of 24 tokens in NZ, .*; set layout.page to 32"),
        (NZ_PAGES, {"shape": SHAPE | {"head_dim": 72}}, "144 B of a row of K in NZ, .*; set shape.head_dim to 80"),
        ({"kind": "nz"}, {"shape": SHAPE | {"head_dim_v": 40}}, "80 B of a row of V .*; set shape.head_dim_v to 48"),
        (NZ_PAGES, {"dtype": "fp8", "shape": SHAPE | {"head_dim": 80}}, "80 B .*; set shape.head_dim to 96"),
        (NZ_PAGES | {"k_row_bytes": 584}, {}, "584 B .*; set layout.k_row_bytes to 608"),
        (NZ_PAGES | {"v_parts": [{"bytes": 64}, {"bytes": 8}]}, {}, "8 B .*; set bytes in layout.v_parts to 32"),
        ({"kind": "bnsd", "k_parts": []}, {}, "layout.k_parts is empty; name a part"),
        ({"kind": "bnsd", "k_row_bytes": 64, "k_parts": [{"bytes": 64}]}, {}, "k_row_bytes 64 beside k_parts"),
        ({"kind": "bnsd", "k_parts": [{"bytes": 64, "tensor": "K_a"}]}, {}, "lies in K_a, must lie in K"),
        ({"kind": "bnsd", "k_parts": [{"bytes": 64}, {"bytes": 8, "tensor": "V_a"}]}, {}, "must be named K_"),
        ({"kind": "bnsd", "v_parts": PARTS["v_parts"]}, {"shape": LATENT}, "there is no V; leave v_parts out"),
        (
            {"kind": "paged", "page": 16, "inner": "nz"},
            {"shape": SHAPE | {"batch": 512, "kv_len": 1 << 20}},
            "exceed 2..31 - 1 .*; lower shape.batch or shape.kv_len",
        ),
    ],
)
def test_what_cannot_lie_so_is_refused_in_one_line(
    layout: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(WorkloadError, match=message) as caught:
        attention(workload(layout, **changes), BUDGET)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)
