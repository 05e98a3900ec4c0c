"""A link level: every transfer between its two neighbours crosses it, at its bandwidth and with its latency."""

from __future__ import annotations

from memgrain.sim.levels.level import PS, Level
from memgrain.sim.levels.request import Request


class Link:
    """A crossbar, a cluster port, or a core's port: bandwidth and latency between the levels above and below it.

    Reads and writes share the bandwidth, or each direction has a bandwidth of its own.
    """

    def __init__(
        self,
        name: str,
        shared: tuple[int, int],
        bandwidth: int,
        latency: int,
        below: Level,
        gathers: int = 1,
        write_bandwidth: int | None = None,
    ) -> None:
        """`gathers` cores of the kind above count as one core below: the vector cores that belong to a matrix core.

        `write_bandwidth` is that of writes, if they do not share the bandwidth of reads."""
        self.name, self.delay, self.below, self.gathers = name, latency, below, gathers
        self.latency, self.queue, self.first, self.came = below.latency + latency, 0, 0, 0
        number, self.share = shared
        reads, writes = (bandwidth, [0] * number), (write_bandwidth or bandwidth, [0] * number)
        self.directions = (reads, writes if write_bandwidth else reads)
        self.bytes = self.written = self.alone = 0

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`: the last byte has crossed one latency after the link has carried all that it was
        given; bytes from the farthest level cross one after the other from the arrival of the first on.

        `alone` is then the time that the request takes if nothing else occupies the link."""
        i = core // self.share
        self.bytes += request.bytes
        self.written += request.bytes if request.writes else 0
        bandwidth, free = self.directions[request.writes]
        transfer = request.bytes * PS // bandwidth
        free[i] = max(now, free[i]) + transfer
        arrived = self.below.serve(request, repeat, core // self.gathers, now) + self.delay
        done = max(arrived, free[i] + self.latency)
        self.alone = max(arrived - now, transfer + self.latency)
        self.first, self.came = self.below.first + self.delay, self.below.came
        if self.came and not request.writes:
            last = self.first + self.came * PS // bandwidth
            done, self.alone = max(done, last), max(self.alone, last - now)
        self.queue = done - arrived
        return done

    def counters(self) -> dict[str, int]:
        """Bytes that crossed, and those of them that crossed towards the memory."""
        return {"bytes": self.bytes, "written_bytes": self.written}

    def forget(self) -> None:
        """Start counting and the clock anew."""
        for _, free in self.directions:
            free[:] = [0] * len(free)
        self.bytes = self.written = 0


class Wire:
    """The end of a memory path that leads to no memory, past ports and scratchpads: what enters it is there at once."""

    name, latency, queue, first, came = "wire", 0, 0, 0, 0

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`."""
        return now

    def counters(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def forget(self) -> None:
        """Nothing."""
