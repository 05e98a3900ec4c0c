"""Traces of the cache simulator Dinero IV, in its two text forms.

- *extended* (`dineroIV -informat D`): `r 1f40 40` or `w 1f40 40`: kind, byte address, bytes. Other kinds are
  instruction fetches (i), miscellaneous (m, like a read), copybacks (c) and invalidations (v), in capitals or not.

- *traditional* (`-informat d`, of Dinero III): `0 1f40` or `1 1f40`: label (0 read, 1 write, 2 instruction fetch, 3
  miscellaneous, 4 copyback, 5 invalidation) and byte address. An access is one aligned word of 4 bytes.

Numbers are hexadecimal, with or without 0x; the rest of a line is a comment. Source: `tracein_xdin` in xdinfmt.c,
`tracein_din` in dinfmt.c and the access types of d4.h of Dinero IV.

The traditional form cannot express a granule. Memgrain writes the first word of each granule, and the comment of the
first line gives the granule's bytes: `0 1f40 memgrain 64`. A file without that comment is read as Dinero reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from memgrain.workloads.formats.files import Lines, hexadecimal, read_accesses, read_lines, writing
from memgrain.workloads.formats.flat import check_granule
from memgrain.workloads.trace import Records

_KINDS: dict[bytes, bool | None] = {b"r": False, b"i": False, b"m": False, b"w": True, b"c": None, b"v": None}
_LABELS: dict[int, bool | None] = {0: False, 1: True, 2: False, 3: False, 4: None, 5: None}
_WORD = 4
_MARK = b"memgrain"


def write_extended(blocks: Iterable[Records], path: Path) -> None:
    """Write the accesses (FLAT blocks) with their sizes."""
    with writing(path) as stream:
        for block in blocks:
            lines = Lines(len(block)).choose(block["write"], b"w ", b"r ").number(block["address"], 16)
            stream.write(lines.add(b" ").number(block["bytes"].astype("u8"), 16).text())


def write_traditional(blocks: Iterable[Records], path: Path) -> None:
    """Write the accesses (FLAT blocks of one granule); the comment of the first line gives the granule's bytes."""
    blocks = (block for block in blocks if len(block))
    with writing(path) as stream:
        for first in islice(blocks, 1):
            stream.write(_traditional(first[:1])[:-1] + b" %s %d\n" % (_MARK, first["bytes"][0]))
            for block in chain([first[1:]], blocks):
                stream.write(_traditional(block))


def read_extended(path: Path, granule: int) -> Iterator[Records]:
    """The accesses as FLAT blocks, with the sizes of the file; copybacks and invalidations are dropped."""
    return read_accesses(path, _parse_extended, "kind, address and bytes in hexadecimal, such as r 1f40 40")


def read_traditional(path: Path, granule: int) -> Iterator[Records]:
    """The accesses as FLAT blocks, each to an aligned word, or to a granule if the first line gives one; copybacks and
    invalidations are dropped."""
    head = next(islice(read_lines(path), 1), b"").split()
    size = int(head[3]) if len(head) == 4 and head[2] == _MARK and head[3].isdigit() else _WORD
    check_granule(size)

    def parse(fields: list[bytes]) -> tuple[int, int, bool] | None:
        write = _LABELS[hexadecimal(fields[0])]
        return None if write is None else (hexadecimal(fields[1]) // size * size, size, write)

    return read_accesses(path, parse, "label and hexadecimal address, such as 0 1f40")


def _traditional(block: Records) -> bytes:
    text: bytes = Lines(len(block)).choose(block["write"], b"1 ", b"0 ").number(block["address"], 16).text()
    return text


def _parse_extended(fields: list[bytes]) -> tuple[int, int, bool] | None:
    write = _KINDS[fields[0].lower()]
    return None if write is None else (hexadecimal(fields[1]), hexadecimal(fields[2]), write)
