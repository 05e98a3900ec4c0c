"""The DRAM level: channels of one standard, its constraint table made into delays and servers, and how it answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memgrain.hwmodels.main_memory import Dram as DramSpec
from memgrain.sim.dram import bank_timing as bt
from memgrain.sim.dram import state as bk
from memgrain.sim.levels.request import Request
from memgrain.sim.native.address import reciprocal

_LINE = 8
"""Words of a line of the host's cache."""


class Dram:
    """All channels. State in ps: per channel the bus and the next refresh, per rank and bank group the servers, per
    bank its rows.

    The unloaded latency of the spec is what a core measures with the row closed: what is left after activation, column
    access and burst is the way between core and controller.
    """

    def __init__(self, spec: DramSpec, tensors: tuple[str, ...]) -> None:
        self.name, self.spec, self.tensors = spec.name, spec, tensors
        self.latency, self.queue, self.first, self.came = spec.latency, 0, 0, 0
        self.book = np.zeros(bk.TENSORS + len(tensors) * bk.TENSOR_COUNTS, np.int64)
        for entries in (_geometry(spec), _times(spec), _map(spec)):
            for entry, value in entries.items():
                self.book[entry] = value
        self.state = self._lay_out()
        self.moving = np.zeros(bt.MOVING, np.int64)
        self.forget()

    def _lay_out(self) -> NDArray[np.int64]:
        """Words for the state, beginning with a line of the host's cache; the book is told where its parts begin."""
        standard, window = self.spec.standard, self.spec.window
        blocks, tags = -(-self.spec.channels // bk.PITCH), -(-window // 4)
        entries = max(bk.QUEUED, standard.banks) * bk.ENTRY
        row = blocks * bk.PITCH
        parts = {
            bk.OF_CHANNELS: bk.CHANNEL_ROWS * row,
            bk.OF_RANKS: standard.ranks * row,
            bk.OF_GROUPS: standard.ranks * standard.bank_groups * bk.GROUP_ROWS * row,
            bk.OF_BANKS: standard.banks * (bk.TAGS + tags) * row,
            bk.OF_RINGS: standard.banks * window * bk.RING_ROWS * row,
            bk.OF_ROUNDS: entries,
        }
        self.book[bk.BLOCKS], self.book[bk.BANK_ROWS], self.book[bk.TAG_WORDS] = blocks, bk.TAGS + tags, tags
        words = bk.QUEUE + bk.QUEUED * bk.ENTRY
        for part, size in parts.items():
            self.book[part] = words
            words += -(-size // _LINE) * _LINE
        state = np.zeros(words + _LINE, np.int64)
        skipped = -state.ctypes.data // 8 % _LINE
        return state[skipped : skipped + words]

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`; writes are posted: only reads are waited for."""
        bt.serve_runs(
            request.runs,
            request.indices,
            request.first,
            request.count,
            repeat,
            now,
            self.state,
            self.book,
            self.moving,
        )
        self.queue = int(self.moving[bt.QUEUE])
        self.first, self.came = int(self.moving[bt.FIRST]), int(self.moving[bt.CAME])
        return int(self.moving[bt.DONE])

    def counters(self) -> dict[str, int]:
        """Bytes by direction (and tensor), accesses, and what became of their rows."""
        size, book = self.spec.smallest_access, self.book.tolist()
        accesses = book[bk.READS] + book[bk.WRITES]
        found = {
            "read_bytes": book[bk.READS] * size,
            "write_bytes": book[bk.WRITES] * size,
            "accesses": accesses,
            "activates": book[bk.ACTIVATES],
            "row_hits": accesses - book[bk.ACTIVATES],
            "row_misses": book[bk.ACTIVATES] - book[bk.CONFLICTS],
            "row_conflicts": book[bk.CONFLICTS],
            "refreshes": book[bk.REFRESHES],
        }
        for i, tensor in enumerate(self.tensors):
            first = bk.TENSORS + i * bk.TENSOR_COUNTS
            read, write = book[first + bk.READ_BYTES], book[first + bk.WRITE_BYTES]
            if read or write:
                found[f"{tensor}.read_bytes"], found[f"{tensor}.write_bytes"] = read, write
        return found

    def forget(self) -> None:
        """Start counting and the clock anew, all rows closed; the channels' refreshes are spread over one interval."""
        book, channels = self.book, self.spec.channels
        book[bk.READS :] = 0
        self.state[:] = 0
        rows = int(book[bk.BANK_ROWS])
        size = self.spec.standard.banks * int(book[bk.BLOCKS]) * rows * bk.PITCH
        banks = self.state[book[bk.OF_BANKS] :][:size].reshape(-1, rows, bk.PITCH)
        banks[:, bk.OPEN_ROW] = bk.NO_ROW
        banks[:, bk.TAGS :] = -1
        of_channels = self.state[book[bk.OF_CHANNELS] :][: int(book[bk.BLOCKS]) * bk.CHANNEL_ROWS * bk.PITCH]
        spread = int(book[bk.REFRESH_INTERVAL]) * (1 + np.arange(channels)) // channels
        for channel in range(channels):
            block = of_channels.reshape(-1, bk.CHANNEL_ROWS, bk.PITCH)[channel // bk.PITCH]
            block[bk.NEXT_REFRESH, channel % bk.PITCH] = spread[channel]


def _geometry(spec: DramSpec) -> dict[int, int]:
    """Sizes, counts and policies, by their place in the book."""
    standard = spec.standard
    chunk = spec.interleave // spec.smallest_access
    refreshed = {"all_bank": standard.banks, "per_rank": standard.banks // standard.ranks, "per_bank": 1}
    return {
        bk.ACCESS: spec.smallest_access,
        bk.ACCESS_BITS: _bits(spec.smallest_access),
        bk.CHUNK: chunk,
        bk.CHUNK_BITS: _bits(chunk),
        bk.CHANNELS: spec.channels,
        bk.RANKS: standard.ranks,
        bk.GROUPS: standard.bank_groups,
        bk.BANKS: standard.banks_per_group,
        bk.HASHED: spec.channel_hash,
        bk.WINDOW: spec.window,
        bk.CLOSED: spec.page_policy == "closed",
        bk.REFRESHED: refreshed[standard.refresh.kind],
    }


def _bits(size: int) -> int:
    """The logarithm of a power of two, -1 for other sizes."""
    return size.bit_length() - 1 if size & (size - 1) == 0 else -1


def _times(spec: DramSpec) -> dict[int, int]:
    """Delays and services in ps at the channels' data rate, by their place in the book."""
    standard = spec.at_rate
    bursts = spec.smallest_access // standard.burst
    bus = max(spec.burst_time, bursts * standard.service("rank", "RD"))
    groups = standard.bank_groups
    turn = (
        standard.delay("rank", "RD", "WR")
        + (standard.delay("rank", "WR", "RD") * (groups - 1) + standard.delay("bank_group", "WR", "RD")) // groups
    )
    cycle = max(
        standard.delay("bank", "ACT", "ACT"),
        standard.delay("bank", "ACT", "PRE") + standard.delay("bank", "PRE", "ACT"),
    )
    every = standard.latency(standard.refresh.interval)
    return {
        bk.LEAD: spec.latency - spec.closed_row_time,
        bk.BUS_TIME: bus,
        bk.GROUP_TIME: bursts * standard.service("bank_group", "RD"),
        bk.WRITE_EXTRA: max(0, turn - 2 * bus) // spec.write_batch,
        bk.ACT_RANK: standard.service("rank", "ACT"),
        bk.ACT_GROUP: standard.service("bank_group", "ACT"),
        bk.ACT_CHANNEL: standard.service("channel", "ACT"),
        bk.ROW_CYCLE: cycle,
        bk.ACT_TO_COLUMN: standard.delay("bank", "ACT", "RD"),
        bk.READ_LATENCY: standard.timings["tCL"],
        bk.READ_TO_PRE: standard.delay("bank", "RD", "PRE"),
        bk.WRITE_TO_PRE: standard.delay("bank", "WR", "PRE"),
        bk.PRE_TO_ACT: standard.delay("bank", "PRE", "ACT"),
        bk.RANK_SWITCH: max(0, standard.delay("other_rank", "RD", "RD") - bus // bursts),
        bk.REFRESH_INTERVAL: every * _geometry(spec)[bk.REFRESHED] // standard.banks,
        bk.REFRESH_TIME: standard.latency(standard.refresh.duration),
    }


def _map(spec: DramSpec) -> dict[int, int]:
    """The address map from the bottom, by its place in the book. A channel count that is no power of two works as any
    other; fields above the row have one value."""
    standard = spec.standard
    sizes = {
        "channel": spec.channels,
        "rank": standard.ranks,
        "bank_group": standard.bank_groups,
        "bank": standard.banks_per_group,
        "column": standard.row // spec.interleave,
        "row": 1,
    }
    places = {
        "channel": bk.CHANNEL_MAP,
        "rank": bk.RANK_MAP,
        "bank_group": bk.GROUP_MAP,
        "bank": bk.BANK_MAP,
        "row": bk.ROW_MAP,
    }
    fields = list(reversed(standard.fields))
    found, below, lower = {}, {}, 1
    for i, name in enumerate(fields):
        size = sizes[name] if i < fields.index("row") else 1
        if name in places:
            for entry, divisor in ((bk.SIZE, size), (bk.BELOW, lower)):
                first = places[name] + entry
                found[first], (found[first + 1], found[first + 2]) = divisor, reciprocal(divisor)
        below[name] = lower
        lower *= size
    neighbours = below["channel"] == 1
    banks = spec.channels * standard.bank_groups * standard.banks_per_group
    rounds = neighbours and sizes["column"] > 1 and below["column"] == banks
    return found | {
        bk.NEIGHBOURS: neighbours,
        bk.ROUND: below["column"] if rounds else 0,
        bk.COLUMNS: below["column"] * sizes["column"] if rounds else 0,
    }
