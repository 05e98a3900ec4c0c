"""What one entry of the queue does to its channels: refreshes that are due, activations, columns, buses.

`visit` is written once for one channel and for four neighbouring ones, see `memgrain.sim.dram.simd`.
"""

import numpy as np

from memgrain.sim.cache.ways import index
from memgrain.sim.dram import state as bk
from memgrain.sim.dram.simd import bits, four, lane, later, load, names, one, pick, store, width
from memgrain.sim.native.jit import compiled, inlined

PITCH, TAG = bk.PITCH, np.int64(0xFFFF)
UNKNOWN, NONE = -1, -2
"""In place of a displaced activation to join: before the search for one, and after a search that found none."""


@inlined
def rows_of(number, channel, rows, config):
    """Word, from the beginning of its part, of the first of `rows` rows of a channel's rank, group or bank `number`."""
    return (number * config.blocks + (channel >> 2)) * rows * PITCH + (channel & 3)


@compiled
def refresh(channel, arrival, dram):
    """Carry out the refreshes of a channel that fall due before it gets to a request arriving at `arrival`: `refreshed`
    banks at a time, in order."""
    lanes, config, counts = dram.lanes, dram.config, dram.counts
    time, refreshed = config.refresh_time, config.refreshed
    per_rank = config.groups * config.banks
    orders, at = config.ranks * per_rank // refreshed, config.channels_at + rows_of(0, channel, bk.CHANNEL_ROWS, config)
    next_at = index(at + bk.NEXT_REFRESH * PITCH)
    while max(arrival, lanes[index(at + bk.BUS * PITCH)]) >= lanes[next_at]:
        due = lanes[next_at]
        lanes[next_at] = due + config.refresh_interval
        counts.refreshes += 1
        order = lanes[index(at + bk.REFRESH_ORDER * PITCH)]
        lanes[index(at + bk.REFRESH_ORDER * PITCH)] = order + 1 if order + 1 < orders else 0
        if orders == 1:
            lanes[index(at + bk.BUS * PITCH)] = max(lanes[index(at + bk.BUS * PITCH)], due) + time
        first = order * refreshed
        for rank in range(first // per_rank, first // per_rank + refreshed // per_rank):
            acts = index(config.ranks_at + rows_of(rank, channel, 1, config))
            lanes[acts] = max(lanes[acts], due) + time
        for bank in range(first, first + refreshed):
            bank_at = config.banks_at + rows_of(bank, channel, config.bank_rows, config)
            next_act, open_row = index(bank_at + bk.NEXT_ACT * PITCH), index(bank_at + bk.OPEN_ROW * PITCH)
            lanes[next_act] = max(lanes[next_act], due) + time
            lanes[open_row] = min(lanes[open_row], ~lanes[open_row])


@inlined
def tagged(bank_at, row, like, lanes, config):
    """Mask of the channels whose ring has the tag of `row`. Another row rarely has the same tag."""
    at = bank_at + bk.TAGS * PITCH
    found = names(load(lanes, at, like), row)
    for _ in range(1, config.tag_rows):
        at += PITCH
        found = found | names(load(lanes, at, like), row)
    return found


@compiled
def joined(bank, channel, row, arrival, dram):
    """The word that says when the columns may be read of a displaced activation of `row`, if there is one that a
    request arriving at `arrival` can join; else NONE."""
    lanes, config = dram.lanes, dram.config
    window = config.window
    bank_at = config.banks_at + rows_of(bank, channel, config.bank_rows, config)
    ring_at = config.rings_at + rows_of(bank, channel, window * bk.RING_ROWS, config)
    newest = lanes[index(bank_at + bk.NEWEST * PITCH)]
    for back in range(1, window):
        entry = newest - back + (window if back > newest else 0)
        at = ring_at + entry * bk.RING_ROWS * PITCH
        if lanes[index(at + bk.END * PITCH)] <= arrival:
            return NONE
        if lanes[index(at + bk.RING_ROW * PITCH)] == row:
            return at + bk.READY * PITCH
    return NONE


@inlined
def displace(among, bank_at, ring_at, row, start, column, rows, lanes, config):
    """Activations of `row` at `start` displace the newest ones, of `rows`, whose columns may be read from `column` on,
    in those channels whose bits are set in `among`."""
    window = config.window
    newest_at, rows = bank_at + bk.NEWEST * PITCH, later(rows, -1 - rows)
    newest = load(lanes, newest_at, start)
    entry = lane(newest, 0)
    if width(start) > 1 and among == (1 << width(start)) - 1 and not bits(newest != entry):
        at = ring_at + entry * bk.RING_ROWS * PITCH
        store(lanes, at + bk.END * PITCH, start)
        store(lanes, at + bk.READY * PITCH, column)
        store(lanes, at + bk.RING_ROW * PITCH, rows)
        entry = entry + 1 if entry + 1 < window else 0
        store(lanes, newest_at, newest - newest + entry)
        tag_at, shift = bank_at + (bk.TAGS + (entry >> 2)) * PITCH, (entry & 3) << 4
        store(lanes, tag_at, (load(lanes, tag_at, start) & ~(TAG << shift)) | ((row & TAG) << shift))
        return
    for i in range(width(start)):
        if among >> i & 1:
            entry = lane(newest, i)
            at = ring_at + entry * bk.RING_ROWS * PITCH + i
            lanes[index(at + bk.END * PITCH)] = lane(start, i)
            lanes[index(at + bk.READY * PITCH)] = lane(column, i)
            lanes[index(at + bk.RING_ROW * PITCH)] = lane(rows, i)
            entry = entry + 1 if entry + 1 < window else 0
            lanes[index(newest_at + i)] = entry
            tag_at, shift = index(bank_at + (bk.TAGS + (entry >> 2)) * PITCH + i), (entry & 3) << 4
            lanes[tag_at] = (lanes[tag_at] & ~(TAG << shift)) | ((row & TAG) << shift)


@inlined
def accumulate(at, amounts, lanes):
    """Add to what a request accumulates."""
    store(lanes, at, load(lanes, at, amounts) + amounts)


@inlined
def visit(arrival, channel, older, address, times, dram):
    """Serve an entry in as many channels from `channel` on as `arrival` is wide. Returns False, with nothing done but
    refreshes, if one of them may be able to join a displaced activation and `older` is UNKNOWN."""
    lanes, config = dram.lanes, dram.config
    rank, row, group, bank = address
    bus_time, columns, to_act, reads = times
    at = config.channels_at + rows_of(0, channel, bk.CHANNEL_ROWS, config)
    bus = load(lanes, at + bk.BUS * PITCH, arrival)
    if bits(later(arrival, bus) >= load(lanes, at + bk.NEXT_REFRESH * PITCH, arrival)):
        for i in range(width(arrival)):
            refresh(channel + i, lane(arrival, 0), dram)
        bus = load(lanes, at + bk.BUS * PITCH, arrival)
    rank_at = config.ranks_at + rows_of(rank, channel, 1, config)
    group_at = config.groups_at + rows_of(group, channel, bk.GROUP_ROWS, config)
    bank_at = config.banks_at + rows_of(bank, channel, config.bank_rows, config)
    ring_at = config.rings_at + rows_of(bank, channel, config.window * bk.RING_ROWS, config)
    column_at = bank_at + bk.COLUMN * PITCH if older < 0 else older
    open_row = load(lanes, bank_at + bk.OPEN_ROW * PITCH, arrival)
    before = load(lanes, bank_at + bk.BEFORE * PITCH, arrival)
    if older == UNKNOWN:
        searched = (open_row != row) & (before > arrival)
        if bits(searched) and bits(searched & tagged(bank_at, row, arrival, lanes, config)):
            return False
    next_act = load(lanes, bank_at + bk.NEXT_ACT * PITCH, arrival)
    last = load(lanes, bank_at + bk.LAST * PITCH, arrival)
    column = load(lanes, column_at, arrival)
    unloaded, opens = arrival, open_row != row
    if config.closed:
        opens = opens | (arrival > last)
    opened = bits(opens) if older < 0 else 0
    if opened:
        start = later(arrival, next_act)
        if not config.closed:
            replaces = (open_row > -1) & opens
            start = pick(replaces, later(start, later(arrival, last) + config.pre_to_act), start)
            accumulate(bk.REPLACED, pick(replaces, 1, 0), lanes)
        acts = load(lanes, at + bk.ACTS * PITCH, arrival)
        rank_acts = load(lanes, rank_at, arrival)
        group_acts = load(lanes, group_at + bk.GROUP_ACTS * PITCH, arrival)
        start = later(later(start, acts), later(rank_acts, group_acts))
        store(lanes, at + bk.ACTS * PITCH, pick(opens, later(acts, arrival) + config.act_channel, acts))
        store(lanes, rank_at, pick(opens, later(rank_acts, arrival) + config.act_rank, rank_acts))
        group_acts = pick(opens, later(group_acts, arrival) + config.act_group, group_acts)
        store(lanes, group_at + bk.GROUP_ACTS * PITCH, group_acts)
        displace(opened, bank_at, ring_at, row, start, column, open_row, lanes, config)
        store(lanes, bank_at + bk.OPEN_ROW * PITCH, pick(opens, row, open_row))
        store(lanes, bank_at + bk.BEFORE * PITCH, pick(opens, start, before))
        next_act = pick(opens, start + config.row_cycle, next_act)
        start = start + config.act_to_column
        column, last = pick(opens, start, column), pick(opens, start, last)
        unloaded = pick(opens, arrival + config.act_to_column, arrival)
        accumulate(bk.OPENED, pick(opens, 1, 0), lanes)
    last_rank = load(lanes, at + bk.LAST_RANK * PITCH, arrival)
    switches = last_rank != rank
    bus_times = pick(switches, bus_time + config.rank_switch, bus_time)
    store(lanes, at + bk.LAST_RANK * PITCH, pick(switches, rank, last_rank))
    bus = later(bus, arrival) + bus_times
    store(lanes, at + bk.BUS * PITCH, bus)
    group_columns = later(load(lanes, group_at + bk.GROUP_COLUMNS * PITCH, arrival), arrival) + columns
    store(lanes, group_at + bk.GROUP_COLUMNS * PITCH, group_columns)
    first = later(arrival, column)
    after = first + columns
    store(lanes, column_at, after)
    if older < 0:
        store(lanes, bank_at + bk.LAST * PITCH, later(last, after))
    store(lanes, bank_at + bk.NEXT_ACT * PITCH, later(next_act, after + to_act))
    end = later(first + later(bus_times, columns), later(bus, group_columns))
    if reads:
        store(lanes, bk.LATEST, later(load(lanes, bk.LATEST, arrival), end))
        earliest = load(lanes, bk.EARLIEST, arrival)
        store(lanes, bk.EARLIEST, pick(end > earliest, earliest, end))
        store(lanes, bk.LONGEST, later(load(lanes, bk.LONGEST, arrival), end - unloaded - bus_times))
    else:
        store(lanes, bk.DRAINED, later(load(lanes, bk.DRAINED, arrival), end))
    return True


@inlined
def enter(entry, channel, number, rank, group, bank, row, amount, writes, config):
    """Fill an entry of the queue for `number` channels from `channel` on."""
    group += rank * config.groups
    entry.channel, entry.number, entry.rank, entry.group = channel, number, rank, group
    entry.bank, entry.row, entry.amount, entry.writes = group * config.banks + bank, row, amount, writes


@inlined
def times_of(amount, writes, config):
    """Of an entry: how long it occupies bus and bank group, how long after its last column the bank may activate, and
    whether the request waits for it."""
    to_pre = config.write_to_pre if writes else config.read_to_pre
    return (
        amount * (config.bus_time + (config.write_extra if writes else 0)),
        amount * config.group_time,
        to_pre + config.pre_to_act - config.group_time,
        not writes,
    )


@compiled
def serve_entries(first, number, arrival, dram):
    """Serve `number` entries of the queue from entry `first` on."""
    for k in range(first, first + number):
        entry = dram.entries[index(k)]
        channel, row, bank = entry.channel, entry.row, entry.bank
        stop, address = channel + entry.number, (entry.rank, row, entry.group, bank)
        times = times_of(entry.amount, entry.writes, dram.config)
        alone = channel
        while channel < stop:
            if channel >= alone and not channel & 3 and channel + 4 <= stop:
                if visit(four(arrival), channel, UNKNOWN, address, times, dram):
                    channel += 4
                else:
                    alone = channel + 4
            else:
                older = UNKNOWN
                while not visit(one(arrival), channel, older, address, times, dram):
                    older = joined(bank, channel, row, arrival, dram)
                channel += 1
