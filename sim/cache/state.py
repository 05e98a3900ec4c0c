"""The records that the compiled loops of a cache read and write: `CONFIG`, `STATE`, `QUEUE` and `COUNTS`.

A record is a NumPy structured scalar with named fields: a loop reads `config.ways` and writes `state.now`. Within
compiled code a record is one pointer, where an array is seven values, so calls with records are cheap. From Python,
Numba unboxes an array in 0.1 us and a record in 5 us, so Python passes an array with one entry of `RECORDS`.

The functions of the lookup loop take the one record of `RECORDS` and not its parts: from one pointer, LLVM knows that a
store to a field of one part changes no field of another, and keeps these in registers.
"""

from typing import Any

import numpy as np

QUEUE_LINES = 256
"""Lines that the queue holds."""
MAX_TENSORS = 256
"""Tensors that a run can name."""
LARGEST_BLOCK = 32
"""Lines of the largest block that a set group serves at once: those that share a home partition by its hash."""


def _record(kind: str, *fields: str | tuple[Any, ...]) -> np.dtype[Any]:
    """A record of fields of one kind; a tuple is the name and length of a field that is an array, and its own kind."""
    described: list[tuple[Any, ...]] = []
    for field in fields:
        if isinstance(field, str):
            described.append((field, kind))
        else:
            name, length, *own = field
            described.append((name, *(own or [kind]), (length,)))
    return np.dtype((np.record, described))


CONFIG = _record(
    "i8",
    # geometry: sizes in bytes, their logarithms (`…_bits`), all sectors of a line as a mask, sectors of a fill granule
    "line_bits",
    "sector",
    "sector_bits",
    "all_sectors",
    "granule",
    "granule_bits",
    "granule_sectors",
    # sets of a partition, how to divide by them, the number of distinct lines, how line numbers are hashed
    "set_count",
    "divide_factor",
    "divide_shift",
    "line_limit",
    "fold_bits",
    "fold_mask",
    # ways of a set, replacement policy, whether the quick path of `fast/quick.py` applies
    "ways",
    "policy",
    "quick",
    # offsets in `sets` of slots and of the policy's notes; entries of a set in either part, see `ways.py`
    "slots_at",
    "notes_at",
    "positions",
    "width",
    # set groups: lines of a block, its logarithm, offsets in `sets` of their flags and of arrivals, see `set_groups.py`
    "block_lines",
    "block_bits",
    "groups_at",
    "arrivals_at",
    # resident runs: offsets in `sets` of their tables, runs that the table can hold, lines of the shortest one (0: off)
    "clock_at",
    "members_at",
    "sorted_at",
    "read_at",
    "hashes_at",
    "runs_at",
    "max_runs",
    "min_run_lines",
    # partitions and their slices; times in ps; treatment of writes; dirty lines that a set may hold
    "partitions",
    "replicate",
    "partition_slices",
    "sector_time",
    "latency",
    "far_latency",
    "write_back",
    "write_allocate",
    "dirty_ways",
    # first fetches: offset in `sets` of a bit for each sector, 16 in an entry, and lines, from 0 on, that have them
    "known_at",
    "known_lines",
    # for each mask of sectors, the fill granules that it touches: for each of them, the bit of its first sector
    ("granules", 256),
)
"""What does not change in a run."""
COUNTS = _record(
    "i8",
    "read_hits",
    "far_hits",
    "misses",
    "write_hits",
    "write_misses",
    "writebacks",
    "sector_lookups",
    "sector_hits",
    "read_bytes",
    "write_bytes",
    "first_fetches",
    # by the tensor that lost a line to this one; behind the last tensor, ways that held no line
    ("evicted", MAX_TENSORS + 1),
)
"""What is counted for each tensor; hits and misses count fill granules."""
STATE = _record(
    "i8",
    # the request: when it was made (ps), the partition beside its core, the first of its slices in `busy`
    "now",
    "near",
    "first_slice",
    # runs for the level below in `out`, which of them is the last read, the address behind it, whether one is a fetch
    "out",
    "last_read",
    "last_end",
    "fetched",
    # when the last hit is at the core and when the last slice begins to serve (ps)
    "done",
    "latest",
    # entries of `arrivals`: that of what this request fetches, and the next free one
    "wait",
    "next_wait",
    # a line beyond `line_limit` that was requested (0: none)
    "beyond",
    # lines that an entry of the queue stands for: 1, or those of a block; the set of a block's first line in its group
    "lines",
    "within",
    # random replacement
    "seed",
    # COUNTS of each tensor
    ("counts", MAX_TENSORS, COUNTS),
)
"""What a request carries along; `seed`, `next_wait` and `beyond` last from one request to the next."""
QUEUE = _record(
    "i4",
    # line number; what is requested of it, see `expand.py`; its home partition
    ("line", QUEUE_LINES),
    ("request", QUEUE_LINES),
    ("home", QUEUE_LINES),
    # its set in the partition that is looked up first, and how far behind that its set in the home partition is
    ("set_index", QUEUE_LINES),
    ("to_home", QUEUE_LINES),
    # its quotient, shifted as in a word of a set; the entry of its slice in `busy`
    ("key", QUEUE_LINES),
    ("slice", QUEUE_LINES),
    # for each line of a block: its slice, then its arrival
    ("scratch", LARGEST_BLOCK),
)
"""Lines on their way through the lookup: what is requested of them and where they lie."""
RECORDS = np.dtype((np.record, [("config", CONFIG), ("state", STATE), ("queue", QUEUE)]))
"""The records of a cache."""
