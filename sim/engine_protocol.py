"""The protocol that both engines keep, their outcome, and the names of the causes that time is spent on.

The reference engine (`memgrain.sim.reference`, SimPy processes) is the one to read; the compiled engine
(`memgrain.sim.engine`) does the same event by event. Neither imports the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from memgrain.sim.breakdown.census import Census
from memgrain.workloads.trace import Counts

LATENCY, IN_FLIGHT, COMMANDS, STORE = "stall.latency", "stall.in_flight", "stall.dma_commands", "stall.store"
CAUSES = (
    LATENCY,
    "stall.index",
    IN_FLIGHT,
    "stall.barrier",
    "start",
    "matmul",
    "vector",
    "code",
    "stall.compute",
    "stall.exchange",
    COMMANDS,
    STORE,
)
"""What time is spent on beside the stalls for each level."""


@dataclass(frozen=True)
class Activity:
    """A stretch of time in which a program on a core did one thing."""

    core: int
    """Number of the core."""
    slot: int
    """Which of the programs resident on it."""
    start: int
    """Begin in ps."""
    end: int
    """End in ps."""
    what: str
    """`matmul`, `vector`, `code` (what the kernel's code takes beyond both), `start`, or `stall.<cause>`."""


@dataclass(frozen=True)
class Execution:
    """The outcome of a trace on a machine; the machine's levels have counts of their own."""

    time: int
    """Time in ps, launch included."""
    launch: int
    """Cost of the launch in ps, without the kernel's own code."""
    breakdown: dict[str, int]
    """Where the time went, in ps, averaged over the slots; sums to `time`."""
    census: Census
    """Counts of the programs, DMA commands and score tiles."""
    counts: Counts
    """Sums over the steps of the trace."""
    programs: int
    """Programs executed."""
    tiles: int
    """Loads of tiles and of index lists."""
    macs: int
    """Multiply-accumulates executed, padding included."""
    flight_bytes: int
    """Bytes in flight, summed over the loads."""
    flight_byte_ns: int
    """Bytes in flight x ns."""
    oversize_bytes: int
    """Bytes of loads that exceed what a core may have in flight."""
    issue_time: int
    """Time of issue slots in ps, over all cores."""
    merging: int
    """Programs behind a barrier."""
    merge_time: int
    """Time in ps from the begin of the last chunk behind a barrier to the end."""
    intervals: tuple[Activity, ...] | None = None
    """The activities of all programs, if they were recorded."""


class Engine(Protocol):
    """One trace that is about to run on one machine."""

    def run(self) -> Execution:
        """Run the trace to its end; the machine's levels count what they served."""
        ...
