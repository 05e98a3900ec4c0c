"""Trace files, plain or compressed. The end of the name decides: .gz (gzip), .zst (Zstandard) or neither."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.formats.flat import BLOCK, FLAT, LIMIT
from memgrain.workloads.trace import Records

COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
CHUNK = 1 << 22
"""Bytes read at a time."""
_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
"""First bytes of compressed files."""
_LINE = 1 << 20
"""Most bytes of a line."""
_HEXADECIMAL = re.compile(rb"(0[xX])?[0-9a-fA-F]+")
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def compression(path: Path) -> str | None:
    """The compression of a file, by its name."""
    return COMPRESSED.get(path.suffix.lower())


def plain_name(path: Path) -> str:
    """The file's name in small letters, without the ending of its compression."""
    name = path.name.lower()
    return name[: -len(path.suffix)] if compression(path) else name


@contextmanager
def writing(path: Path) -> Iterator[Any]:
    """An open binary stream to a new file; WorkloadError if it cannot be written."""
    try:
        with pa.output_stream(str(path), compression=compression(path)) as stream:
            yield stream
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be written ({cause(error)}); choose another place") from None


def read_bytes(path: Path) -> Iterator[bytes]:
    """The content in blocks of up to CHUNK bytes; WorkloadError if it cannot be read."""
    try:
        with pa.input_stream(str(path), compression=compression(path)) as stream:
            while data := stream.read(CHUNK):
                yield data
    except (OSError, pa.ArrowException) as error:
        raise WorkloadError(f"{path}: cannot be read ({cause(error)}); check the path and its ending") from None


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a text file, without line ends; WorkloadError if its name hides a compression, or if it is not
    text."""
    tail = b""
    for data in read_bytes(path):
        for magic, ending in _MAGIC.items():
            if not tail and data.startswith(magic):
                raise WorkloadError(f"{path.name}: is compressed, but not named so; end its name in {ending}")
        *lines, tail = (tail + data).split(b"\n")
        yield from lines
        if len(tail) > _LINE:
            raise WorkloadError(f"{path.name}: has a line of over {_LINE} bytes, is no text; check its name and format")
    if tail:
        yield tail


def hexadecimal(field: bytes) -> int:
    """The value of hexadecimal digits, with or without 0x; ValueError for anything else."""
    if not _HEXADECIMAL.fullmatch(field):
        raise ValueError
    return int(field, 16)


def decimal(field: bytes) -> int:
    """The value of decimal digits; ValueError for anything else."""
    if not field.isdigit():
        raise ValueError
    return int(field)


def read_accesses(path: Path, parse: Any, expected: str) -> Iterator[Records]:
    """Accesses of a text file in FLAT blocks. `parse` turns the fields of a line into (address, bytes, write), or None
    to drop it.

    Empty lines are dropped. Raises WorkloadError with the number of the first line that does not match `expected`.
    """
    found: list[tuple[int, int, bool]] = []
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            access = parse(fields)
            if access is None:
                continue
            if not 0 < access[1] < 1 << 32:
                raise ValueError
        except (ValueError, IndexError, KeyError):
            shown = line[:40].decode(errors="replace").strip()
            raise WorkloadError(f"{path.name}: line {number} is {shown!r}, expected {expected}; mend it") from None
        if access[0] >= LIMIT:
            raise WorkloadError(
                f"{path.name}: line {number} has address {access[0]:#x}, must be below 2**62; subtract what all share"
            )
        found.append(access)
        if len(found) == BLOCK:
            yield _block(found)
            found = []
    if found:
        yield _block(found)


def _block(found: list[tuple[int, int, bool]]) -> Records:
    block = np.zeros(len(found), FLAT)
    block["address"], block["bytes"], block["write"] = zip(*found, strict=True)
    return block


class Lines:
    """Formats lines of text for many records at once: fields are added from left to right, `text` joins them."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.columns: list[NDArray[np.uint8]] = []
        self.kept: list[NDArray[np.bool_]] = []

    def add(self, text: bytes) -> Lines:
        """Add a text that is the same in every line."""
        return self._append(np.broadcast_to(np.frombuffer(text, np.uint8), (self.records, len(text))))

    def choose(self, which: NDArray[np.bool_], yes: bytes, no: bytes) -> Lines:
        """Add one of two texts, of equal or different length."""
        width = max(len(yes), len(no))
        both = [np.frombuffer(text.ljust(width, b"\0"), np.uint8) for text in (no, yes)]
        columns = np.stack(both)[which.astype(np.intp)]
        return self._append(columns, columns != 0)

    def number(self, values: NDArray[np.uint64], base: int) -> Lines:
        """Add a number in base 10 or 16, without leading zeros."""
        largest, width = int(values.max()) if len(values) else 0, 1
        while largest >= base**width:
            width += 1
        powers = np.array([base**place for place in range(width - 1, -1, -1)], np.uint64)
        digits = values[:, None] // powers
        kept = digits > 0
        kept[:, -1] = True
        return self._append(HEX[(digits % np.uint64(base)).astype(np.intp)], kept)

    def text(self) -> bytes:
        """All lines, with their ends."""
        self.add(b"\n")
        return np.concatenate(self.columns, axis=1)[np.concatenate(self.kept, axis=1)].tobytes()

    def _append(self, columns: NDArray[np.uint8], kept: NDArray[np.bool_] | None = None) -> Lines:
        self.columns.append(columns)
        self.kept.append(np.ones(columns.shape, bool) if kept is None else kept)
        return self


def cause(error: Exception) -> str:
    """The reason why a file cannot be read or written, in one line."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else " ".join(str(error).split()).rstrip(".")
