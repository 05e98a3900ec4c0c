"""Traces of libCacheSim in its format oracleGeneral: a binary record for each access, with the number of the next one.

Source: libCacheSim/traceReader/customizedReader/oracle/oracleGeneralBin.h of github.com/1a1a11a/libCacheSim. Records
have 24 bytes without padding, little-endian: u32 time, u64 object id, u32 object size, i64 next access. The last is the
number of the next access to the same object, counted from 1, or -1 (comment of `convert_to_oracleGeneral` in
libCacheSim/bin/traceUtils/traceConv.cpp; 2**63 - 1 is read like -1). libCacheSim also reads files that end in .zst.

The format has no addresses: an id is a name, often a hash. In a file that Memgrain wrote, each record is an access to a
granule and the id is the granule's address; its times count from START, so that the file begins with the letters MEMG.
In any other file an id names an object, and `memgrain.workloads.formats.objects` lays the objects out. The format does
not distinguish reads from writes: all records are read back as reads.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.formats.files import cause, compression, read_bytes, writing
from memgrain.workloads.formats.flat import FLAT, LIMIT
from memgrain.workloads.formats.lines import LineTable
from memgrain.workloads.formats.objects import place
from memgrain.workloads.trace import Records

RECORD = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
START = int.from_bytes(b"MEMG", "little")
"""Time of the first record of a file that Memgrain wrote; each later record is one later."""
NEVER = -1
UNKNOWN = -2
"""libCacheSim's `next_access_vtime` of a request whose next access is unknown."""
LAST = 2**63 - 1
"""libCacheSim reads it like NEVER."""
RECORDS = 1 << 48
"""Bound on the number of accesses: a larger next access counts as none."""


def write(blocks: Iterable[Records], path: Path) -> None:
    """Write the accesses (FLAT blocks of one granule).

    The next access of a record is filled in, in the file, when that access comes. Memory therefore holds one number for
    each granule. A compressed file is made from an uncompressed one in the same folder.
    """
    if compression(path) is None:
        _write_plain(blocks, path)
        return
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            plain = Path(folder) / "plain"
            _write_plain(blocks, plain)
            with plain.open("rb") as source, writing(path) as stream:
                shutil.copyfileobj(source, stream)
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be written ({cause(error)}); choose another place") from None


def read(path: Path, granule: int) -> Iterator[Records]:
    """The accesses as FLAT blocks, all of them reads, with the sizes of the file. Accesses of no bytes are dropped, as
    libCacheSim drops them.

    In a file that Memgrain wrote, ids are addresses. In any other file they name objects, which are laid out apart,
    each at a multiple of `granule` bytes. Times and next accesses are dropped. Raises WorkloadError.
    """
    head = next(_records(path), None)
    if head is None:
        return
    if head["time"][0] == START:
        yield from _addresses(path)
        return
    objects = place(((records["id"], records["size"]) for records in _used(path)), granule)
    for records in _used(path):
        yield _block(objects.addresses(records["id"]), records["size"])


def _records(path: Path) -> Iterator[Records]:
    """The records of the file, in blocks; WorkloadError if the content is not oracleGeneral."""
    rest, first = b"", 0
    for data in read_bytes(path):
        rest += data
        whole = len(rest) // RECORD.itemsize * RECORD.itemsize
        records, rest = np.frombuffer(rest[:whole], RECORD), rest[whole:]
        after = records["next"]
        odd = np.flatnonzero((after < UNKNOWN) | ((after >= RECORDS) & (after != LAST)))
        if len(odd):
            raise WorkloadError(
                f"{path.name}: record {first + odd[0] + 1} has next access {after[odd[0]]}, expected the number of an "
                "access or -1: this is no oracleGeneral; check its name and format"
            )
        first += len(records)
        if len(records):
            yield records
    if rest:
        raise WorkloadError(f"{path.name}: ends within a record of {RECORD.itemsize} bytes; write it anew")


def _used(path: Path) -> Iterator[Records]:
    return (records[records["size"] > 0] for records in _records(path))


def _addresses(path: Path) -> Iterator[Records]:
    """The accesses of a file that Memgrain wrote."""
    first = 0
    for records in _records(path):
        size = max(1, int(records["size"][0]))
        expected = np.arange(START + first, START + first + len(records))
        fine = (records["time"] == expected) & (records["size"] == size)
        fine &= (records["id"] % size == 0) & (records["id"] < LIMIT)
        if not fine.all():
            raise WorkloadError(
                f"{path.name}: begins as Memgrain writes it, but record {first + int(np.argmin(fine)) + 1} does not go "
                "on so; export it anew"
            )
        yield _block(records["id"], records["size"])
        first += len(records)


def _block(addresses: NDArray[np.uint64], sizes: NDArray[np.uint32]) -> Records:
    block = np.zeros(len(addresses), FLAT)
    block["address"], block["bytes"] = addresses, sizes
    return block


def _write_plain(blocks: Iterable[Records], path: Path) -> None:
    table, first = LineTable(), 0
    with writing(path):
        pass
    with path.open("r+b") as file:
        for block in blocks:
            if START + first + len(block) > 1 << 32:
                raise WorkloadError(f"more than {2**32 - START} accesses do not fit oracleGeneral; raise the granule")
            records = np.zeros(len(block), RECORD)
            records["time"], records["next"] = np.arange(START + first, START + first + len(block)), NEVER
            records["id"], records["size"] = block["address"], block["bytes"]
            positions = table.positions(block["address"].astype(np.int64) // max(1, int(block["bytes"][0])))
            earlier, later = _link(positions, table.pool, first)
            inside = earlier >= first
            records["next"][earlier[inside] - first] = later[inside] + 1
            file.seek(0, 2)
            file.write(records.tobytes())
            file.flush()
            if not inside.all():
                written = np.memmap(file, RECORD, "r+")
                written["next"][earlier[~inside]] = later[~inside] + 1
                del written
            first += len(block)


def _link(
    positions: NDArray[np.int64], pool: NDArray[np.int64], first: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the accesses that have a later one to the same granule, and the numbers of those; `pool` keeps the
    latest access of each granule."""
    order = np.argsort(positions, kind="stable")
    sorted_positions, numbers = positions[order], first + order
    head = np.append(True, sorted_positions[1:] != sorted_positions[:-1])
    before = np.append(-1, numbers[:-1])
    before[head] = pool[sorted_positions[head]]
    pool[sorted_positions[np.append(head[1:], True)]] = numbers[np.append(head[1:], True)]
    again = before >= 0
    return before[again], numbers[again]
