"""One channel of a DRAM standard by itself, kept busy with reads, for comparison with cycle-level DRAM simulators."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from memgrain.hwmodels.main_memory import Dram as DramSpec
from memgrain.hwmodels.standard import DramStandard
from memgrain.sim.dram.dram import Dram
from memgrain.sim.levels.level import PS
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.workloads.trace import RUN

CAPACITY = 8 << 30
"""Bytes of the channel: enough that rows drawn at random are distinct."""


@dataclass(frozen=True)
class CompletedReads:
    """The reads whose data arrived within the time."""

    count: int
    """Number of these reads."""
    activates: int
    """Row activations for them."""
    bandwidth: float
    """Bytes a second over the whole time."""

    @property
    def row_hits(self) -> int:
        """Reads that needed no activation of their own."""
        return self.count - self.activates


def one_channel(standard: DramStandard, window: int, page_policy: Literal["open", "closed"]) -> DramSpec:
    """A memory that is one channel of `standard` at the data rate of its clock, its controller beside the core.

    Consecutive bursts follow the standard's address map. `window` requests a bank can be reordered.
    """
    closed_row_time = standard.delay("bank", "ACT", "RD") + standard.timings["tCL"] + standard.burst_time
    return DramSpec.model_validate(
        {
            "kind": "dram",
            "name": "channel",
            "standard": standard,
            "capacity": f"{CAPACITY} B",
            "channels": 1,
            "bandwidth": f"{standard.peak} B/s",
            "latency": f"{closed_row_time} ps",
            "interleave": f"{standard.burst} B",
            "channel_hash": False,
            "smallest_access": f"{standard.burst} B",
            "window": window,
            "page_policy": page_policy,
            "write_batch": 16,
        }
    )


@dataclass(frozen=True)
class Queues:
    """Capacities of a controller's queues of reads."""

    transactions: int
    """Reads that wait for room in the queue of their bank; the oldest whose queue has room moves on."""
    bank: int
    """Reads of one bank that wait for their column access."""


def keep_busy(spec: DramSpec, addresses: Iterable[int], time: int, queues: Queues) -> CompletedReads:
    """Read a burst at each of `addresses` until `time` (ps), each as soon as the controller's queues have room.

    Activations of reads that are still under way at the end are not counted; the count assumes that every read
    activates as much as another.
    """
    dram, coming = Dram(spec, ("X",)), iter(addresses)
    runs = np.zeros(1, RUN)
    runs["count"], runs["bytes"], runs["index"] = 1, spec.smallest_access, -1
    request, base = Request(runs, NO_INDEX, 0, 1), runs["base"]
    after_column = spec.at_rate.timings["tCL"] + spec.burst_time
    banks: defaultdict[int, deque[int]] = defaultdict(deque)
    waiting: deque[tuple[int, int]] = deque()
    ends: list[int] = []
    now = 0
    while now <= time:
        waiting.extend(
            (address, _bank(spec, address)) for address in islice(coming, queues.transactions - len(waiting))
        )
        if not waiting:
            break
        for queue in banks.values():
            while queue and queue[0] <= now:
                queue.popleft()
        next_read = next((i for i, (_, bank) in enumerate(waiting) if len(banks[bank]) < queues.bank), None)
        if next_read is None:
            now = min(banks[bank][0] for _, bank in waiting)
            continue
        base[0], bank = waiting[next_read]
        del waiting[next_read]
        ends.append(dram.serve(request, 0, 0, now))
        insort(banks[bank], ends[-1] - after_column)
    ended = sum(end <= time for end in ends)
    activates = round(dram.counters()["activates"] * ended / len(ends))
    return CompletedReads(ended, activates, ended * spec.smallest_access * PS / time)


def _bank(spec: DramSpec, address: int) -> int:
    """The number of an address's bank among all of the channel."""
    standard, chunk, number = spec.standard, address // spec.interleave, 0
    sizes = {"rank": standard.ranks, "bank_group": standard.bank_groups, "bank": standard.banks_per_group}
    sizes |= {"channel": 1, "column": standard.row // spec.interleave}
    for name in reversed(standard.fields):
        if name == "row":
            break
        chunk, value = divmod(chunk, sizes[name])
        if name in ("rank", "bank_group", "bank"):
            number = number * sizes[name] + value
    return number
