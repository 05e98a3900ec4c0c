"""The entries of a DRAM's book (geometry, address map, where its state lies, counts) and of its state.

Both are one int64 array each, because an array costs a call seven arguments. Four neighbouring channels are a block,
and the state is in rows of four numbers, one of each channel: what a contiguous run asks of them is the same. The rows
of one bank of a block follow each other, so that an access to a single channel touches few lines of the host's cache.
"""

(
    # bytes of a smallest access, how many of them an interleave chunk has, and either's logarithm, -1 if it has none
    ACCESS,
    ACCESS_BITS,
    CHUNK,
    CHUNK_BITS,
    # counts; the policies
    CHANNELS,
    RANKS,
    GROUPS,
    BANKS,
    HASHED,
    WINDOW,
    CLOSED,
    # times in ps
    LEAD,
    BUS_TIME,
    GROUP_TIME,
    WRITE_EXTRA,
    ACT_RANK,
    ACT_GROUP,
    ACT_CHANNEL,
    ROW_CYCLE,
    ACT_TO_COLUMN,
    READ_LATENCY,
    READ_TO_PRE,
    WRITE_TO_PRE,
    PRE_TO_ACT,
    RANK_SWITCH,
    REFRESH_INTERVAL,
    REFRESH_TIME,
    REFRESHED,
    # whether chunks that follow each other lie in channels that do; and if every column of a row lies one round over
    # all channels and banks after the one before: the chunks of such a round (or 0), and of all columns
    NEIGHBOURS,
    ROUND,
    COLUMNS,
    # how large each of these is, and how many chunks lie below it in the address map: see `dram_map`
    CHANNEL_MAP,
    RANK_MAP,
    GROUP_MAP,
    BANK_MAP,
    ROW_MAP,
) = (*range(31), 31, 37, 43, 49, 55)
SIZE, SIZE_FACTOR, SIZE_SHIFT, BELOW, BELOW_FACTOR, BELOW_SHIFT, MAP = range(7)
"""Of each field of the address map."""
(
    # blocks of four channels, and where the parts of the state begin
    BLOCKS,
    OF_CHANNELS,
    OF_RANKS,
    OF_GROUPS,
    OF_BANKS,
    OF_RINGS,
    OF_ROUNDS,
    # rows of a bank, and how many of them are tags
    BANK_ROWS,
    TAG_WORDS,
    # counts; then those of each tensor
    READS,
    WRITES,
    ACTIVATES,
    CONFLICTS,
    REFRESHES,
    TENSORS,
) = range(ROW_MAP + MAP, ROW_MAP + MAP + 15)
READ_BYTES, WRITE_BYTES, TENSOR_COUNTS = range(3)
"""Counts of a tensor."""

LATEST, EARLIEST, LONGEST, OPENED, REPLACED = range(0, 20, 4)
"""What a request gathers, four numbers each: when its last and its first read leave the banks, its longest wait in a
queue, activations, and those among them that displaced an open row."""
QUEUE, QUEUED = 32, 64
"""Where the queue of a request's entries begins, and how many it holds."""
FIRST_CHANNEL, COUNT, RANK, GROUP, BANK, ROW, AMOUNT, IS_WRITE, ENTRY = range(9)
"""An entry: so many neighbouring channels, in each the same rank, group of the channel, bank of the channel and row,
from which so many smallest accesses are read or written."""
PITCH = 4
"""Words of a row of the state."""
BUS, ACTS, NEXT_REFRESH, LAST_RANK, TURN, CHANNEL_ROWS = range(6)
"""Rows of the channels: when the bus and the activations are booked until, the next refresh, the rank that the bus
served last, and whose turn it is to be refreshed. Of a rank there is one row: its activations."""
GROUP_ACTS, GROUP_COLUMNS, GROUP_ROWS = range(3)
"""Rows of a bank group: when its activations and its column accesses are booked until."""
NEXT_ACT, OPEN_ROW, COLUMN, LAST, BEFORE, NEWEST, TAGS = range(7)
"""Rows of a bank: when it may activate next; the row of the newest activation, or `~row` if a refresh has closed it;
when the columns of that may be read, when the last one was, and when it displaced the activation before; its place in
the ring; and from TAGS on, a tag for each place of the ring, four to a word: the lowest 16 bits of its row."""
END, READY, RING_ROW, RING_ROWS = range(4)
"""Rows of each place of a bank's ring, written when its activation is displaced: when that is, when its columns may be
read, and its row."""
NO_ROW = -(2**62)
"""The newest row of a bank that was never activated."""
FOREVER = 2**62
