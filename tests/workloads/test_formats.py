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
from memgrain.workloads.formats import FLAT_FORMATS, FORMATS, detect, export, load
from memgrain.workloads.formats import files as files_module
from memgrain.workloads.formats import flat as flat_module
from memgrain.workloads.formats import reuse as reuse_module
from memgrain.workloads.formats.flat import FLAT, accesses
from memgrain.workloads.formats.oracle_general import START
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
                    runs.append((0, abs(stride), count, size, draw(st.integers(0, 8)), 5, op, 0))
                else:
                    runs.append((5000, stride, count, size, -1, draw(st.integers(-500, 500)), op, 1))
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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.ramulator2", b"LD 0x40\nMV 0x40\n", "line 2 is 'MV 0x40'"),
        ("a.ramulator2", b"LD -64\n", "line 1"),
        ("a.dramsim3", b"0x40 READ\n", "line 1"),
        ("a.dramsim3", b"0x40 MOVE 1\n", "line 1"),
        ("a.xdin", b"r 40 0\n", "line 1"),
        ("a.din", b"9 40\n", "line 1"),
        ("a.din", b"\n\n", "no access"),
        ("a.oracleGeneral", b"12345", "ends within a record"),
        ("a.oracleGeneral", b"", "no access"),
        ("a.oracleGeneral", struct.pack("<IQIq", 0, 7, 0, -1), "no access"),
        ("a.oracleGeneral", b"request 7 of object 1234\n" * 24, "record 1 has next access"),
        ("a.oracleGeneral", struct.pack("<IQIq", 0, 7, 64, -3), "record 1 has next access -3"),
        ("a.oracleGeneral", struct.pack("<IQIqIQIq", START, 64, 64, -1, 9, 0, 64, -1), "record 2 does not go on so"),
        ("a.oracleGeneral", struct.pack("<IQIq", START, 1 << 63, 64, -1), "record 1 does not go on so"),
        ("a.oracleGeneral.zst", b"no frame", "cannot be read"),
        ("a.din.gz", b"0 40\n", "cannot be read"),
        ("a.din", gzip.compress(b"0 40\n", mtime=0), "end its name in .gz"),
        ("a.din", b"0 40 memgrain 48\n", "power of two"),
        ("a.din", b"0 4_0\n", "line 1 is '0 4_0'"),
        ("a.xdin", b"r +40 4\n", "line 1"),
        ("a.xdin", b"r 4000000000000000 4\n", "has address 0x4000000000000000, must be below 2**62"),
        ("a.ramulator2", b"LD 4611686018427387904\n", "must be below 2**62"),
        ("a.ramulator2", b"0,0,1,5\n", "line 1"),
        ("a.dramsim3", b"0x40 READ -1\n", "line 1"),
        ("a.din", b"\x1b[2J\r\n", r"line 1 is '\x1b[2J'"),
        ("a.din", b"0" * (5 << 20), "is no text"),
        ("a.parquet", b"", "not a saved trace"),
        ("a.parquet", b"PAR1", "not a saved trace"),
        ("a.npz", b"", "not a saved trace"),
        ("a.npz", b"PK", "not a saved trace"),
        ("w1.lcs", b"\xf0\xde\xbc\x9a", "libCacheSim's lcs is not read here; make an oracleGeneral"),
        ("w1.lcs.zst", b"", "libCacheSim's lcs is not read here"),
        ("w1.vscsi", b"", "a vSCSI trace is not read here"),
        ("cluster1.twrNS.bin", b"", "is not read here"),
        ("a.csv", b"1,2,3\n", "a table is not read here"),
        ("a.txt", b"1,2,3\n4,5,6\n", "a table with commas is not read here"),
        ("a.txt", b"17\n18\n", "a list of object ids (libCacheSim's txt) is not read here"),
        ("a.txt", b"7 20734016\n0 99 100\n", "Ramulator's SimpleO3 core (instructions, load, store) is not read here"),
        ("a.txt", b"R 0,0,1,5\n", "ReadWriteTrace (DRAM coordinates) is not read here"),
        ("a.txt", b"0x1f40 R\n", "the first Ramulator (address R) is not read here"),
        ("a.txt", b"0 40\n1 80\n", "may be din or a trace of Ramulator's SimpleO3"),
        ("a.txt", b"what is this\n", "give --format"),
    ],
)
def test_a_bad_file_says_why(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WorkloadError, match=re.escape(message)) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_text_is_known_by_its_first_line(tmp_path: Path) -> None:
    for name, line in {
        "ramulator2": "LD 0x40",
        "dramsim3": "0x40 WRITE 3",
        "dinero": "w 40 8 store",
        "din": "1 40 some comment",
    }.items():
        (tmp_path / "trace.txt").write_text(line + "\n")
        assert detect(tmp_path / "trace.txt") == name
    assert {"parquet", "npz", *FLAT_FORMATS} == set(FORMATS)


