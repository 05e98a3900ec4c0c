"""What files of other programs are known by, and what is said of those that are not read here."""

from __future__ import annotations

import re
from pathlib import Path

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.formats.files import plain_name

ORACLE_GENERAL = re.compile(r"\.oraclegeneral(bin)?\.")
"""What libCacheSim's files of this format are known by, anywhere in the name (`detect_trace_type` in
libCacheSim/bin/cli_reader_utils.c): w1.oracleGeneral.bin, cluster52.oracleGeneral.sample10."""
CONVERT = "make an oracleGeneral of it with libCacheSim's traceConv"
NAMES = {
    r"\.lcs\.": "libCacheSim's lcs",
    r"\.vscsi\.": "a vSCSI trace",
    r"\.twr(ns)?\.|oraclesystwrns": "a Twitter trace in a binary form of libCacheSim",
    r"\.(csv|tsv)\.$": "a table",
}
"""Names of files that libCacheSim reads besides, and what they are."""
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
"""Lines of text of other programs, what they are and the mend."""


def check_name(path: Path) -> None:
    """Raise WorkloadError if the name is one of another program's format that is not read here."""
    for pattern, title in NAMES.items():
        if re.search(pattern, f"{plain_name(path)}."):
            raise WorkloadError(f"{path.name}: {title} is not read here; {CONVERT}")


def lines_of(lines: list[str]) -> dict[str, str]:
    """What the lines may be of other programs, each with its mend."""
    return {title: mend for pattern, (title, mend) in LINES.items() if all_match(pattern, lines)}


def all_match(pattern: str, lines: list[str]) -> bool:
    """Whether there are lines, and all begin as the pattern says."""
    return bool(lines) and all(re.match(rf"\s*{pattern}", line, re.IGNORECASE) for line in lines)
