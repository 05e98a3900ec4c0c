"""The state and the configuration of a DRAM.

The state of the channels is one int64 array, `lanes`. It stays raw because SIMD vectors load and store it: four
neighbouring channels are a block, and the array consists of rows of four numbers, one for each channel of a block,
since a contiguous run accesses all four alike. The rows of one bank of a block follow each other, so that an access to
a single channel touches few cache lines of the host. All else is in named records. Times are in ps.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.native.records import record_type

DIVISOR = record_type("divisor", "factor", "shift")
"""A divisor with its reciprocal, see `memgrain.sim.native.address.reciprocal`."""
FIELD = record_type(("values", DIVISOR), ("below", DIVISOR))
"""A field of the address map: how many values it has, and how many interleave chunks lie below it."""
CONFIG = record_type(
    # bytes of a smallest access, how many of them an interleave chunk has, and either's logarithm (-1: no power of two)
    "access",
    "access_bits",
    "chunk",
    "chunk_bits",
    # geometry and policies: bank groups of a rank, banks of a group
    "channels",
    "ranks",
    "groups",
    "banks",
    "hashed",
    "window",
    "closed",
    # delays and services
    "lead",
    "bus_time",
    "group_time",
    "write_extra",
    "act_rank",
    "act_group",
    "act_channel",
    "row_cycle",
    "act_to_column",
    "read_latency",
    "write_latency",
    "read_to_pre",
    "write_to_pre",
    "pre_to_act",
    "rank_switch",
    # refresh: its interval and duration, and how many banks one refreshes
    "refresh_interval",
    "refresh_time",
    "refreshed",
    # whether consecutive chunks lie in neighbouring channels; and, if every column of a row lies one round over all
    # channels and banks after the one before, the chunks of such a round (else 0) and of all columns
    "neighbours",
    "round_chunks",
    "row_chunks",
    # the address map
    ("channel_map", FIELD),
    ("rank_map", FIELD),
    ("group_map", FIELD),
    ("bank_map", FIELD),
    ("row_map", FIELD),
    # layout of `lanes`: blocks of four channels, where each part begins, rows of a bank and how many of them are tags
    "blocks",
    "channels_at",
    "ranks_at",
    "groups_at",
    "banks_at",
    "rings_at",
    "bank_rows",
    "tag_rows",
)
"""What does not change: geometry, delays, address map, and the layout of the state."""
ENTRY = record_type("channel", "number", "rank", "group", "bank", "row", "amount", "writes")
"""An entry of the queue: so many neighbouring channels, in each the same rank, group and bank (numbered within the
channel) and row, from which `amount` smallest accesses are read or written."""
COUNTS = record_type("reads", "writes", "activates", "conflicts", "refreshes")
"""What a DRAM counts, in smallest accesses and commands."""
TENSOR_COUNTS = record_type("read_bytes", "write_bytes")
"""What it counts of a tensor."""
ANSWER = record_type("done", "queue", "first", "came")
"""Of the request served last: when its last read's data are there (of one that only writes: when its last write is in
the banks), its longest wait in a queue, when its first read's data are there, and the bytes read."""

QUEUED = 64
"""Entries that the queue holds; behind them lie those of a round of a long run."""
PITCH = 4
"""Words of a row of `lanes`."""
LATEST, EARLIEST, LONGEST, OPENED, REPLACED, DRAINED = range(0, 24, 4)
"""Words of `lanes` that a request accumulates, four each: when its last and its first read leave the banks, its longest
wait in a queue, activations, those among them that displaced an open row, and when its last write enters the banks."""
PARTS = 32
"""Word of `lanes` from which the parts of the state lie."""
BUS, ACTS, NEXT_REFRESH, LAST_RANK, REFRESH_ORDER, CHANNEL_ROWS = range(6)
"""Rows of the channels: until when the bus and the activations are booked, the next refresh, the rank that the bus
served last, and which banks are refreshed next. A rank has one row: its activations."""
GROUP_ACTS, GROUP_COLUMNS, GROUP_ROWS = range(3)
"""Rows of a bank group: until when its activations and its column accesses are booked."""
NEXT_ACT, OPEN_ROW, COLUMN, LAST, BEFORE, NEWEST, TAGS = range(7)
"""Rows of a bank: when it may activate next; the row of the newest activation, or `~row` if a refresh has closed it;
when the columns of that may be read, when the last one was, and when it displaced the activation before; its entry of
the ring; and from TAGS on, a tag for each entry of the ring, four to a word: the lowest 16 bits of its row."""
END, READY, RING_ROW, RING_ROWS = range(4)
"""Rows of each entry of a bank's ring, written when its activation is displaced: when that is, when its columns may be
read, and its row."""
NO_ROW = -(2**62)
"""The newest row of a bank that was never activated."""
FOREVER = 2**62


class ChannelState(NamedTuple):
    """The arrays and records that the loops over channels read and write."""

    lanes: NDArray[np.int64]
    """See `DramArrays`."""
    entries: NDArray[np.void]
    """See `DramArrays`."""
    config: np.record
    """CONFIG."""
    counts: np.record
    """COUNTS."""


class DramArrays(NamedTuple):
    """A DRAM as arrays, single records being arrays of one: a call from Python takes 1 us with these, 9 us with
    records."""

    lanes: NDArray[np.int64]
    """The state of channels, ranks, bank groups and banks, in rows of PITCH words."""
    entries: NDArray[np.void]
    """[QUEUED + banks of a channel] of ENTRY: the queue, and a round of a long run."""
    config: NDArray[np.void]
    """[1] of CONFIG."""
    counts: NDArray[np.void]
    """[1] of COUNTS."""
    tensors: NDArray[np.void]
    """[tensor] of TENSOR_COUNTS."""
    answer: NDArray[np.void]
    """[1] of ANSWER."""
