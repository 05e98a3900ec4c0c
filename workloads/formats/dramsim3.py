"""Traces of DRAMSim3: a line `0x1f40 READ 12` for each request: byte address, kind, first cycle at which it may be
sent.

Source: `operator>>(istream&, Transaction&)` in src/common.cc of github.com/umd-memsys/DRAMsim3, used by `TraceBasedCPU`
in src/cpu.cc. A line has a hexadecimal address, an operation and a decimal cycle. WRITE, write, P_MEM_WR and BOFF are
writes; DRAMSim3 takes all other words as reads, Memgrain refuses them. DRAMSim3 considers a request only after it
accepted the one before. A request has no size: it is one burst. Memgrain's traces have no time, so the written cycle is
the number of the access: the memory receives at most one a cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from memgrain.workloads.formats.files import Lines, decimal, hexadecimal, read_accesses, writing
from memgrain.workloads.trace import Records

_KINDS = {b"READ": False, b"read": False, b"P_MEM_RD": False, b"P_FETCH": False}
_KINDS |= {b"WRITE": True, b"write": True, b"P_MEM_WR": True, b"BOFF": True}


def write(blocks: Iterable[Records], path: Path) -> None:
    """Write the accesses (FLAT blocks)."""
    first = 0
    with writing(path) as stream:
        for block in blocks:
            lines = Lines(len(block)).add(b"0x").number(block["address"], 16)
            lines.choose(block["write"], b" WRITE ", b" READ ")
            stream.write(lines.number(np.arange(first, first + len(block), dtype=np.uint64), 10).text())
            first += len(block)


def read(path: Path, granule: int) -> Iterator[Records]:
    """The accesses as FLAT blocks, each to the aligned `granule` bytes around its address; cycles are dropped."""
    return read_accesses(path, partial(_parse, granule), "address, READ or WRITE and cycle, such as 0x1f40 READ 12")


def _parse(granule: int, fields: list[bytes]) -> tuple[int, int, bool]:
    address, kind, cycle = fields
    decimal(cycle)
    return hexadecimal(address) // granule * granule, granule, _KINDS[kind]
