"""Load/store traces of Ramulator 2: a line `LD 0x1f40` or `ST 0x1f40` for each request.

Source: `LoadStoreTrace::init_trace` in src/frontend/impl/memory_trace/loadstore_trace.cpp of
github.com/CMU-SAFARI/ramulator2. A line has two fields with a space between: LD or ST, and a byte address below 2**63,
hexadecimal after 0x, otherwise decimal. A request has no size: it is one burst of the DRAM, so export with the burst's
bytes as the granule. In `tick` of that file, commit 2b9b3ae sends a store as a read and a load as a write; commit
58f2819 does not. Check your copy. Traces of SimpleO3 and ReadWriteTrace have other forms and are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from memgrain.workloads.formats.files import Lines, decimal, hexadecimal, read_accesses, writing
from memgrain.workloads.trace import Records

_WRITES = {b"LD": False, b"ST": True}


def write(blocks: Iterable[Records], path: Path) -> None:
    """Write the accesses (FLAT blocks)."""
    with writing(path) as stream:
        for block in blocks:
            lines = Lines(len(block)).choose(block["write"], b"ST 0x", b"LD 0x")
            stream.write(lines.number(block["address"], 16).text())


def read(path: Path, granule: int) -> Iterator[Records]:
    """The accesses as FLAT blocks, each to the aligned `granule` bytes around its address."""
    return read_accesses(path, partial(_parse, granule), "LD or ST and an address, such as LD 0x1f40")


def _parse(granule: int, fields: list[bytes]) -> tuple[int, int, bool]:
    kind, address = fields
    number = hexadecimal(address) if address[:2] in (b"0x", b"0X") else decimal(address)
    return number // granule * granule, granule, _WRITES[kind]
