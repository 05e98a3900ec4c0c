"""A step's load cut into the parts that a DMA engine requests one after the other, as bytes in flight permit."""

import numpy as np

from memgrain.sim.levels.dma_requests import count_requests, piece_of, requests_of
from memgrain.sim.levels.run_sizes import count_bytes
from memgrain.sim.native.jit import compiled
from memgrain.workloads.trace import JOINED

SHARE = 6
"""Parts of the bytes in flight of a core. 16 requests of an Ascend's 96 are a part: as large as the steps of the copies
from which those 96 were derived, so that both belong together."""
FIELDS = 3
"""Entries of a part: its first run, its runs, its requests or bytes."""


@compiled
def cut_loads(runs, indices, firsts, counts, cut, most, rows_per_command, ends, parts, found):
    """Cut the loads of steps, of `counts` runs from `firsts` on each, into parts of `most` requests at most.

    `cut` is (largest, smallest) request. Parts are entered into `parts` ([part, FIELDS], counted within `found`), and
    their runs into `found`; both may be empty, to be counted. `ends` gets the end of each step's parts. Returns how
    many parts and runs there are. A row longer than a part is cut as well. Runs that continue a DMA command are JOINED.
    """
    number, written = np.int64(0), np.int64(0)
    for s in range(len(firsts)):
        used, begun = np.int64(0), written
        for r in range(firsts[s], firsts[s] + counts[s]):
            run = runs[r]
            size, rows, block = np.int64(run["bytes"]), np.int64(run["count"]), np.int64(run["block"])
            if run["index"] < 0 and run["stride"] == size:
                size, rows = size * rows, np.int64(1)
            of_command = rows_per_command
            if run["index"] >= 0:
                of_command = max(np.int64(1), min(block, rows_per_command))
            row, at, commands = np.int64(0), np.int64(0), np.int64(0)
            while row < rows:
                wanted = _requests(run, indices, row, at, size, cut)
                if used == most or (used and wanted <= most < used + wanted):
                    number = _enter(parts, number, begun, written, used)
                    used, begun = np.int64(0), written
                taken, wide = np.int64(1), size - at
                if wanted > most - used:
                    low = _address(run, indices, row) + at
                    piece = piece_of(low, cut[0], cut[1])
                    wanted = most - used
                    wide = wanted * piece - low % piece
                elif not at:
                    taken, wanted = _rows_that_fit(run, indices, row, rows, size, cut, most - used)
                needed = (row + taken + of_command - 1) // of_command
                if written < len(found):
                    joined = block == JOINED or needed == commands
                    _write(found[written], run, row, at, taken, wide, JOINED if joined else block)
                commands, written, used, at = needed, written + 1, used + wanted, at + wide
                if at == size:
                    row, at = row + taken, np.int64(0)
        if used or not counts[s]:
            number = _enter(parts, number, begun, written, used)
        ends[s] = number
    return number, written


@compiled
def enter_whole_loads(runs, firsts, counts, parts):
    """Enter each load as one part, with its bytes instead of requests."""
    for s in range(len(firsts)):
        parts[s, 0], parts[s, 1], parts[s, 2] = firsts[s], counts[s], count_bytes(runs, firsts[s], counts[s])


@compiled
def enter_requests(runs, indices, firsts, counts, cut, parts):
    """Enter each load as one part, with the bytes of its requests, each counted as the largest."""
    for s in range(len(firsts)):
        requests = count_requests(runs, indices, firsts[s], counts[s], cut[0], cut[1])
        parts[s, 0], parts[s, 1], parts[s, 2] = firsts[s], counts[s], requests * cut[0]


@compiled
def _address(run, indices, row):
    """The address of a row at the first repeat."""
    index = np.int64(run["index"])
    return np.int64(run["base"]) + (indices[index + row] if index >= 0 else row) * np.int64(run["stride"])


@compiled
def _requests(run, indices, row, at, size, cut):
    """Requests of a row of `size` bytes from byte `at` on."""
    low = _address(run, indices, row) + at
    return requests_of(low, size - at, piece_of(low, cut[0], cut[1]))


@compiled
def _rows_that_fit(run, indices, row, rows, size, cut, room):
    """How many rows from `row` on need no more than `room` requests, at least one, and how many they need."""
    taken, wanted = np.int64(1), _requests(run, indices, row, np.int64(0), size, cut)
    while row + taken < rows:
        more = _requests(run, indices, row + taken, np.int64(0), size, cut)
        if wanted + more > room:
            break
        wanted += more
        taken += 1
    return taken, wanted


@compiled
def _write(found, run, row, at, taken, wide, block):
    """Write the run of `taken` rows from `row` on, or of `wide` bytes of one row from byte `at` on."""
    index, stride = np.int64(run["index"]), np.int64(run["stride"])
    found["base"] = np.uint64(np.int64(run["base"]) + at + (0 if index >= 0 else row * stride))
    found["stride"], found["count"], found["bytes"] = stride, np.uint32(taken), np.uint32(wide)
    found["index"] = index + row if index >= 0 else index
    found["advance"], found["op"], found["tensor"] = run["advance"], run["op"], run["tensor"]
    found["block"] = np.uint32(block)


@compiled
def _enter(parts, number, first, end, requests):
    """Enter a part; returns how many there are."""
    if number < len(parts):
        parts[number, 0], parts[number, 1], parts[number, 2] = first, end - first, requests
    return number + 1
