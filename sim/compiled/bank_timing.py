"""DRAM channels in time: banks, rows, buses and refresh as reservations, driven by the standard's constraint table.

How the table is read. A constraint between *unlike* commands (ACT to RD, RD to PRE, PRE to ACT) is a delay on the way
of one request. A constraint between *like* commands (RD to RD, ACT to ACT, four ACTs in tFAW) is a server: each command
occupies it for latency/window, and with requests waiting the controller keeps every server busy with whichever request
can use it. So each server is work-conserving: it carries the time until which it is booked, and a request that arrives
pushes that time on by its own service, without the holes that a request held up elsewhere would leave in a
first-come-first-served bus. That is what FR-FCFS is for.

The window of FR-FCFS: a request joins an activation of its row that is still pending in its bank, if that activation
is among the last `window` ones; otherwise it needs an activation of its own.
"""

import numpy as np

from sim.compiled.address import decode
from sim.compiled.jit import compiled, inlined

# geometry: one int64 each
(
    ACCESS,
    INTERLEAVE,
    HASHED,
    CHANNELS,
    RANKS,
    GROUPS,
    BANKS,
    WINDOW,
    CLOSED,
    LEAD,
    BUS_TIME,
    GROUP_TIME,
    WRITE_EXTRA,
    ACT_RANK,
    ACT_GROUP,
    ROW_CYCLE,
    ACT_TO_COLUMN,
    READ_LATENCY,
    READ_TO_PRE,
    WRITE_TO_PRE,
    PRE_TO_ACT,
    REFRESH_INTERVAL,
    REFRESH_TIME,
    REFRESHED,
    ACT_CHANNEL,
    RANK_SWITCH,
    GEOMETRY,
) = range(27)
# per channel: when its bus and its activations are booked until, refreshes, the rank that the bus served last
BUS, ACTS, NEXT_REFRESH, REFRESH_TURN, LAST_RANK, CHANNEL_STATE = range(6)
# per bank: when it may activate next, whether a row is open, and which entry of its ring is newest
NEXT_ACT, OPEN, NEWEST, BANK_STATE = range(4)
# per entry of a bank's ring: row, when its columns may be read, when the last one was, when the next activation
# displaces it
RING_ROW, RING_COLUMN, RING_LAST, RING_END, RING_STATE = range(5)
# moving
DONE, QUEUE, FIRST, CAME, MOVING = range(5)
# counts
READS, WRITES, ACTIVATES, CONFLICTS, REFRESHES, COUNTS = range(6)
# counts of one tensor
READ_BYTES, WRITE_BYTES, TENSOR_COUNTS = range(3)
FOREVER = 2**62


