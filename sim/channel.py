"""One channel of a DRAM standard by itself, kept busy with reads: what cycle-level DRAM simulators are held against."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwmodels.main_memory import Dram as DramSpec
from hwmodels.standard import DramStandard
from sim.dram import Dram
from sim.level import PS
from sim.request import NO_INDEX, Request
from workloads.trace import RUN

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


def keep_busy(spec: DramSpec, addresses: Iterable[int], time: int, outstanding: int) -> Reads:
    """Read a burst at each of `addresses` until `time` (ps), with `outstanding` reads under way.

    The next read is asked for when the first of those under way has its data. What reads still under way at the end
    activated is not counted: each read is taken to have activated as much as another.
    """
    dram = Dram(spec, ("X",))
    runs = np.zeros(1, RUN)
    runs["count"], runs["bytes"], runs["index"] = 1, spec.smallest_access, -1
    request, base = Request(runs, NO_INDEX, 0, 1), runs["base"]
    flying: list[int] = []
    now = asked = 0
    for address in addresses:
        if len(flying) >= outstanding:
            now = max(now, flying[0])
            if now > time:
                break
            heapq.heappop(flying)
        base[0] = address
        heapq.heappush(flying, dram.serve(request, 0, 0, now))
        asked += 1
    ended = asked - sum(end > time for end in flying)
    activates = round(dram.counters()["activates"] * ended / asked)
    return Reads(ended, activates, ended * spec.smallest_access * PS / time)
