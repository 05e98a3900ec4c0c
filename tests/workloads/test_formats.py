"""Do files of traces hold what the formats say, and come back as they went? References here expand by brute force."""

from __future__ import annotations

import gzip
import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain.workloads import (
    PROGRAM,
    RUN,
    STEP,
    Budget,
    Chunk,
    RecordedSelection,
    Tensor,
    Trace,
    WorkloadError,
    attention,
    expand,
    gather,
    load_workload,
    pointer_chase,
    stream,
)
from memgrain.workloads.formats import FLAT_FORMATS, detect, export, load
from memgrain.workloads.formats import files as files_module
from memgrain.workloads.formats import flat as flat_module
from memgrain.workloads.formats import reuse as reuse_module
from memgrain.workloads.formats.flat import FLAT, accesses
from memgrain.workloads.formats.rebuild import distinct_bytes, merge, rebuild
from memgrain.workloads.formats.selections import read_selections, save_selections

EXAMPLES = Path(__file__).parents[2] / "workloads" / "examples"
Access = tuple[int, int, bool]


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Small traces of one to three chunks, with gathers, repeats, writes and rows that cross granules."""
    chunks = []
    for _ in range(draw(st.integers(1, 3))):
        indices = np.array(draw(st.lists(st.integers(0, 40), min_size=24, max_size=24)), np.int32)
        steps, runs = [], []
        for _ in range(draw(st.integers(1, 3))):
            first, repeats = len(runs), draw(st.integers(0, 3))
            loads, stores = draw(st.integers(0, 2)), draw(st.integers(0, 2))
            for number in range(loads + stores):
                op = 1 if number >= loads else draw(st.sampled_from([0, 2]))
                count, size = draw(st.integers(0, 5)), draw(st.integers(0, 300))
                stride = draw(st.integers(-200, 400))
                if draw(st.booleans()):
                    runs.append(
                        (0, abs(stride), count, size, draw(st.integers(0, 8)), 5, op, 0, draw(st.integers(0, 4)))
                    )
                else:
                    runs.append((5000, stride, count, size, -1, draw(st.integers(-500, 500)), op, 1, 1))
            steps.append((first, 0, loads, stores, repeats, 0, 0, 0, 0, 0, 0, 0))
        programs = [(at, 1, 0, 0) for at in range(len(steps))] + [(0, len(steps), 0, 0)]
        chunks.append(Chunk(np.array(programs, PROGRAM), np.array(steps, STEP), np.array(runs, RUN), indices))
    tensors = (Tensor("A", 0, 1 << 15, 0), Tensor("B", 1 << 15, 1 << 15, 0))
    return Trace("drawn", tensors, "fp32", 0, 1, None, 0, 0, 0, lambda: iter(chunks))


granular = st.lists(
    st.tuples(st.one_of(st.integers(0, 12), st.integers(0, 2**50)), st.booleans(), st.integers(1, 4)), min_size=1
)
"""Stretches of granules: first one, whether they are written, how many."""


def records_of(stretches: list[tuple[int, bool, int]], granule: int = 64) -> np.ndarray[Any, Any]:
    """These as FLAT records."""
    found = [((first + i) * granule, granule, write, 0) for first, write, count in stretches for i in range(count)]
    return np.array(found, FLAT)


def pairs(trace: Trace, granule: int) -> list[tuple[int, bool]]:
    """The accesses of a trace as (address, write)."""
    return [pair for block in accesses(trace, granule) for pair in block[["address", "write"]].tolist()]


@given(trace=traces(), granule=st.sampled_from([1, 32, 128]), block=st.sampled_from([3, 7, 1 << 18]))
@settings(deadline=None)
def test_an_access_for_each_granule_that_a_piece_touches(trace: Trace, granule: int, block: int) -> None:
    expected = []
    for piece in expand(trace):
        low, size = int(piece["address"]), int(piece["bytes"])
        touched = sorted({byte // granule for byte in range(low, low + size)})
        expected += [(line * granule, granule, bool(piece["op"] == 1), int(piece["tensor"])) for line in touched]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat_module, "BLOCK", block)
        found = [access for part in accesses(trace, granule) for access in part.tolist()]
    assert found == expected


LINES: dict[str, Callable[[int, Access], str]] = {
    "ramulator2": lambda _, a: f"{'ST' if a[2] else 'LD'} {a[0]:#x}\n",
    "dramsim3": lambda i, a: f"{a[0]:#x} {'WRITE' if a[2] else 'READ'} {i}\n",
    "dinero": lambda _, a: f"{'w' if a[2] else 'r'} {a[0]:x} {a[1]:x}\n",
    "din": lambda i, a: f"{int(a[2])} {a[0]:x}{'' if i else f' memgrain {a[1]}'}\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of drawn accesses are written over and over."""
    return tmp_path_factory.mktemp("formats")


