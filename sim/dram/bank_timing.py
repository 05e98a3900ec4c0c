"""DRAM channels in time: banks, rows, buses and refresh as reservations, driven by the standard's constraint table.

How the table is read. A constraint between *unlike* commands (ACT to RD, RD to PRE, PRE to ACT) is a delay on the way
of one request. A constraint between *like* commands (RD to RD, ACT to ACT, four ACTs in tFAW) is a server: each command
occupies it for latency/window, and with requests waiting the controller keeps every server busy with whichever request
can use it. So each server is work-conserving: it carries the time until which it is booked, and a request that arrives
pushes that time on by its own service, without the holes that a request held up elsewhere would leave in a
first-come-first-served bus. That is what FR-FCFS is for.

The window of FR-FCFS: a request joins an activation of its row that is still pending in its bank, if that activation
is among the last `window` ones; otherwise it needs an activation of its own.

This file takes runs apart into the entries of a queue, `dram_visit` serves them.
"""

import numpy as np

from memgrain.sim.cache.ways import index
from memgrain.sim.dram import state as bk
from memgrain.sim.dram.address_map import locate, parted
from memgrain.sim.dram.stream import stream
from memgrain.sim.dram.visit import enter, serve_entries
from memgrain.sim.native.jit import compiled

# moving
DONE, QUEUE, FIRST, CAME, MOVING = range(5)


@compiled
def add(position, high, writes, arrival, k, state, book):
    """Add to a queue of `k` entries the smallest accesses from number `position` up to `high`; returns how many entries
    it has then."""
    full, bits = book[bk.CHUNK], book[bk.CHUNK_BITS]
    while position < high:
        chunk = parted(position, full, bits)
        offset = position - chunk * full
        if offset or high - position < full:
            count, amount = np.int64(1), min(full - offset, high - position)
        else:
            count, amount = parted(high - position, full, bits), full
        if book[bk.ROUND] and count >= 2 * book[bk.ROUND]:
            serve_entries(bk.QUEUE, k, arrival, state, book)
            k = np.int64(0)
            served = stream(chunk, count, amount, writes, arrival, state, book)
            position += served * amount
            if served:
                continue
        if k == bk.QUEUED:
            serve_entries(bk.QUEUE, k, arrival, state, book)
            k = np.int64(0)
        channel, left, rank, group, bank, row = locate(chunk, book)
        count = min(left, count)
        enter(bk.QUEUE + k * bk.ENTRY, channel, count, rank, group, bank, row, amount, writes, state, book)
        position += count * amount
        k += 1
    return k


@compiled
def serve_runs(runs, indices, first, count, repeat, now, state, book, moving):
    """Serve `count` runs from `first` on; leaves in `moving` when the first and the last read's data are there, the
    bytes read, and the longest wait in a queue."""
    size, size_bits = book[bk.ACCESS], book[bk.ACCESS_BITS]
    arrival = now + book[bk.LEAD]
    for i in range(4):
        state[bk.LATEST + i] = now - book[bk.READ_LATENCY]
        state[bk.EARLIEST + i] = bk.FOREVER - book[bk.READ_LATENCY]
        state[bk.LONGEST + i] = state[bk.OPENED + i] = state[bk.REPLACED + i] = 0
    k, came = np.int64(0), 0
    for r in range(first, first + count):
        run = runs[r]
        base, stride, width = np.int64(run["base"]), np.int64(run["stride"]), np.int64(run["bytes"])
        gathered, writes = np.int64(run["index"]), np.int64(run["op"] == 1)
        if gathered < 0:
            base += repeat * np.int64(run["advance"])
        else:
            gathered += repeat * np.int64(run["advance"])
        total = 0
        for i in range(np.int64(run["count"])):
            low = base + (np.int64(indices[index(gathered + i)]) if gathered >= 0 else i) * stride
            position, high = parted(low, size, size_bits), parted(low + width + size - 1, size, size_bits)
            total += high - position
            k = add(position, high, writes, arrival, k, state, book)
        tensor = bk.TENSORS + np.int64(run["tensor"]) * bk.TENSOR_COUNTS
        book[tensor + (bk.WRITE_BYTES if writes else bk.READ_BYTES)] += total * size
        book[bk.WRITES if writes else bk.READS] += total
        came += 0 if writes else total * size
    serve_entries(bk.QUEUE, k, arrival, state, book)
    latest, earliest, longest = state[bk.LATEST], state[bk.EARLIEST], state[bk.LONGEST]
    for i in range(4):
        latest, earliest = max(latest, state[bk.LATEST + i]), min(earliest, state[bk.EARLIEST + i])
        longest = max(longest, state[bk.LONGEST + i])
        book[bk.ACTIVATES] += state[bk.OPENED + i]
        book[bk.CONFLICTS] += state[bk.REPLACED + i]
    moving[DONE] = latest + book[bk.READ_LATENCY]
    moving[FIRST] = earliest + book[bk.READ_LATENCY]
    moving[QUEUE] = longest
    moving[CAME] = came
