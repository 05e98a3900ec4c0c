"""A step's load cut into the parts that a DMA engine requests one after the other, as bytes in flight permit."""

import numpy as np

from memgrain.sim.levels.dma_requests import piece_of, requests_of
from memgrain.sim.levels.run_sizes import count_bytes
from memgrain.sim.native.jit import compiled
from memgrain.workloads.trace import JOINED

SHARE = 6
"""Parts of the bytes in flight of a core: small enough that the engine requests more before all of them have
arrived."""
FIELDS = 3
"""Entries of a part: its first run, its runs, its requests or bytes."""


@compiled
def cut_loads(runs, indices, firsts, counts, cut, most, rows_per_command, ends, parts, found):
    """Cut the loads of steps, of `counts` runs from `firsts` on each, into parts of `most` requests at most.

    `cut` is (largest, smallest) request. Parts are entered into `parts` ([part, FIELDS], counted within `found`), and
    their runs into `found`; both may be empty, to be counted. `ends` gets the end of each step's parts. Returns how many
    parts and runs there are. A row longer than a part is cut as well. Runs that continue a DMA command are JOINED.
    """
    number, written = np.int64(0), np.int64(0)
    for s in range(len(firsts)):
        used, begun = np.int64(0), written
        for r in range(firsts[s], firsts[s] + counts[s]):
            run = runs[r]
            base, stride, index = np.int64(run["base"]), np.int64(run["stride"]), np.int64(run["index"])
            size, rows, block = np.int64(run["bytes"]), np.int64(run["count"]), np.int64(run["block"])
            if index < 0 and stride == size:
                size, rows = size * rows, np.int64(1)
            of_command = max(np.int64(1), min(block, rows_per_command)) if index >= 0 else rows_per_command
            row, at, commands = np.int64(0), np.int64(0), np.int64(0)
            while row < rows:
                low = base + (indices[index + row] if index >= 0 else row) * stride + at
                piece = piece_of(low, cut[0], cut[1])
                requests = requests_of(low, size - at, piece)
                if used and (used == most or (used + requests > most and requests <= most)):
                    number = _enter(parts, number, begun, written, used)
                    used, begun = np.int64(0), written
                taken, wide = np.int64(1), size - at
                if requests > most - used:
                    requests = most - used
                    wide = requests * piece - low % piece
                elif not at:
                    while row + taken < rows:
                        following = base + (indices[index + row + taken] if index >= 0 else row + taken) * stride
                        piece = piece_of(following, cut[0], cut[1])
                        more = requests_of(following, size, piece)
                        if used + requests + more > most:
                            break
                        requests += more
                        taken += 1
                needed = (row + taken + of_command - 1) // of_command
                if written < len(found):
                    part = found[written]
                    part["base"] = np.uint64(base + at + (0 if index >= 0 else row * stride))
                    part["stride"], part["count"], part["bytes"] = stride, np.uint32(taken), np.uint32(wide)
                    part["index"] = index + row if index >= 0 else index
                    part["advance"], part["op"], part["tensor"] = run["advance"], run["op"], run["tensor"]
                    part["block"] = np.uint32(JOINED if block == JOINED or needed == commands else block)
                commands = needed
                written += 1
                used += requests
                at += wide
                if at == size or taken > 1:
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
def _enter(parts, number, first, end, requests):
    """Enter a part; returns how many there are."""
    if number < len(parts):
        parts[number, 0], parts[number, 1], parts[number, 2] = first, end - first, requests
    return number + 1
