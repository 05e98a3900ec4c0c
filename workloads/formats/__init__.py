"""Trace files: Memgrain's own forms, and flat formats of other simulators; one file a format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.formats import dinero, dramsim3, oracle_general, ramulator
from memgrain.workloads.formats.files import cause, compression, plain_name, read_bytes
from memgrain.workloads.formats.flat import GRANULE, accesses, blocks_of, check_granule
from memgrain.workloads.formats.foreign import ORACLE_GENERAL, all_match, check_name, lines_of
from memgrain.workloads.formats.parquet import load_parquet, save_parquet
from memgrain.workloads.formats.rebuild import rebuild
from memgrain.workloads.trace import Records, Trace
from memgrain.workloads.trace_file import load_trace, save_trace


@dataclass(frozen=True)
class FlatFormat:
    """A flat format: a file of accesses to granules, for another simulator."""

    title: str
    """The program that reads it, and the form of a record."""
    suffix: str
    """Endings of such files' names, in small letters."""
    line: str
    """Pattern of a first line (regular expression); empty for a binary file."""
    write: Callable[[Iterable[Records], Path], None]
    """Writes FLAT blocks."""
    read: Callable[[Path, int], Iterator[Records]]
    """Reads FLAT blocks. Where the format has no sizes, an access covers an aligned granule; where it names objects,
    they are aligned to the granule."""


OWN = {"parquet": (save_parquet, load_parquet), "npz": (save_trace, load_trace)}
"""Memgrain's own forms, which keep a trace compressed: how to write and read each. Their names are their endings."""
FLAT_FORMATS = {
    "ramulator2": FlatFormat(
        "Ramulator 2 (LD 0x1f40)", ".ramulator2", r"(LD|ST)\s+\w+\s*$", ramulator.write, ramulator.read
    ),
    "dramsim3": FlatFormat(
        "DRAMSim3 (0x1f40 READ 12)", ".dramsim3", r"(0x)?[0-9a-fA-F]+\s+[A-Za-z_]+\s+\d+\s*$", dramsim3.write,
        dramsim3.read,
    ),
    "oracle_general": FlatFormat(
        "libCacheSim (24-byte records)", ".oraclegeneral", "", oracle_general.write, oracle_general.read
    ),
    "dinero": FlatFormat(
        "Dinero IV -informat D (r 1f40 40)", ".xdin", r"[rwimcv]\s+(0x)?[0-9a-fA-F]+\s+(0x)?[0-9a-fA-F]+\b",
        dinero.write_extended, dinero.read_extended,
    ),
    "din": FlatFormat(
        "Dinero IV -informat d (0 1f40)", ".din", r"[0-4]\s+(0x)?[0-9a-fA-F]+\b", dinero.write_traditional,
        dinero.read_traditional,
    ),
}  # fmt: skip
"""Flat formats by name."""
FORMATS = (*OWN, *FLAT_FORMATS)
"""All names."""
_HEAD = 1 << 16
"""Bytes at the beginning of a text file from which its format is detected."""


def check_format(name: str) -> None:
    """Raise WorkloadError unless `name` is a format."""
    if name not in FORMATS:
        raise WorkloadError(f"format '{name}' is none of {', '.join(FORMATS)}; choose one of them")


def format_of(path: Path) -> str | None:
    """The format that a file's name indicates; None if it indicates none."""
    name = plain_name(path)
    endings = {f".{own}": own for own in OWN} | {flat.suffix: key for key, flat in FLAT_FORMATS.items()}
    ending = next((key for suffix, key in endings.items() if name.endswith(suffix)), None)
    return ending or ("oracle_general" if ORACLE_GENERAL.search(f"{name}.") else None)


def detect(path: Path) -> str:
    """The format of a file, by its name or, for text, by its first lines. Raises WorkloadError if neither identifies
    it, or if it is a format of another program that Memgrain does not read."""
    if named := format_of(path):
        return named
    check_name(path)
    lines = [line for line in _text(path) if line.strip()]
    fitting = [key for key, flat in FLAT_FORMATS.items() if flat.line and all_match(flat.line, lines)]
    foreign = lines_of(lines)
    if len(fitting) == 1 and not foreign:
        return fitting[0]
    if fitting:
        raise WorkloadError(f"{path.name}: its lines may be {' or '.join([*fitting, *foreign])}; name the format")
    for title, mend in foreign.items():
        raise WorkloadError(f"{path.name}: {title} is not read here; {mend}")
    raise WorkloadError(f"{path.name}: neither name nor first line shows its format; name the format")


def _text(path: Path) -> list[str]:
    """Some whole lines from the beginning of the file; empty if it is not text."""
    head = next(read_bytes(path), b"")[:_HEAD]
    if b"\0" in head:
        return []
    lines = head.split(b"\n")
    return [line.decode(errors="replace") for line in (lines[:-1] or lines)]


def export(traces: Sequence[Trace], path: Path, form: str, granule: int = GRANULE) -> None:
    """Write `traces` (kernels in one memory, one after the other) to `path` in a named format.

    Flat formats hold accesses to aligned granules of `granule` bytes. They are streamed, and compressed where the
    file's name ends in .gz or .zst. Memgrain's own forms hold one kernel. Raises WorkloadError.
    """
    check_format(form)
    check_granule(granule)
    if form in FLAT_FORMATS:
        FLAT_FORMATS[form].write(blocks_of(accesses_of(traces, granule)), path)
        return
    if compression(path):
        raise WorkloadError(f"{path.name}: {form} is compressed already; leave out '{path.suffix}'")
    if len(traces) != 1:
        names = ", ".join(trace.name for trace in traces)
        raise WorkloadError(f"{form} holds one kernel, these are {names}; name one of them")
    try:
        OWN[form][0](traces[0], path)
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be written ({cause(error)}); choose another place") from None


def accesses_of(traces: Sequence[Trace], granule: int) -> Iterator[Records]:
    """The accesses of kernels in one memory, one kernel after the other, as FLAT blocks."""
    return chain.from_iterable(accesses(trace, granule) for trace in traces)


def load(path: Path, form: str | None = None, granule: int = GRANULE) -> Trace:
    """The trace in a file of a named or detected format; a flat file becomes one program (see `rebuild`).

    Raises WorkloadError.
    """
    if not path.is_file():
        raise WorkloadError(f"{path}: no such file; check the path")
    check_granule(granule)
    form = form or detect(path)
    check_format(form)
    if form in OWN:
        return OWN[form][1](path)
    return rebuild(plain_name(path).partition(".")[0], FLAT_FORMATS[form].read(path, granule))


__all__ = [
    "FLAT_FORMATS",
    "FORMATS",
    "GRANULE",
    "OWN",
    "FlatFormat",
    "accesses_of",
    "check_format",
    "check_granule",
    "detect",
    "export",
    "format_of",
    "load",
]