@compiled
def refresh(channel, arrival, g, channels, acts, banks, counts):
    """Carry out the refreshes that fall due before the channel gets to a request arriving at `arrival`: of the banks
    whose turn it is, REFRESHED at a time."""
    per_channel = g[RANKS] * g[GROUPS] * g[BANKS]
    turns, per_rank = per_channel // g[REFRESHED], g[GROUPS] * g[BANKS]
    while max(arrival, channels[channel, BUS]) >= channels[channel, NEXT_REFRESH]:
        due = channels[channel, NEXT_REFRESH]
        counts[REFRESHES] += 1
        turn = channels[channel, REFRESH_TURN]
        channels[channel, REFRESH_TURN] = (turn + 1) % turns
        if turns == 1:
            channels[channel, BUS] = max(channels[channel, BUS], due) + g[REFRESH_TIME]
        first = turn * g[REFRESHED]
        for rank in range(first // per_rank, first // per_rank + g[REFRESHED] // per_rank):
            acts[channel, rank] = max(acts[channel, rank], due) + g[REFRESH_TIME]
        first += channel * per_channel
        for bank in range(first, first + g[REFRESHED]):
            banks[bank, NEXT_ACT] = max(banks[bank, NEXT_ACT], due) + g[REFRESH_TIME]
            banks[bank, OPEN] = 0
        channels[channel, NEXT_REFRESH] = due + g[REFRESH_INTERVAL]


@inlined
def joined(bank, row, arrival, g, banks, ring):
    """The entry of a pending or open activation of `row` that a request arriving at `arrival` can join, or -1."""
    window = g[WINDOW]
    newest = banks[bank, NEWEST]
    if banks[bank, OPEN] == 1 and ring[bank, newest, RING_ROW] == row:
        if not g[CLOSED] or arrival <= ring[bank, newest, RING_LAST]:
            return newest
        return -1
    for back in range(1, window):
        entry = (newest - back) % window
        if ring[bank, entry, RING_END] <= arrival:
            return -1
        if ring[bank, entry, RING_ROW] == row:
            return entry
    return -1


@inlined
def access(
    chunk, accesses, writes, now, order, sizes, g, channels, acts, group_acts, group_columns, banks, ring, counts
):
    """Read or write `accesses` smallest accesses of one interleave chunk; returns (end of data, waiting time in it)."""
    channel, rank, group, number, row = decode(chunk, order, sizes, g[HASHED])
    arrival = now + g[LEAD]
    if max(arrival, channels[channel, BUS]) >= channels[channel, NEXT_REFRESH]:
        refresh(channel, arrival, g, channels, acts, banks, counts)
    group_id = (channel * g[RANKS] + rank) * g[GROUPS] + group
    bank = group_id * g[BANKS] + number
    entry = joined(bank, row, arrival, g, banks, ring)
    unloaded = arrival
    if entry < 0:
        newest = banks[bank, NEWEST]
        start = max(arrival, banks[bank, NEXT_ACT])
        if banks[bank, OPEN] == 1 and not g[CLOSED]:
            counts[CONFLICTS] += 1
            start = max(start, max(arrival, ring[bank, newest, RING_LAST]) + g[PRE_TO_ACT])
        start = max(start, acts[channel, rank], group_acts[group_id], channels[channel, ACTS])
        channels[channel, ACTS] = max(channels[channel, ACTS], arrival) + g[ACT_CHANNEL]
        acts[channel, rank] = max(acts[channel, rank], arrival) + g[ACT_RANK]
        group_acts[group_id] = max(group_acts[group_id], arrival) + g[ACT_GROUP]
        ring[bank, newest, RING_END] = start
        entry = (newest + 1) % g[WINDOW]
        banks[bank, NEWEST] = entry
        banks[bank, OPEN] = 1
        banks[bank, NEXT_ACT] = start + g[ROW_CYCLE]
        ring[bank, entry, RING_ROW] = row
        ring[bank, entry, RING_COLUMN] = start + g[ACT_TO_COLUMN]
        ring[bank, entry, RING_LAST] = start + g[ACT_TO_COLUMN]
        ring[bank, entry, RING_END] = FOREVER
        counts[ACTIVATES] += 1
        unloaded += g[ACT_TO_COLUMN]
    bus = accesses * (g[BUS_TIME] + (g[WRITE_EXTRA] if writes else 0))
    if rank != channels[channel, LAST_RANK]:
        channels[channel, LAST_RANK] = rank
        bus += g[RANK_SWITCH]
    columns = accesses * g[GROUP_TIME]
    channels[channel, BUS] = max(channels[channel, BUS], arrival) + bus
    group_columns[group_id] = max(group_columns[group_id], arrival) + columns
    first = max(arrival, ring[bank, entry, RING_COLUMN])
    ring[bank, entry, RING_COLUMN] = first + columns
    last = max(first + max(bus, columns), channels[channel, BUS], group_columns[group_id])
    ring[bank, entry, RING_LAST] = max(ring[bank, entry, RING_LAST], first + columns)
    to_pre = g[WRITE_TO_PRE] if writes else g[READ_TO_PRE]
    banks[bank, NEXT_ACT] = max(banks[bank, NEXT_ACT], first + columns - g[GROUP_TIME] + to_pre + g[PRE_TO_ACT])
    counts[WRITES if writes else READS] += accesses
    return last + g[READ_LATENCY], last - unloaded - bus


@compiled
def serve_runs(
    runs,
    indices,
    first,
    count,
    repeat,
    now,
    order,
    sizes,
    g,
    channels,
    acts,
    group_acts,
    group_columns,
    banks,
    ring,
    moving,
    counts,
    tensor_counts,
):
    """Serve `count` runs from `first` on; leaves in `moving` when the first and the last read's data are there, the
    bytes read, and the longest wait in a queue."""
    size, interleave = g[ACCESS], g[INTERLEAVE]
    moving[DONE] = now
    moving[QUEUE] = 0
    moving[FIRST] = FOREVER
    moving[CAME] = 0
    for r in range(first, first + count):
        run = runs[r]
        base, stride, width = np.int64(run.base), np.int64(run.stride), np.int64(run.bytes)
        index, writes = np.int64(run.index), run.op == 1
        if index < 0:
            base += repeat * np.int64(run.advance)
        else:
            index += repeat * np.int64(run.advance)
        total = 0
        for i in range(np.int64(run.count)):
            low = base + (indices[index + i] if index >= 0 else i) * stride
            position = low // size * size
            high = (low + width + size - 1) // size * size
            total += high - position
            while position < high:
                chunk = position // interleave
                stop = min((chunk + 1) * interleave, high)
                done, queue = access(
                    chunk,
                    (stop - position) // size,
                    writes,
                    now,
                    order,
                    sizes,
                    g,
                    channels,
                    acts,
                    group_acts,
                    group_columns,
                    banks,
                    ring,
                    counts,
                )
                if not writes:
                    moving[FIRST] = min(moving[FIRST], done)
                    moving[CAME] += stop - position
                    moving[DONE] = max(moving[DONE], done)
                    moving[QUEUE] = max(moving[QUEUE], queue)
                position = stop
        tensor_counts[np.int64(run.tensor), WRITE_BYTES if writes else READ_BYTES] += total
