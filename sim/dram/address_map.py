"""Where an address lies in a DRAM: channel, rank, bank group, bank and row of an interleave chunk."""

from memgrain.sim.dram.state import BANK_MAP, BELOW, CHANNEL_MAP, GROUP_MAP, HASHED, NEIGHBOURS, RANK_MAP, ROW_MAP, SIZE
from memgrain.sim.native.address import mix
from memgrain.sim.native.jit import inlined


@inlined
def parted(number, size, bits):
    """How often `size` goes into `number`; `bits` is its logarithm, or -1 if it is no power of two."""
    return number >> bits if bits >= 0 else number // size


@inlined
def divide(number, at, book):
    """`number` by the divisor whose value, factor and shift are in the book from `at` on, see `address.reciprocal`."""
    return (number * book[at + 1]) >> book[at + 2] if number < 1 << 31 else number // book[at]


@inlined
def field(chunk, at, book):
    """The value of one field of the address map."""
    value = divide(chunk, at + BELOW, book)
    return value - divide(value, at + SIZE, book) * book[at + SIZE]


@inlined
def locate(chunk, book):
    """Channel, rank, bank group, bank and row of interleave `chunk`, and how many chunks from it on lie in neighbouring
    channels with all else the same.

    With `HASHED`, channel and bank are rotated by an amount that depends on the row alone (the channel's on the bank
    too), which keeps the map one-to-one.
    """
    position = field(chunk, CHANNEL_MAP, book)
    rank, row = field(chunk, RANK_MAP, book), divide(chunk, ROW_MAP + BELOW, book)
    group, bank = field(chunk, GROUP_MAP, book), field(chunk, BANK_MAP, book)
    channels, channel = book[CHANNEL_MAP + SIZE], position
    if book[HASHED]:
        turn = mix(row * 1024 + rank * 256 + group * 32 + bank)
        channel += turn - divide(turn, CHANNEL_MAP + SIZE, book) * channels
        channel -= channels if channel >= channels else 0
        folded = mix(row)
        group += folded >> 4
        group -= divide(group, GROUP_MAP + SIZE, book) * book[GROUP_MAP + SIZE]
        bank += folded >> 12
        bank -= divide(bank, BANK_MAP + SIZE, book) * book[BANK_MAP + SIZE]
    left = channels - max(channel, position) if book[NEIGHBOURS] else 1
    return channel, left, rank, group, bank, row
