"""What one entry of the queue does to the channels that it asks: refreshes that are due, activations, columns, buses.

`visit` is written once for one channel and for four neighbouring ones, see `dram_lanes`.
"""

import numpy as np

from memgrain.sim.cache.ways import index
from memgrain.sim.dram import state as bk
from memgrain.sim.dram.simd import bits, four, lane, later, load, names, one, pick, store, width
from memgrain.sim.native.jit import compiled, inlined

PITCH, TAG = bk.PITCH, np.int64(0xFFFF)
UNKNOWN, NONE = -1, -2
"""Whether a displaced activation can be joined, before it was searched for and after none was found."""


@inlined
def of(number, channel, rows, book):
    """Where the rows of a channel's rank, group or bank `number` begin, which has so many."""
    return (number * book[bk.BLOCKS] + (channel >> 2)) * rows * PITCH + (channel & 3)


@compiled
def refresh(channel, arrival, state, book):
    """Carry out the refreshes that fall due before the channel gets to a request arriving at `arrival`: of the banks
    whose turn it is, REFRESHED at a time."""
    time, refreshed = book[bk.REFRESH_TIME], book[bk.REFRESHED]
    per_rank = book[bk.GROUPS] * book[bk.BANKS]
    turns, at = book[bk.RANKS] * per_rank // refreshed, book[bk.OF_CHANNELS] + of(0, channel, bk.CHANNEL_ROWS, book)
    next_at = index(at + bk.NEXT_REFRESH * PITCH)
    while max(arrival, state[index(at + bk.BUS * PITCH)]) >= state[next_at]:
        due = state[next_at]
        state[next_at] = due + book[bk.REFRESH_INTERVAL]
        book[bk.REFRESHES] += 1
        turn = state[index(at + bk.TURN * PITCH)]
        state[index(at + bk.TURN * PITCH)] = turn + 1 if turn + 1 < turns else 0
        if turns == 1:
            state[index(at + bk.BUS * PITCH)] = max(state[index(at + bk.BUS * PITCH)], due) + time
        first = turn * refreshed
        for rank in range(first // per_rank, first // per_rank + refreshed // per_rank):
            acts = index(book[bk.OF_RANKS] + of(rank, channel, 1, book))
            state[acts] = max(state[acts], due) + time
        for bank in range(first, first + refreshed):
            bank_at = book[bk.OF_BANKS] + of(bank, channel, book[bk.BANK_ROWS], book)
            next_act, open_row = index(bank_at + bk.NEXT_ACT * PITCH), index(bank_at + bk.OPEN_ROW * PITCH)
            state[next_act] = max(state[next_act], due) + time
            state[open_row] = min(state[open_row], ~state[open_row])


@inlined
def tagged(bank_at, row, like, state, book):
    """Mask of those channels whose ring has the tag of `row`, which is rarely that of another row."""
    at = bank_at + bk.TAGS * PITCH
    found = names(load(state, at, like), row)
    for _ in range(1, book[bk.TAG_WORDS]):
        at += PITCH
        found = found | names(load(state, at, like), row)
    return found


@compiled
def joined(bank, channel, row, arrival, state, book):
    """Where it stands when the columns may be read of a displaced activation of `row` that a request arriving at
    `arrival` can join, or NONE."""
    window = book[bk.WINDOW]
    bank_at = book[bk.OF_BANKS] + of(bank, channel, book[bk.BANK_ROWS], book)
    ring_at = book[bk.OF_RINGS] + of(bank, channel, window * bk.RING_ROWS, book)
    newest = state[index(bank_at + bk.NEWEST * PITCH)]
    for back in range(1, window):
        place = newest - back + (window if back > newest else 0)
        at = ring_at + place * bk.RING_ROWS * PITCH
        if state[index(at + bk.END * PITCH)] <= arrival:
            return NONE
        if state[index(at + bk.RING_ROW * PITCH)] == row:
            return at + bk.READY * PITCH
    return NONE


@inlined
def displace(among, bank_at, ring_at, row, start, column, rows, state, book):
    """Activations of `row` at `start` displace the newest ones, of `rows`, whose columns may be read from `column` on,
    in those channels whose bits are set in `among`."""
    window = book[bk.WINDOW]
    newest_at, rows = bank_at + bk.NEWEST * PITCH, later(rows, -1 - rows)
    newest = load(state, newest_at, start)
    place = lane(newest, 0)
    if width(start) > 1 and among == (1 << width(start)) - 1 and not bits(newest != place):
        at = ring_at + place * bk.RING_ROWS * PITCH
        store(state, at + bk.END * PITCH, start)
        store(state, at + bk.READY * PITCH, column)
        store(state, at + bk.RING_ROW * PITCH, rows)
        place = place + 1 if place + 1 < window else 0
        store(state, newest_at, newest - newest + place)
        tag_at, shift = bank_at + (bk.TAGS + (place >> 2)) * PITCH, (place & 3) << 4
        store(state, tag_at, (load(state, tag_at, start) & ~(TAG << shift)) | ((row & TAG) << shift))
        return
    for i in range(width(start)):
        if among >> i & 1:
            place = lane(newest, i)
            at = ring_at + place * bk.RING_ROWS * PITCH + i
            state[index(at + bk.END * PITCH)] = lane(start, i)
            state[index(at + bk.READY * PITCH)] = lane(column, i)
            state[index(at + bk.RING_ROW * PITCH)] = lane(rows, i)
            place = place + 1 if place + 1 < window else 0
            state[index(newest_at + i)] = place
            tag_at, shift = index(bank_at + (bk.TAGS + (place >> 2)) * PITCH + i), (place & 3) << 4
            state[tag_at] = (state[tag_at] & ~(TAG << shift)) | ((row & TAG) << shift)


@inlined
def gather(at, lanes, state):
    """Add up what a request gathers."""
    store(state, at, load(state, at, lanes) + lanes)


@inlined
def visit(arrival, channel, older, place, times, state, book):
    """Serve an entry in as many channels from `channel` on as `arrival` is wide. Returns False, with nothing done but
    refreshes, if one of them may be able to join a displaced activation and `older` is UNKNOWN."""
    rank, row, group, bank = place
    bus_time, columns, to_act, reads = times
    at = book[bk.OF_CHANNELS] + of(0, channel, bk.CHANNEL_ROWS, book)
    bus = load(state, at + bk.BUS * PITCH, arrival)
    if bits(later(arrival, bus) >= load(state, at + bk.NEXT_REFRESH * PITCH, arrival)):
        for i in range(width(arrival)):
            refresh(channel + i, lane(arrival, 0), state, book)
        bus = load(state, at + bk.BUS * PITCH, arrival)
    rank_at = book[bk.OF_RANKS] + of(rank, channel, 1, book)
    group_at = book[bk.OF_GROUPS] + of(group, channel, bk.GROUP_ROWS, book)
    bank_at = book[bk.OF_BANKS] + of(bank, channel, book[bk.BANK_ROWS], book)
    ring_at = book[bk.OF_RINGS] + of(bank, channel, book[bk.WINDOW] * bk.RING_ROWS, book)
    column_at = bank_at + bk.COLUMN * PITCH if older < 0 else older
    open_row = load(state, bank_at + bk.OPEN_ROW * PITCH, arrival)
    before = load(state, bank_at + bk.BEFORE * PITCH, arrival)
    if older == UNKNOWN:
        searched = (open_row != row) & (before > arrival)
        if bits(searched) and bits(searched & tagged(bank_at, row, arrival, state, book)):
            return False
    next_act = load(state, bank_at + bk.NEXT_ACT * PITCH, arrival)
    last = load(state, bank_at + bk.LAST * PITCH, arrival)
    column = load(state, column_at, arrival)
    unloaded, opens = arrival, open_row != row
    if book[bk.CLOSED]:
        opens = opens | (arrival > last)
    opened = bits(opens) if older < 0 else 0
    if opened:
        start = later(arrival, next_act)
        if not book[bk.CLOSED]:
            replaces = (open_row > -1) & opens
            start = pick(replaces, later(start, later(arrival, last) + book[bk.PRE_TO_ACT]), start)
            gather(bk.REPLACED, pick(replaces, 1, 0), state)
        acts = load(state, at + bk.ACTS * PITCH, arrival)
        rank_acts = load(state, rank_at, arrival)
        group_acts = load(state, group_at + bk.GROUP_ACTS * PITCH, arrival)
        start = later(later(start, acts), later(rank_acts, group_acts))
        store(state, at + bk.ACTS * PITCH, pick(opens, later(acts, arrival) + book[bk.ACT_CHANNEL], acts))
        store(state, rank_at, pick(opens, later(rank_acts, arrival) + book[bk.ACT_RANK], rank_acts))
        group_acts = pick(opens, later(group_acts, arrival) + book[bk.ACT_GROUP], group_acts)
        store(state, group_at + bk.GROUP_ACTS * PITCH, group_acts)
        displace(opened, bank_at, ring_at, row, start, column, open_row, state, book)
        store(state, bank_at + bk.OPEN_ROW * PITCH, pick(opens, row, open_row))
        store(state, bank_at + bk.BEFORE * PITCH, pick(opens, start, before))
        next_act = pick(opens, start + book[bk.ROW_CYCLE], next_act)
        start = start + book[bk.ACT_TO_COLUMN]
        column, last = pick(opens, start, column), pick(opens, start, last)
        unloaded = pick(opens, arrival + book[bk.ACT_TO_COLUMN], arrival)
        gather(bk.OPENED, pick(opens, 1, 0), state)
    last_rank = load(state, at + bk.LAST_RANK * PITCH, arrival)
    switches = last_rank != rank
    bus_times = pick(switches, bus_time + book[bk.RANK_SWITCH], bus_time)
    store(state, at + bk.LAST_RANK * PITCH, pick(switches, rank, last_rank))
    bus = later(bus, arrival) + bus_times
    store(state, at + bk.BUS * PITCH, bus)
    group_columns = later(load(state, group_at + bk.GROUP_COLUMNS * PITCH, arrival), arrival) + columns
    store(state, group_at + bk.GROUP_COLUMNS * PITCH, group_columns)
    first = later(arrival, column)
    after = first + columns
    store(state, column_at, after)
    if older < 0:
        store(state, bank_at + bk.LAST * PITCH, later(last, after))
    store(state, bank_at + bk.NEXT_ACT * PITCH, later(next_act, after + to_act))
    if reads:
        end = later(first + later(bus_times, columns), later(bus, group_columns))
        store(state, bk.LATEST, later(load(state, bk.LATEST, arrival), end))
        earliest = load(state, bk.EARLIEST, arrival)
        store(state, bk.EARLIEST, pick(end > earliest, earliest, end))
        store(state, bk.LONGEST, later(load(state, bk.LONGEST, arrival), end - unloaded - bus_times))
    return True


@inlined
def enter(at, channel, count, rank, group, bank, row, amount, writes, state, book):
    """Write the entry at word `at` of the state."""
    group += rank * book[bk.GROUPS]
    state[index(at + bk.FIRST_CHANNEL)] = channel
    state[index(at + bk.COUNT)] = count
    state[index(at + bk.RANK)] = rank
    state[index(at + bk.GROUP)] = group
    state[index(at + bk.BANK)] = group * book[bk.BANKS] + bank
    state[index(at + bk.ROW)] = row
    state[index(at + bk.AMOUNT)] = amount
    state[index(at + bk.IS_WRITE)] = writes


@inlined
def times_of(amount, writes, book):
    """Of an entry: how long it occupies bus and bank group, how long after its last column the bank may activate, and
    whether it is waited for."""
    to_pre = book[bk.WRITE_TO_PRE] if writes else book[bk.READ_TO_PRE]
    return (
        amount * (book[bk.BUS_TIME] + (book[bk.WRITE_EXTRA] if writes else 0)),
        amount * book[bk.GROUP_TIME],
        to_pre + book[bk.PRE_TO_ACT] - book[bk.GROUP_TIME],
        not writes,
    )


@compiled
def serve_entries(first, count, arrival, state, book):
    """Serve `count` entries of the queue, which begin at word `first` of the state."""
    for k in range(count):
        at = first + k * bk.ENTRY
        channel, row = state[index(at + bk.FIRST_CHANNEL)], state[index(at + bk.ROW)]
        stop, bank = channel + state[index(at + bk.COUNT)], state[index(at + bk.BANK)]
        place = (state[index(at + bk.RANK)], row, state[index(at + bk.GROUP)], bank)
        times = times_of(state[index(at + bk.AMOUNT)], state[index(at + bk.IS_WRITE)], book)
        alone = channel
        while channel < stop:
            if channel >= alone and not channel & 3 and channel + 4 <= stop:
                if visit(four(arrival), channel, UNKNOWN, place, times, state, book):
                    channel += 4
                else:
                    alone = channel + 4
            else:
                older = UNKNOWN
                while not visit(one(arrival), channel, older, place, times, state, book):
                    older = joined(bank, channel, row, arrival, state, book)
                channel += 1
