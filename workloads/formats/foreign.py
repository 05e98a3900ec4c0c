"""Signs of other programs' trace files that Memgrain does not read, and how to convert them."""

from __future__ import annotations

import re
from pathlib import Path

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.formats.files import plain_name

ORACLE_GENERAL = re.compile(r"\.oraclegeneral(bin)?\.")
"""Marks of libCacheSim's oracleGeneral files anywhere in the name (`detect_trace_type` in
libCacheSim/bin/cli_reader_utils.c): w1.oracleGeneral.bin, cluster52.oracleGeneral.sample10."""
CONVERT = "make an oracleGeneral of it with libCacheSim's traceConv"
NAMES = {
    r"\.lcs\.": "libCacheSim's lcs",
    r"\.vscsi\.": "a vSCSI trace",
    r"\.twr(ns)?\.|oraclesystwrns": "a Twitter trace in a binary form of libCacheSim",
    r"\.(csv|tsv)\.$": "a table",
}
"""Names of other files that libCacheSim reads, and what they are."""
LINES = {
    r"\d+\s+\d+(\s+\d+)?\s*$": (
        "a trace of Ramulator's SimpleO3 core (instructions, load, store)",
        "write its misses as LD and ST lines",
    ),
    r"[RW]\s+-?\d+(,-?\d+)+\s*$": (
        "Ramulator 2's ReadWriteTrace (DRAM coordinates)",
        "write byte addresses as LD and ST lines",
    ),
    r"(0x)?[0-9a-f]+\s+[RW]\s*$": (
        "a memory trace of the first Ramulator (address R)",
        "write LD or ST before the address",
    ),
    r"[^\s,]+\s*$": ("a list of object ids (libCacheSim's txt)", CONVERT),
    r"[^,]*(,[^,]*)+$": ("a table with commas", CONVERT),
}
"""Lines of other programs' text files, what they are and the mend."""


def check_name(path: Path) -> None:
    """Raise WorkloadError if the name belongs to another program's format that Memgrain does not read."""
    for pattern, title in NAMES.items():
        if re.search(pattern, f"{plain_name(path)}."):
            raise WorkloadError(f"{path.name}: {title} is not read here; {CONVERT}")


def lines_of(lines: list[str]) -> dict[str, str]:
    """Formats of other programs that the lines may have, each with its mend."""
    return {title: mend for pattern, (title, mend) in LINES.items() if all_match(pattern, lines)}


def all_match(pattern: str, lines: list[str]) -> bool:
    """Whether there is a line and every line matches the pattern at its beginning."""
    return bool(lines) and all(re.match(rf"\s*{pattern}", line, re.IGNORECASE) for line in lines)
