"""DRAM channels in time: banks, rows, buses and refresh as reservations, driven by the standard's constraint table.

How the table is read. A constraint between *unlike* commands (ACT to RD, RD to PRE, PRE to ACT) delays one request. A
constraint between *like* commands (RD to RD, ACT to ACT, four ACTs in tFAW) is a server: each command occupies it for
latency/window, and with requests waiting the controller keeps every server busy with whichever request can use it. So
each server is work-conserving: it carries the time until which it is booked, and a request that arrives delays that
time by its own service, without the holes that a request held up elsewhere would leave in a first-come-first-served
bus. That is what FR-FCFS is for.

The window of FR-FCFS: a request joins an activation of its row that is still pending in its bank, if that activation
is among the last `window` ones; otherwise it needs an activation of its own.

This file splits runs into the entries of a queue; `memgrain.sim.dram.visit` serves them.
"""

import numpy as np

from memgrain.sim.cache.ways import index
from memgrain.sim.dram import state as bk
from memgrain.sim.dram.address_map import blocks_in, locate
from memgrain.sim.dram.state import ChannelState
from memgrain.sim.dram.stream import serve_rounds
from memgrain.sim.dram.visit import enter, serve_entries
from memgrain.sim.native.jit import compiled, inlined


@compiled
def add(position, high, writes, arrival, k, dram):
    """Add to a queue of `k` entries the smallest accesses from number `position` up to `high`; returns how many entries
    it has then."""
    config = dram.config
    full, bits = config.chunk, config.chunk_bits
    while position < high:
        chunk = blocks_in(position, full, bits)
        offset = position - chunk * full
        if offset or high - position < full:
            count, amount = np.int64(1), min(full - offset, high - position)
        else:
            count, amount = blocks_in(high - position, full, bits), full
        if config.round_chunks and count >= 2 * config.round_chunks:
            serve_entries(0, k, arrival, dram)
            k = np.int64(0)
            served = serve_rounds(chunk, count, amount, writes, arrival, dram)
            position += served * amount
            if served:
                continue
        if k == bk.QUEUED:
            serve_entries(0, k, arrival, dram)
            k = np.int64(0)
        channel, left, rank, group, bank, row = locate(chunk, config)
        count = min(left, count)
        enter(dram.entries[index(k)], channel, count, rank, group, bank, row, amount, writes, config)
        position += count * amount
        k += 1
    return k


@inlined
def begin_request(now, lanes, config):
    """Clear what a request accumulates."""
    for i in range(4):
        lanes[bk.LATEST + i] = now - config.read_latency
        lanes[bk.EARLIEST + i] = bk.FOREVER - config.read_latency
        lanes[bk.DRAINED + i] = now - config.write_latency
        lanes[bk.LONGEST + i] = lanes[bk.OPENED + i] = lanes[bk.REPLACED + i] = 0


@inlined
def end_request(came, lanes, config, counts, answer):
    """Count what a request that read `came` bytes accumulated, and answer it."""
    latest, earliest, longest = lanes[bk.LATEST], lanes[bk.EARLIEST], lanes[bk.LONGEST]
    drained = lanes[bk.DRAINED]
    for i in range(4):
        latest, earliest = max(latest, lanes[bk.LATEST + i]), min(earliest, lanes[bk.EARLIEST + i])
        longest, drained = max(longest, lanes[bk.LONGEST + i]), max(drained, lanes[bk.DRAINED + i])
        counts.activates += lanes[bk.OPENED + i]
        counts.conflicts += lanes[bk.REPLACED + i]
    answer.done = latest + config.read_latency if came else drained + config.write_latency
    answer.first = earliest + config.read_latency
    answer.queue, answer.came = longest, came


@compiled
def serve_runs(
    runs, indices, first, count, repeat, now, lanes, entries, config_of_all, counts_of_all, tensors, answers
):
    """Serve `count` runs from `first` on, a repeat of them, at time `now`; see `DramArrays` for the rest."""
    config, counts = config_of_all[0], counts_of_all[0]
    dram = ChannelState(lanes, entries, config, counts)
    size, size_bits = config.access, config.access_bits
    arrival = now + config.lead
    begin_request(now, dram.lanes, config)
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
            position, high = blocks_in(low, size, size_bits), blocks_in(low + width + size - 1, size, size_bits)
            total += high - position
            k = add(position, high, writes, arrival, k, dram)
        tensor = tensors[index(np.int64(run["tensor"]))]
        if writes:
            tensor.write_bytes += total * size
            counts.writes += total
        else:
            tensor.read_bytes += total * size
            counts.reads += total
            came += total * size
    serve_entries(0, k, arrival, dram)
    end_request(came, dram.lanes, config, counts, answers[0])
