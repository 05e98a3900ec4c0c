"""Traces of the cache simulator Dinero IV, in its two text forms.

- *extended* (`dineroIV -informat D`): `r 1f40 40` or `w 1f40 40`: kind, byte address, bytes. Other kinds are
  instruction fetches (i), miscellaneous (m, like a read), copybacks (c) and invalidations (v).
- *traditional* (`-informat d`, of Dinero III): `0 1f40` or `1 1f40`: label (0 read, 1 write, 2 instruction fetch,
  4 and others: escapes) and byte address. An access is one word of 4 bytes, so a granule stands for its first word.

Numbers are hexadecimal, with or without 0x; the rest of a line is a comment. Format: the comments of `tracein_xdin` in
xdinfmt.c and `tracein_din` in dinfmt.c of Dinero IV, and the labels of its manual page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from workloads.formats.files import Lines, read_accesses, writing
from workloads.trace import Records

_KINDS: dict[bytes, bool | None] = {b"r": False, b"i": False, b"m": False, b"w": True, b"c": None, b"v": None}
_LABELS: dict[int, bool | None] = {0: False, 1: True, 2: False, 3: None, 4: None}


def write_extended(blocks: Iterable[Records], path: Path) -> None:
    """Write the accesses (FLAT blocks) with their sizes."""
    with writing(path) as stream:
        for block in blocks:
            lines = Lines(len(block)).choose(block["write"], b"w ", b"r ").number(block["address"], 16)
            stream.write(lines.add(b" ").number(block["bytes"].astype("u8"), 16).text())


def write_traditional(blocks: Iterable[Records], path: Path) -> None:
    """Write the accesses (FLAT blocks) without their sizes."""
    with writing(path) as stream:
        for block in blocks:
            lines = Lines(len(block)).choose(block["write"], b"1 ", b"0 ")
            stream.write(lines.number(block["address"], 16).text())


def read_extended(path: Path, granule: int) -> Iterator[Records]:
    """The accesses as FLAT blocks, with the sizes of the file; copybacks and invalidations are left out."""
    return read_accesses(path, _parse_extended, "kind, address and bytes in hexadecimal, such as r 1f40 40")


def read_traditional(path: Path, granule: int) -> Iterator[Records]:
    """The accesses as FLAT blocks, each to the aligned `granule` bytes around its address; escapes are left out."""
    return read_accesses(path, partial(_parse_traditional, granule), "label and hexadecimal address, such as 0 1f40")


def _parse_extended(fields: list[bytes]) -> tuple[int, int, bool] | None:
    write = _KINDS[fields[0]]
    return None if write is None else (int(fields[1], 16), int(fields[2], 16), write)


def _parse_traditional(granule: int, fields: list[bytes]) -> tuple[int, int, bool] | None:
    write = _LABELS[int(fields[0], 16)]
    return None if write is None else (int(fields[1], 16) // granule * granule, granule, write)
