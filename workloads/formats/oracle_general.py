"""Traces of libCacheSim in its format oracleGeneral: a binary record for each access, with when the next one is.

Format: libCacheSim/traceReader/customizedReader/oracle/oracleGeneralBin.h of github.com/1a1a11a/libCacheSim: records of
24 bytes without padding, little-endian: u32 time, u64 object id, u32 object size, i64 next access, which is the number
of the next access to the same object, the first of the trace being number 1, or -1 (comment of
`convert_to_oracleGeneral` in libCacheSim/bin/traceUtils/traceConv.cpp). libCacheSim reads files that end in .zst too.

The id is the address of the granule, the time the number of the access, from 0. Reads and writes are not told apart:
read back, all are reads.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.formats.files import cause, compression, read_bytes, writing
from workloads.formats.flat import FLAT
from workloads.formats.lines import LineTable
from workloads.trace import Records

RECORD = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
NEVER = -1


def write(blocks: Iterable[Records], path: Path) -> None:
    """Write the accesses (FLAT blocks of one granule).

    What is next of an access is filled in when that one comes, in the file, so that no more than a number for each
    granule is held in memory; a compressed file is made from one that is not, in the same folder.
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
    """The accesses as FLAT blocks, all of them reads, with the sizes of the file; accesses of no bytes are left out."""
    rest = b""
    for data in read_bytes(path):
        rest += data
        whole = len(rest) // RECORD.itemsize * RECORD.itemsize
        records, rest = np.frombuffer(rest[:whole], RECORD), rest[whole:]
        records = records[records["size"] > 0]
        if len(records) and int(records["id"].max()) >= 1 << 62:
            raise WorkloadError(f"{path.name}: object id {records['id'].max()}, must be an address below 2**62; map it")
        block = np.zeros(len(records), FLAT)
        block["address"], block["bytes"] = records["id"], records["size"]
        yield block
    if rest:
        raise WorkloadError(f"{path.name}: ends within a record of {RECORD.itemsize} bytes; write it anew")


def _write_plain(blocks: Iterable[Records], path: Path) -> None:
    table, first = LineTable(), 0
    with writing(path):
        pass
    with path.open("r+b") as file:
        for block in blocks:
            if first + len(block) > 1 << 32:
                raise WorkloadError("more than 2**32 accesses do not fit into oracleGeneral's time; raise the granule")
            records = np.zeros(len(block), RECORD)
            records["time"], records["next"] = np.arange(first, first + len(block)), NEVER
            records["id"], records["size"] = block["address"], block["bytes"]
            places = table.places(block["address"].astype(np.int64) // max(1, int(block["bytes"][0])))
            earlier, later = _link(places, table.pool, first)
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
    places: NDArray[np.int64], pool: NDArray[np.int64], first: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of accesses with a later one to the same granule, and of that one; `pool` keeps the latest of each."""
    order = np.argsort(places, kind="stable")
    sorted_places, numbers = places[order], first + order
    head = np.append(True, sorted_places[1:] != sorted_places[:-1])
    before = np.append(-1, numbers[:-1])
    before[head] = pool[sorted_places[head]]
    pool[sorted_places[np.append(head[1:], True)]] = numbers[np.append(head[1:], True)]
    again = before >= 0
    return before[again], numbers[again]
