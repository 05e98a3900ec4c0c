"""A link level: every transfer between its two neighbours crosses it, at its bandwidth and with its latency."""

from __future__ import annotations

from sim.level import PS, Level
from sim.request import Request


class Link:
    """A crossbar, a cluster port, or a core's port: bandwidth and latency between the levels above and below it."""

    def __init__(
        self, name: str, shared: tuple[int, int], bandwidth: int, latency: int, below: Level, gathers: int = 1
    ) -> None:
        """`gathers` cores of the kind above count as one core below: the vector cores that belong to a matrix core."""
        self.name, self.bandwidth, self.delay, self.below, self.gathers = name, bandwidth, latency, below, gathers
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
        arrived = self.below.serve(request, repeat, core // self.gathers, now) + self.delay
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


class Wire:
    """The end of a chain that leads to no memory, past ports and scratchpads: what enters it is there at once."""

    name, latency, queue = "wire", 0, 0

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`."""
        return now

    def counters(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def forget(self) -> None:
        """Nothing."""
