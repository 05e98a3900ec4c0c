"""A long contiguous run in closed form: after a round over all channels and banks, those over the other columns of the
same rows add the same times again.

All chunks of a request arrive together. Once a round has reached every bank of a channel, the servers are booked beyond
the arrival, and each further access to the open rows delays its bus, its bank group and its bank by the same times: the
delay of many accesses is one product. This does not hold for a channel with a refresh on the way, or with a row that is
not the one of the bank's newest activation; its block of channels is served access by access.
"""

import numpy as np

from memgrain.sim.cache.ways import index
from memgrain.sim.dram import state as bk
from memgrain.sim.dram.address_map import locate
from memgrain.sim.dram.simd import bits, four, later, load, store
from memgrain.sim.dram.visit import PITCH, enter, rows_of, serve_entries, times_of
from memgrain.sim.native.jit import compiled, inlined


@inlined
def repeat_round(arrival, channel, first, number, rounds, dram):
    """Serve `number` entries, from entry `first` on, another `rounds` times in the four channels from `channel` on;
    returns False, with nothing done, where the rounds do not all add the same times."""
    lanes, config, round_ = dram.lanes, dram.config, dram.entries[index(first)]
    row, rank = round_.row, round_.rank
    bus_time, columns, to_act, reads = times_of(round_.amount, round_.writes, config)
    at = config.channels_at + rows_of(0, channel, bk.CHANNEL_ROWS, config)
    bus = load(lanes, at + bk.BUS * PITCH, arrival)
    last_bus = bus + (number * rounds - 1) * bus_time
    fits = load(lanes, at + bk.NEXT_REFRESH * PITCH, arrival) > last_bus
    fits = fits & (load(lanes, at + bk.LAST_RANK * PITCH, arrival) == rank)
    if reads:
        earliest = min(lanes[bk.EARLIEST], lanes[bk.EARLIEST + 1], lanes[bk.EARLIEST + 2], lanes[bk.EARLIEST + 3])
        fits = fits & (bus + bus_time >= earliest)
    for k in range(first, first + number):
        bank = dram.entries[index(k)].bank
        bank_at = config.banks_at + rows_of(bank, channel, config.bank_rows, config)
        fits = fits & (load(lanes, bank_at + bk.OPEN_ROW * PITCH, arrival) == row)
    if bits(fits) != 0xF:
        return False
    end = last_bus + bus_time
    store(lanes, at + bk.BUS * PITCH, end)
    for k in range(first, first + number):
        bank, group = dram.entries[index(k)].bank, dram.entries[index(k)].group
        bank_at = config.banks_at + rows_of(bank, channel, config.bank_rows, config)
        columns_at = config.groups_at + rows_of(group, channel, bk.GROUP_ROWS, config) + bk.GROUP_COLUMNS * PITCH
        after = load(lanes, bank_at + bk.COLUMN * PITCH, arrival) + rounds * columns
        store(lanes, bank_at + bk.COLUMN * PITCH, after)
        store(lanes, bank_at + bk.LAST * PITCH, later(load(lanes, bank_at + bk.LAST * PITCH, arrival), after))
        next_act = load(lanes, bank_at + bk.NEXT_ACT * PITCH, arrival)
        store(lanes, bank_at + bk.NEXT_ACT * PITCH, later(next_act, after + to_act))
        group_columns = load(lanes, columns_at, arrival) + rounds * columns
        store(lanes, columns_at, group_columns)
        end = later(end, later(after - columns + max(bus_time, columns), group_columns))
    if reads:
        store(lanes, bk.LATEST, later(load(lanes, bk.LATEST, arrival), end))
        store(lanes, bk.LONGEST, later(load(lanes, bk.LONGEST, arrival), end - arrival - bus_time))
    else:
        store(lanes, bk.DRAINED, later(load(lanes, bk.DRAINED, arrival), end))
    return True


@compiled
def serve_rounds(chunk, count, amount, writes, arrival, dram):
    """Serve chunks from `chunk` on, `count` at most, if at least two rounds over one row of all banks lie there;
    returns how many were served. The queue must be empty."""
    config = dram.config
    size, channels = config.round_chunks, config.channels
    rounds = min(count, config.row_chunks - chunk % config.row_chunks) // size
    if rounds < 2 or chunk % channels:
        return 0
    first, number = np.int64(bk.QUEUED), size // channels
    for k in range(number):
        _, _, rank, group, bank, row = locate(chunk + k * channels, config)
        enter(dram.entries[index(first + k)], 0, channels, rank, group, bank, row, amount, writes, config)
    serve_entries(first, number, arrival, dram)
    for block in range(0, channels, 4):
        wide = min(channels - block, 4)
        if wide == 4 and repeat_round(four(arrival), block, first, number, rounds - 1, dram):
            continue
        for k in range(first, first + number):
            entry = dram.entries[index(k)]
            entry.channel, entry.number = block, wide
        for _ in range(1, rounds):
            serve_entries(first, number, arrival, dram)
    return rounds * size
