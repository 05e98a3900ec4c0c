"""A long contiguous run in closed form: after a round over all channels and banks, those over the other columns of the
same rows add the same times again.

All chunks of a request arrive together. So once a round has come to every bank of a channel, the servers are booked
beyond the arrival, and each further access to the open rows pushes its bus, its bank group and its bank on by the
same times: as many are one product. That is not so for a channel of which a refresh falls due on the way or in which
some row is not the one of the bank's newest activation; its block of channels is served access by access.
"""

from memgrain.sim.cache.ways import index
from memgrain.sim.dram import state as bk
from memgrain.sim.dram.address_map import locate
from memgrain.sim.dram.simd import bits, four, later, load, store
from memgrain.sim.dram.visit import PITCH, enter, of, serve_entries, times_of
from memgrain.sim.native.jit import compiled, inlined


@inlined
def again(arrival, channel, first, entries, rounds, state, book):
    """Serve `entries` entries, from word `first` on, another `rounds` times in the four channels from `channel` on;
    returns False, with nothing done, if that is no product."""
    writes, row = state[index(first + bk.IS_WRITE)], state[index(first + bk.ROW)]
    bus_time, columns, to_act, reads = times_of(state[index(first + bk.AMOUNT)], writes, book)
    at = book[bk.OF_CHANNELS] + of(0, channel, bk.CHANNEL_ROWS, book)
    bus = load(state, at + bk.BUS * PITCH, arrival)
    last_bus = bus + (entries * rounds - 1) * bus_time
    fits = load(state, at + bk.NEXT_REFRESH * PITCH, arrival) > last_bus
    fits = fits & (load(state, at + bk.LAST_RANK * PITCH, arrival) == state[index(first + bk.RANK)])
    if reads:
        earliest = min(state[bk.EARLIEST], state[bk.EARLIEST + 1], state[bk.EARLIEST + 2], state[bk.EARLIEST + 3])
        fits = fits & (bus + bus_time >= earliest)
    for k in range(entries):
        bank = state[index(first + k * bk.ENTRY + bk.BANK)]
        bank_at = book[bk.OF_BANKS] + of(bank, channel, book[bk.BANK_ROWS], book)
        fits = fits & (load(state, bank_at + bk.OPEN_ROW * PITCH, arrival) == row)
    if bits(fits) != 0xF:
        return False
    end = last_bus + bus_time
    store(state, at + bk.BUS * PITCH, end)
    for k in range(entries):
        bank, group = state[index(first + k * bk.ENTRY + bk.BANK)], state[index(first + k * bk.ENTRY + bk.GROUP)]
        bank_at = book[bk.OF_BANKS] + of(bank, channel, book[bk.BANK_ROWS], book)
        columns_at = book[bk.OF_GROUPS] + of(group, channel, bk.GROUP_ROWS, book) + bk.GROUP_COLUMNS * PITCH
        after = load(state, bank_at + bk.COLUMN * PITCH, arrival) + rounds * columns
        store(state, bank_at + bk.COLUMN * PITCH, after)
        store(state, bank_at + bk.LAST * PITCH, later(load(state, bank_at + bk.LAST * PITCH, arrival), after))
        next_act = load(state, bank_at + bk.NEXT_ACT * PITCH, arrival)
        store(state, bank_at + bk.NEXT_ACT * PITCH, later(next_act, after + to_act))
        group_columns = load(state, columns_at, arrival) + rounds * columns
        store(state, columns_at, group_columns)
        end = later(end, later(after - columns + max(bus_time, columns), group_columns))
    if reads:
        store(state, bk.LATEST, later(load(state, bk.LATEST, arrival), end))
        store(state, bk.LONGEST, later(load(state, bk.LONGEST, arrival), end - arrival - bus_time))
    return True


@compiled
def stream(chunk, count, amount, writes, arrival, state, book):
    """Serve chunks from `chunk` on, `count` at most, if at least two rounds over one row of all banks lie there;
    returns how many were served. Nothing may be in the queue."""
    size, channels = book[bk.ROUND], book[bk.CHANNELS]
    rounds = min(count, book[bk.COLUMNS] - chunk % book[bk.COLUMNS]) // size
    if rounds < 2 or chunk % channels:
        return 0
    first, entries = book[bk.OF_ROUNDS], size // channels
    for k in range(entries):
        _, _, rank, group, bank, row = locate(chunk + k * channels, book)
        enter(first + k * bk.ENTRY, 0, channels, rank, group, bank, row, amount, writes, state, book)
    serve_entries(first, entries, arrival, state, book)
    for block in range(0, channels, 4):
        number = min(channels - block, 4)
        if number == 4 and again(four(arrival), block, first, entries, rounds - 1, state, book):
            continue
        for k in range(entries):
            state[index(first + k * bk.ENTRY + bk.FIRST_CHANNEL)] = block
            state[index(first + k * bk.ENTRY + bk.COUNT)] = number
        for _ in range(1, rounds):
            serve_entries(first, entries, arrival, state, book)
    return rounds * size
