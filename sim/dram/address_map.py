"""Where an address lies in a DRAM: channel, rank, bank group, bank and row of an interleave chunk."""

from memgrain.sim.native.address import mix
from memgrain.sim.native.jit import inlined


@inlined
def blocks_in(number, size, bits):
    """How many whole blocks of `size` fit `number`; `bits` is the logarithm of `size`, or -1 if that is no power of
    two."""
    return number >> bits if bits >= 0 else number // size


@inlined
def divide(number, by):
    """`number` by a DIVISOR: below 2**31 by a product and a shift."""
    return (number * by.factor) >> by.shift if number < 1 << 31 else number // by.divisor


@inlined
def value_of(chunk, field):
    """The value of one FIELD of the address map."""
    value = divide(chunk, field.below)
    return value - divide(value, field.values) * field.values.divisor


@inlined
def locate(chunk, config):
    """Channel, rank, bank group, bank and row of interleave `chunk`, and how many chunks from it on lie in neighbouring
    channels with all else the same.

    With `hashed`, channel and bank are rotated by an amount that depends on the row alone (the channel's on the bank
    too), which keeps the map one-to-one.
    """
    position = value_of(chunk, config.channel_map)
    rank, row = value_of(chunk, config.rank_map), divide(chunk, config.row_map.below)
    group, bank = value_of(chunk, config.group_map), value_of(chunk, config.bank_map)
    channels, channel = config.channel_map.values.divisor, position
    if config.hashed:
        rotation = mix(row * 1024 + rank * 256 + group * 32 + bank)
        channel += rotation - divide(rotation, config.channel_map.values) * channels
        channel -= channels if channel >= channels else 0
        mixed, groups, banks = mix(row), config.group_map.values, config.bank_map.values
        group += mixed >> 4
        group -= divide(group, groups) * groups.divisor
        bank += mixed >> 12
        bank -= divide(bank, banks) * banks.divisor
    left = channels - max(channel, position) if config.neighbours else 1
    return channel, left, rank, group, bank, row
