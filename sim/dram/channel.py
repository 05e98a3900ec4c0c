"""One channel of a DRAM standard by itself, kept busy with reads: what cycle-level DRAM simulators are held against."""

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
class Reads:
    """What became of the reads that had their data when time was up."""

    count: int
    """Reads that had ended."""
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
    """Where a controller keeps reads that wait."""

    transactions: int
    """Reads that wait for a place in the queue of their bank; the oldest that has one moves on."""
    bank: int
    """Reads of one bank that wait for their column access."""


def keep_busy(spec: DramSpec, addresses: Iterable[int], time: int, queues: Queues) -> Reads:
    """Read a burst at each of `addresses` until `time` (ps), each as soon as the controller's queues have a place.

    What reads still under way at the end activated is not counted: each read is taken to have activated as much as
    another.
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
        place = next((i for i, (_, bank) in enumerate(waiting) if len(banks[bank]) < queues.bank), None)
        if place is None:
            now = min(banks[bank][0] for _, bank in waiting)
            continue
        base[0], bank = waiting[place]
        del waiting[place]
        ends.append(dram.serve(request, 0, 0, now))
        insort(banks[bank], ends[-1] - after_column)
    ended = sum(end <= time for end in ends)
    activates = round(dram.counters()["activates"] * ended / len(ends))
    return Reads(ended, activates, ended * spec.smallest_access * PS / time)


def _bank(spec: DramSpec, address: int) -> int:
    """The number of an address's bank among all of the channel."""
    standard, chunk, number = spec.standard, address // spec.interleave, 0
    sizes = {"rank": standard.ranks, "bank_group": standard.bank_groups, "bank": standard.banks_per_group}
    sizes |= {"channel": 1, "column": standard.row // spec.interleave}
    for name in reversed(standard.fields):
        if name == "row":
            break
        chunk, place = divmod(chunk, sizes[name])
        if name in ("rank", "bank_group", "bank"):
            number = number * sizes[name] + place
    return number
