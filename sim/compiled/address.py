"""Where an address lies: cache set, partition and slice; DRAM channel, bank and row."""

from sim.compiled.jit import inlined

ROW, RANK, BANK_GROUP, BANK, CHANNEL, COLUMN = range(6)
FIELDS = {"row": ROW, "rank": RANK, "bank_group": BANK_GROUP, "bank": BANK, "channel": CHANNEL, "column": COLUMN}


@inlined
def mix(number):
    """A well-spread 31-bit hash of a line or row number (Fibonacci hashing: Knuth, TAOCP 3, section 6.4)."""
    return ((int(number) * 0x9E3779B97F4A7C1) >> 24) & 0x7FFFFFFF


@inlined
def scale(number, size):
    """A 31-bit hash as a number below `size`, without a division (Lemire, ACM TOMACS 29(1), 2019)."""
    return (number * size) >> 31


@inlined
def fold(line):
    """All bits of a line number below 2**31 folded together; one-to-one, see `unfold`."""
    return line ^ (line >> 8) ^ (line >> 16) ^ (line >> 24)


@inlined
def unfold(folded):
    """The line that `fold` made this of."""
    return folded ^ (folded >> 8)


def reciprocal(divisor):
    """Factor and shift that divide numbers below 2**31: `number * factor >> shift` is exact, and stays below 2**63
    (Granlund & Montgomery, PLDI 1994, theorem 4.2)."""
    shift = 31 + (divisor - 1).bit_length()
    return -(-(1 << shift) // divisor), shift


@inlined
def decode(chunk, order, sizes, hashed):
    """Channel, rank, bank group, bank and row of interleave `chunk`.

    `order` lists the address map's fields from the bottom and `sizes` how many values each has, so that a channel count
    that is no power of two works as any other. With `hashed`, channel and bank are rotated by an amount that depends on
    the row alone (the channel's on the bank too), which keeps the map one-to-one.
    """
    channel, rank, group, bank, row = 0, 0, 0, 0, 0
    channels, groups, banks = 1, 1, 1
    for i in range(6):
        field, size = order[i], sizes[i]
        if field == ROW:
            row = chunk
            break
        value = chunk
        if size > 1:
            chunk = value // size
            value -= chunk * size
        else:
            value = 0
        if field == CHANNEL:
            channel, channels = value, size
        elif field == RANK:
            rank = value
        elif field == BANK_GROUP:
            group, groups = value, size
        elif field == BANK:
            bank, banks = value, size
    if hashed:
        channel = (channel + mix(row * 1024 + rank * 256 + group * 32 + bank)) % channels
        folded = mix(row)
        group = (group + (folded >> 4)) % groups
        bank = (bank + (folded >> 12)) % banks
    return channel, rank, group, bank, row
