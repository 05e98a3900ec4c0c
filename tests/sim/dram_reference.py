"""The DRAM channels in plain Python, access by access: what the compiled loop must agree with, number by number."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace

from memgrain.sim.dram.address_map import locate
from memgrain.sim.dram.dram import Dram
from memgrain.sim.levels.request import Request
from memgrain.sim.native.jit import compiled
from memgrain.workloads.trace import WRITE

FOREVER = 2**62


@dataclass
class Activation:
    """An entry of a bank's ring: times in ps."""

    row: int
    column: int
    """When the next column access can be."""
    last: int
    """When the last one was."""
    end: int = FOREVER
    """When the next activation displaces it."""


@dataclass
class Bank:
    next_act: int = 0
    open: bool = False
    ring: list[Activation] = field(default_factory=lambda: [Activation(-1, 0, 0)])
    """The newest one first."""


class Channel:
    """The servers and banks of one channel; banks by (rank, bank group, bank)."""

    def __init__(self, first_refresh: int) -> None:
        self.bus, self.acts, self.last_rank, self.turn, self.next_refresh = 0, 0, 0, 0, first_refresh
        self.rank_acts: Counter[int] = Counter()
        self.group_acts: Counter[tuple[int, int]] = Counter()
        self.group_columns: Counter[tuple[int, int]] = Counter()
        self.banks: defaultdict[tuple[int, int, int], Bank] = defaultdict(Bank)


@compiled
def place_of(chunk, config):  # type: ignore[no-untyped-def]
    """`locate` for tests: what is inlined is not called from Python."""
    return locate(chunk, config)


def mix(number: int) -> int:
    """A 31-bit hash: the middle of the product with the golden ratio's part of 2**60."""
    return number * 0x9E3779B97F4A7C1 >> 24 & 0x7FFFFFFF


