"""A link level: every transfer between its two neighbours crosses it, at its bandwidth and with its latency."""

from __future__ import annotations

from sim.level import PS, Level
from sim.request import Request


class Link:
    """A crossbar, a cluster port, or a core's port: bandwidth and latency between the levels above and below it."""

    def __init__(self, name: str, shared: tuple[int, int], bandwidth: int, latency: int, below: Level) -> None:
        self.name, self.bandwidth, self.delay, self.below = name, bandwidth, latency, below
        self.latency, self.queue = below.latency + latency, 0
        number, self.share = shared
        self.free = [0] * number
        self.bytes = 0

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`: the last byte has crossed when the link is through with all it was given, one latency
        later."""
        i = core // self.share
        self.bytes += request.bytes
        self.free[i] = max(now, self.free[i]) + request.bytes * PS // self.bandwidth
        arrived = self.below.serve(request, repeat, core, now) + self.delay
        done = max(arrived, self.free[i] + self.latency)
        self.queue = done - arrived
        return done

    def counters(self) -> dict[str, int]:
        """Bytes that crossed."""
        return {"bytes": self.bytes}

    def forget(self) -> None:
        """Start counting and the clock anew."""
        self.free = [0] * len(self.free)
        self.bytes = 0