@pytest.mark.parametrize("name", LINES)
@given(stretches=granular, block=st.sampled_from([2, 5, 1 << 18]), ending=st.sampled_from(["", ".gz", ".zst"]))
@settings(deadline=None, max_examples=40)
def test_text_is_what_the_format_says_and_comes_back(
    name: str, folder: Path, stretches: list[tuple[int, bool, int]], block: int, ending: str
) -> None:
    records, path = records_of(stretches), folder / f"t{FLAT_FORMATS[name].suffix}{ending}"
    with pytest.MonkeyPatch.context() as patch:
        for module in (flat_module, files_module):
            patch.setattr(module, "BLOCK", block)
        patch.setattr(files_module, "CHUNK", 7)
        export([rebuild("drawn", [records])], path, name, 64)
        trace = load(path)
    if ending == ".gz":
        text = "".join(LINES[name](i, (a, b, w)) for i, (a, b, w, _) in enumerate(records.tolist()))
        assert gzip.decompress(path.read_bytes()).decode() == text
        assert re.match(FLAT_FORMATS[name].line, text.splitlines()[0])
    assert pairs(trace, 64) == records[["address", "write"]].tolist()


@given(stretches=granular, block=st.sampled_from([2, 5, 1 << 18]), ending=st.sampled_from(["", ".zst"]))
@settings(deadline=None, max_examples=60)
def test_oracle_general_knows_what_is_next(
    folder: Path, stretches: list[tuple[int, bool, int]], block: int, ending: str
) -> None:
    records, path = records_of(stretches), folder / f"t.oracleGeneral{ending}"
    addresses = records["address"].tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat_module, "BLOCK", block)
        patch.setattr(files_module, "CHUNK", 31)
        export([rebuild("drawn", [records])], path, "oracle_general", 64)
        trace = load(path)
    if not ending:
        later = [[*addresses[i + 1 :], a].index(a) for i, a in enumerate(addresses)]
        ends = len(addresses)
        expected = [
            (0x474D454D + i, a, 64, -1 if i + 1 + d == ends else i + 2 + d)
            for i, (a, d) in enumerate(zip(addresses, later, strict=True))
        ]
        assert list(struct.iter_unpack("<IQIq", path.read_bytes())) == expected
        assert path.read_bytes().startswith(b"MEMG")
    assert pairs(trace, 64) == [(address, False) for address in addresses]


@given(
    blocks=st.lists(
        st.lists(st.tuples(st.integers(0, 60), st.sampled_from([4, 8]), st.booleans()), max_size=12), min_size=1
    )
)
@settings(deadline=None)
def test_merged_runs_are_the_same_accesses(blocks: list[list[Access]]) -> None:
    records = [np.array([(a, b, w, 0) for a, b, w in block], FLAT) for block in blocks]
    every = np.concatenate(records)
    if not len(every):
        with pytest.raises(WorkloadError, match="no access"):
            rebuild("nothing", records)
        return
    trace = rebuild("drawn", records)
    pieces = expand(trace)
    assert pieces["address"].tolist() == every["address"].tolist()
    assert pieces["bytes"].tolist() == every["bytes"].tolist()
    assert (pieces["op"] == 1).tolist() == every["write"].tolist()
    for write, size in ((False, trace.useful_bytes), (True, trace.written_bytes)):
        touched = {byte for a, b, w, _ in every.tolist() if w == write for byte in range(a, a + b)}
        assert size == len(touched)


