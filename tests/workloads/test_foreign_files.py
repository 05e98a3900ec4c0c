"""Files of other programs are read by their own meaning, or refused in one line that says what to do."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain.workloads import (
    WorkloadError,
    expand,
)
from memgrain.workloads.formats import FLAT_FORMATS, FORMATS, detect, load
from memgrain.workloads.formats import files as files_module
from memgrain.workloads.formats.oracle_general import START


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of drawn accesses are written over and over."""
    return tmp_path_factory.mktemp("formats")


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
        ("a.txt", b"what is this\n", "name the format"),
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