class Reference:
    """A DRAM of the same geometry and delays as `dram`."""

    def __init__(self, dram: Dram) -> None:
        spec = self.spec = dram.spec
        self.t = SimpleNamespace(**{name: int(dram.arrays.config[0][name.lower()]) for name in TIMES})
        self.refreshed = int(dram.arrays.config[0].refreshed)
        n, every = spec.channels, self.t.REFRESH_INTERVAL
        self.channels = [Channel(every * (1 + i) // n) for i in range(n)]
        self.counts: Counter[str] = Counter()

    def decode(self, chunk: int) -> tuple[int, int, int, int, int]:
        """Channel, rank, bank group, bank and row: the fields of the address map taken off from the bottom."""
        spec, standard = self.spec, self.spec.standard
        sizes = {"channel": spec.channels, "rank": standard.ranks, "bank_group": standard.bank_groups}
        sizes |= {"bank": standard.banks_per_group, "column": standard.row // spec.interleave}
        value = dict.fromkeys(sizes, 0)
        seen = dict.fromkeys(sizes, 1)
        for name in reversed(standard.fields):
            if name == "row":
                break
            chunk, value[name] = divmod(chunk, sizes[name])
            seen[name] = sizes[name]
        channel, rank, group, bank = (value[name] for name in ("channel", "rank", "bank_group", "bank"))
        if spec.channel_hash:
            channel = (channel + mix(chunk * 1024 + rank * 256 + group * 32 + bank)) % seen["channel"]
            group = (group + (mix(chunk) >> 4)) % seen["bank_group"]
            bank = (bank + (mix(chunk) >> 12)) % seen["bank"]
        return channel, rank, group, bank, chunk

    def refresh(self, channel: Channel, arrival: int) -> None:
        standard, t = self.spec.standard, self.t
        places = [
            (rank, group, bank)
            for rank in range(standard.ranks)
            for group in range(standard.bank_groups)
            for bank in range(standard.banks_per_group)
        ]
        while max(arrival, channel.bus) >= channel.next_refresh:
            due, whole = channel.next_refresh, self.refreshed == len(places)
            self.counts["refreshes"] += 1
            if whole:
                channel.bus = max(channel.bus, due) + t.REFRESH_TIME
            turn = places[channel.turn * self.refreshed :][: self.refreshed]
            if self.refreshed > 1 or len(places) == standard.ranks:
                for rank in sorted({rank for rank, _, _ in turn}):
                    channel.rank_acts[rank] = max(channel.rank_acts[rank], due) + t.REFRESH_TIME
            for place in turn:
                bank = channel.banks[place]
                bank.next_act, bank.open = max(bank.next_act, due) + t.REFRESH_TIME, False
            channel.turn = (channel.turn + 1) % (len(places) // self.refreshed)
            channel.next_refresh = due + t.REFRESH_INTERVAL

    def joined(self, bank: Bank, row: int, arrival: int) -> Activation | None:
        newest = bank.ring[0]
        if bank.open and newest.row == row:
            return newest if self.spec.page_policy == "open" or arrival <= newest.last else None
        for entry in bank.ring[1 : self.spec.window]:
            if entry.end <= arrival:
                return None
            if entry.row == row:
                return entry
        return None

    def activate(self, channel: Channel, place: tuple[int, int, int], row: int, arrival: int) -> Activation:
        t, bank, (rank, group, _) = self.t, channel.banks[place], place
        start = max(arrival, bank.next_act)
        if bank.open and self.spec.page_policy == "open":
            self.counts["row_conflicts"] += 1
            start = max(start, max(arrival, bank.ring[0].last) + t.PRE_TO_ACT)
        start = max(start, channel.rank_acts[rank], channel.group_acts[rank, group], channel.acts)
        channel.acts = max(channel.acts, arrival) + t.ACT_CHANNEL
        channel.rank_acts[rank] = max(channel.rank_acts[rank], arrival) + t.ACT_RANK
        channel.group_acts[rank, group] = max(channel.group_acts[rank, group], arrival) + t.ACT_GROUP
        bank.ring[0].end = start
        entry = Activation(row, start + t.ACT_TO_COLUMN, start + t.ACT_TO_COLUMN)
        bank.ring.insert(0, entry)
        bank.open, bank.next_act = True, start + t.ROW_CYCLE
        self.counts["activates"] += 1
        return entry

    def access(self, chunk: int, accesses: int, writes: bool, now: int) -> tuple[int, int]:
        """End of the data, and the waiting time in it."""
        t, (number, rank, group, bank_number, row) = self.t, self.decode(chunk)
        channel, arrival = self.channels[number], now + self.t.LEAD
        self.refresh(channel, arrival)
        place = rank, group, bank_number
        bank = channel.banks[place]
        entry, unloaded = self.joined(bank, row, arrival), arrival
        if entry is None:
            entry, unloaded = self.activate(channel, place, row, arrival), arrival + t.ACT_TO_COLUMN
        bus = accesses * (t.BUS_TIME + (t.WRITE_EXTRA if writes else 0))
        if rank != channel.last_rank:
            channel.last_rank, bus = rank, bus + t.RANK_SWITCH
        columns = accesses * t.GROUP_TIME
        channel.bus = max(channel.bus, arrival) + bus
        channel.group_columns[rank, group] = max(channel.group_columns[rank, group], arrival) + columns
        first = max(arrival, entry.column)
        entry.column = first + columns
        entry.last = max(entry.last, entry.column)
        last = max(first + max(bus, columns), channel.bus, channel.group_columns[rank, group])
        to_pre = t.WRITE_TO_PRE if writes else t.READ_TO_PRE
        bank.next_act = max(bank.next_act, entry.column - t.GROUP_TIME + to_pre + t.PRE_TO_ACT)
        return last + (t.WRITE_LATENCY if writes else t.READ_LATENCY), last - unloaded - bus

    def serve(self, request: Request, repeat: int, now: int) -> tuple[int, int, int, int]:
        """When the last and the first read's data are there (of writes alone, when the last is done), the bytes read,
        the longest wait."""
        size, interleave = self.spec.smallest_access, self.spec.interleave
        done, drained, begins, came, queue = now, now, FOREVER, 0, 0
        for run in request.runs[request.first : request.first + request.count].tolist():
            base, stride, count, width, index, advance, op, tensor, _ = run
            for i in range(count):
                step = i if index < 0 else int(request.indices[index + repeat * advance + i])
                low = base + step * stride + (repeat * advance if index < 0 else 0)
                position, high = low // size * size, -(-(low + width) // size) * size
                while position < high:
                    stop = min((position // interleave + 1) * interleave, high)
                    end, wait = self.access(position // interleave, (stop - position) // size, op == WRITE, now)
                    way = "write" if op == WRITE else "read"
                    self.counts[f"{way}_bytes"] += stop - position
                    self.counts[f"{'ABC'[tensor]}.{way}_bytes"] += stop - position
                    if op == WRITE:
                        drained = max(drained, end)
                    else:
                        done, begins, queue = max(done, end), min(begins, end), max(queue, wait)
                        came += stop - position
                    position = stop
        return done if came else drained, begins, came, queue


TIMES = (
    "LEAD", "BUS_TIME", "GROUP_TIME", "WRITE_EXTRA", "ACT_RANK", "ACT_GROUP", "ACT_CHANNEL", "ROW_CYCLE",
    "ACT_TO_COLUMN", "READ_LATENCY", "WRITE_LATENCY", "READ_TO_PRE", "WRITE_TO_PRE", "PRE_TO_ACT", "RANK_SWITCH",
    "REFRESH_INTERVAL", "REFRESH_TIME",
)  # fmt: skip
"""Delays and services that the reference takes as they are; `test_dram` looks after them."""