def test_equal_strides_are_one_run_even_over_blocks() -> None:
    records = records_of([(7 * i, False, 1) for i in range(100)] + [(i, True, 1) for i in (5, 9, 2)])
    (chunk,) = rebuild("strided", [records[:40], records[40:]]).chunks()
    assert chunk.runs["count"].tolist() == [100, 1, 1, 1]
    assert chunk.runs["stride"][0] == 7 * 64
    assert chunk.steps[["load_runs", "store_runs"]].tolist() == [(1, 3)]
    many = merge(records_of([(i * i, False, 1) for i in range(70000)]))
    assert distinct_bytes(many) == 70000 * 64
    (chunk,) = rebuild("squares", [records_of([(i * i, False, 1) for i in range(70000)])]).chunks()
    assert chunk.steps["load_runs"].tolist() == [2**16 - 1, len(chunk.runs) - 2**16 + 1]


def shipped(name: str) -> Trace:
    """A shipped workload, short, on a chip of four cores."""
    return attention(load_workload(EXAMPLES / f"{name}.yaml", {"shape.kv_len": 4096}), Budget(4, 1 << 18, 2))


@pytest.mark.parametrize("form", ["parquet", "npz"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: shipped("decode_topk"),
        lambda: shipped("decode_paged"),
        lambda: gather(100, 64, 64, 0, 300, "random", 8, 3),
        lambda: pointer_chase(9, 64, 640, 0),
        lambda: stream(640, 64, 3, repeat_passes=2),
    ],
)
def test_our_own_forms_are_exact(make: Callable[[], Trace], form: str, tmp_path: Path) -> None:
    trace, path = make(), tmp_path / f"trace.{form}"
    export([trace], path, form)
    loaded = load(path)
    for name in trace.__dataclass_fields__:
        if name != "make_chunks":
            assert getattr(loaded, name) == getattr(trace, name)
    for _ in range(2):
        for mine, theirs in zip(loaded.chunks(), trace.chunks(), strict=True):
            assert (mine.barrier, mine.once_cycles) == (theirs.barrier, theirs.once_cycles)
            for name in ("programs", "steps", "runs", "indices"):
                assert getattr(mine, name).dtype == getattr(theirs, name).dtype
                assert np.array_equal(getattr(mine, name), getattr(theirs, name))


@given(
    lines=st.lists(st.integers(0, 40), max_size=300),
    cut=st.integers(1, 50),
    page=st.sampled_from([1, 16]),
)
@settings(deadline=None, max_examples=60)
def test_stack_distances_are_those_of_an_lru_stack(lines: list[int], cut: int, page: int) -> None:
    stack: OrderedDict[int, None] = OrderedDict()
    expected: dict[int, int] = {}
    for line in lines:
        if line in stack:
            bucket = list(reversed(stack)).index(line).bit_length()
            expected[bucket] = expected.get(bucket, 0) + 1
        stack[line] = None
        stack.move_to_end(line)
    records = records_of([(line, False, 1) for line in lines])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reuse_module, "WORDS", 1)
        patch.setattr("memgrain.workloads.formats.lines.PAGE", page)
        found = reuse_module.measure([records[at : at + cut] for at in range(0, len(lines), cut)], 64, 1)
    assert {bucket: n for bucket, n in enumerate(found.distances) if n} == expected
    assert (found.distinct, found.reads) == (len(stack), len(lines))