REFERENCES: dict[str, tuple[bytes, list[tuple[int, int, bool]]]] = {
    "a.ramulator2": (b"LD 0x12345\nST 4096\nLD 0X80\n", [(0x12340, 64, False), (4096, 64, True), (128, 64, False)]),
    "a.dramsim3": (
        b"0x1f47 READ 0\n1f80 write 7\n0x0 P_MEM_WR 9\n40 P_FETCH 9\n80 BOFF 12\n",
        [(0x1F40, 64, False), (0x1F80, 64, True), (0, 64, True), (64, 64, False), (128, 64, True)],
    ),
    "a.xdin": (
        b"r 1f40 8\nW 0x1f47 3 a store\ni 40 4\nm 50 1\nc 60 0\nv 60 0\n",
        [(0x1F40, 8, False), (0x1F47, 3, True), (64, 4, False), (80, 1, False)],
    ),
    "a.din": (
        b"2 408ed4\n0 10019d97 a byte\n1 0x40\n3 80\n4 0\n0x5 0\n",
        [(0x408ED4, 4, False), (0x10019D94, 4, False), (64, 4, True), (128, 4, False)],
    ),
}
"""Files as the other tool reads them (see the modules' sources), and the accesses that it makes of them."""


@pytest.mark.parametrize("name", REFERENCES)
def test_files_of_other_programs_mean_what_they_mean_there(name: str, tmp_path: Path) -> None:
    content, expected = REFERENCES[name]
    for ending, packed in {"": content, ".gz": gzip.compress(content), ".zst": zstd(content)}.items():
        (tmp_path / f"{name}{ending}").write_bytes(packed)
        pieces = expand(load(tmp_path / f"{name}{ending}"))
        assert [(a, b, op == 1) for a, b, op in pieces[["address", "bytes", "op"]].tolist()] == expected


def zstd(content: bytes) -> bytes:
    """One Zstandard frame."""
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


requests = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 7, 2**63, 2**64 - 1]), st.sampled_from([0, 1, 63, 64, 65, 4096, 2**32 - 1])),
    min_size=1,
    max_size=30,
)
"""Accesses to objects by id and bytes; the size of an object may change."""


@given(requests=requests, granule=st.sampled_from([1, 64, 128]), start=st.sampled_from([0, 1_700_000_000, START + 1]))
@settings(deadline=None)
def test_objects_of_a_foreign_trace_lie_apart(
    folder: Path, requests: list[tuple[int, int]], granule: int, start: int
) -> None:
    path = folder / "w1.oracleGeneral.bin"
    path.write_bytes(b"".join(struct.pack("<IQIq", start + i, *each, -1) for i, each in enumerate(requests)))
    used = [each for each in requests if each[1]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_module, "CHUNK", 31)
        patch.setattr("memgrain.workloads.formats.objects._WAITING", 3)
        if not used:
            with pytest.raises(WorkloadError, match="no access"):
                load(path, granule=granule)
            return
        pieces = expand(load(path, granule=granule))
    assert pieces["bytes"].tolist() == [size for _, size in used]
    bases = dict(zip((name for name, _ in used), pieces["address"].tolist(), strict=False))
    assert pieces["address"].tolist() == [bases[name] for name, _ in used]
    slots = {name: max(-(-size // granule) * granule for each, size in used if each == name) for name in bases}
    assert list(bases.values()) == [sum(list(slots.values())[:i]) for i in range(len(slots))]


@pytest.mark.parametrize(
    "name",
    [
        "a.oracleGeneral",
        "w1.oracleGeneral.bin",
        "w1.oracleGeneral.zst",
        "c52.oracleGeneral.sample10.zst",
        "a.OracleGeneralBin",
    ],
)
def test_two_objects_with_near_ids_take_the_bytes_of_two(name: str, tmp_path: Path) -> None:
    content = struct.pack("<IQIqIQIq", 5, 1, 65536, -1, 6, 2, 65536, 2**63 - 1)
    (tmp_path / name).write_bytes(zstd(content) if name.endswith(".zst") else content)
    assert load(tmp_path / name).useful_bytes == 131072


def test_names_of_our_own_files_go_before_those_of_others(tmp_path: Path) -> None:
    assert detect(tmp_path / "w1.oracleGeneral.parquet") == "parquet"
    assert detect(tmp_path / "w1.oracleGeneral.xdin") == "dinero"


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