@given(
    mask=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 12), st.integers(0, 99)),
    three=st.booleans(),
    packed=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_a_mask_becomes_what_a_recorded_selection_reads(
    mask: tuple[int, int, int, int], three: bool, packed: bool, folder: Path
) -> None:
    lists, queries, context, seed = mask
    lists = lists if three else 1
    rng = np.random.default_rng(seed)
    keep = rng.integers(1, context + 1)
    array = rng.permuted(np.broadcast_to(np.arange(context) < keep, (lists, queries, context)), axis=2)
    source, out = folder / ("mask.npz" if packed else "mask.npy"), folder / "recorded.npz"
    stored = array if three else array[0]
    if packed:
        np.savez(source, mask=stored)
    else:
        np.save(source, stored)
    query = int(rng.integers(-queries, queries))
    save_selections(read_selections(source, context), query, out)
    selection = RecordedSelection(kind="recorded", path=str(out))
    for number in range(lists):
        chosen = selection.choose(0, number, 0, (0, context), 1)
        assert chosen.tolist() == [token for token in range(context) if array[number, query, token]]
    again = read_selections(source, None)
    save_selections(again, None, out)
    assert np.array_equal(read_selections(out, context), again)


def uneven() -> np.ndarray[Any, Any]:
    """A mask in which queries read 1, 2 and 3 tokens."""
    return np.tri(3, dtype=bool)


@pytest.mark.parametrize(
    ("array", "kv_len", "message"),
    [
        (np.zeros((2, 3, 4, 5), bool), None, "of shape"),
        (np.zeros(4, bool), None, "of shape"),
        (np.zeros((2, 3)), None, "float64"),
        (np.zeros((0, 3), bool), None, "of shape"),
        (uneven(), None, "equally many"),
        (np.zeros((2, 3), bool), None, "at least one"),
        (np.eye(3, dtype=bool), 4, "cut the mask"),
        (np.array([[0, 7]]), 7, "token 7 is outside the context 0..6"),
        (np.array([[-1, 6]]), 7, "token -1 is outside"),
        (np.array([[2, 5, 2]]), 7, "token 2 occurs twice"),
    ],
)
def test_a_bad_selection_says_why(
    array: np.ndarray[Any, Any], kv_len: int | None, message: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(WorkloadError, match=re.escape(message)) as caught:
        read_selections(tmp_path / "bad.npy", kv_len)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*FLAT_FORMATS])
@given(stretches=granular, granule=st.sampled_from([1, 4, 32, 64, 128, 1024]))
@settings(deadline=None, max_examples=20)
def test_what_goes_out_comes_in_whatever_the_granule(
    name: str, folder: Path, stretches: list[tuple[int, bool, int]], granule: int
) -> None:
    records, path = records_of(stretches, granule), folder / f"g{FLAT_FORMATS[name].suffix}"
    export([rebuild("drawn", [records])], path, name, granule)
    silent = FLAT_FORMATS[name].suffix in (".ramulator2", ".dramsim3")
    pieces = expand(load(path, granule=granule if silent else 64))
    reads = name == "oracle_general"
    assert [(a, b, op == 1) for a, b, op in pieces[["address", "bytes", "op"]].tolist()] == [
        (a, b, w and not reads) for a, b, w, _ in records.tolist()
    ]


@pytest.mark.parametrize("name", ["a.oracleGeneral.zst", "a.din.zst", "a.xdin.gz", "a.parquet", "a.npz"])
def test_a_file_cut_short_is_refused_wherever_it_is_cut(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    form = detect(path)
    export([gather(100, 64, 64, 0, 3000, "random", 8, 3)], path, form, 64)
    whole = path.read_bytes()
    for size in {1, len(whole) // 3, len(whole) // 2, len(whole) - 9, len(whole) - 1}:
        path.write_bytes(whole[:size])
        with pytest.raises(WorkloadError, match=r"cannot be read|not a saved trace|ends within") as caught:
            expand(load(path))
        assert "\n" not in str(caught.value)


def test_a_table_of_other_columns_is_no_trace(tmp_path: Path) -> None:
    pq.write_table(pa.table({"address": [1, 2], "size": [64, 64]}), tmp_path / "a.parquet")
    with pytest.raises(WorkloadError, match="a table of 'address', 'size'"):
        load(tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", addresses=np.arange(3))
    with pytest.raises(WorkloadError, match="not a saved trace"):
        load(tmp_path / "a.npz")
