"""A scratchpad level: DMA commands with a start-up cost, rounding to the alignment, and the banks' bandwidth."""

from __future__ import annotations

from memgrain.hwmodels.spec import Scratchpad as ScratchpadSpec
from memgrain.sim.levels.level import PS, Level
from memgrain.sim.levels.link import Link
from memgrain.sim.levels.request import Request

EVERY_ROW = 1 << 31
"""Rows of one command where no engine has to be started."""


class Scratchpad:
    """Memory that transfers to a core pass through: each occupies a DMA engine, then the banks.

    Reads and writes have an engine each (the MTE2 and MTE3 or FixPipe queues of an Ascend core).

    An engine starts one command every `dma_startup`, and takes longer for rows that are apart or that the memory has to
    merge, where the spec says so; data of the last command is there one latency of the level below after its start.
    Rows occupy whole bank words. Where writes are split, rows at other addresses than multiples of a piece also take
    the writing engine `split_writes.interval` for each piece. The level below serves the request at once, not when the
    engine gets to it, and the wait for the engine is added to the answer: a reservation in the future would keep others
    from the time before it, since they would see idle servers as booked.

    Where a kernel waits for its copies with flags, an engine completes a copy before it begins the next one: each takes
    the latency beside its transfer. In a request of several such copies all but the last add the latency of the first
    byte.
    """

    def __init__(self, spec: ScratchpadSpec, shared: tuple[int, int], below: Level, access: int = 1) -> None:
        """`access` is the smallest access of the memory, in bytes; a machine says for each trace whether `split`
        holds."""
        self.name, self.spec, self.below = spec.name, spec, below
        self.latency, self.queue, self.first, self.came = below.latency, 0, 0, 0
        number, self.share = shared
        self.engine_free = [[0] * number, [0] * number]
        self.banks_free = [0] * number
        self.granule = max(spec.alignment, spec.bank_width)
        self.split = spec.split_writes
        self.for_engine, self.alone, self.access = False, 0, access
        self.bytes = self.moved = self.commands = self.write_commands = 0
        self.row_times = [0, 0]

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`."""
        i = core // self.share
        moved, commands = request.transfer(self.granule, self.spec.dma_rows or EVERY_ROW)
        self.bytes += request.bytes
        self.moved += moved
        self.commands += commands
        self.write_commands += commands if request.writes else 0
        engine = self.engine_free[request.writes]
        slow = self._slow_rows(request)
        if self.split and request.writes:
            slow += request.pieces(self.split.piece) * self.split.interval
        self.row_times[request.writes] += slow
        startups = commands * (self.spec.dma_startup or 0)
        engine[i] = max(now, engine[i]) + startups + slow
        self.banks_free[i] = max(now, self.banks_free[i]) + moved * PS // self.spec.bandwidth
        arrived = self.below.serve(request, repeat, core, now)
        self.alone = self._alone(request.flags, startups, now, arrived)
        started = engine[i] + (self.alone - startups if request.flags else self.latency)
        done = max(arrived, started, self.banks_free[i])
        if request.flags:
            engine[i] = done
        self.for_engine = bool(self.spec.dma_startup) and started == done
        self.queue, self.first, self.came = done - arrived, self.below.first, self.below.came
        return done

    def _slow_rows(self, request: Request) -> int:
        """Time (ps) of an engine for the rows of a request that are apart or that the memory merges."""
        row, merge = self.spec.dma_row or 0, self.spec.dma_merge or 0
        if not row and not merge:
            return 0
        apart, partial = request.slow_rows(self.spec.dma_rows or EVERY_ROW, self.access)
        return apart * row + partial * merge

    def _alone(self, copies: int, startups: int, now: int, arrived: int) -> int:
        """Time of the request that the level below has just served if it had engine and port to itself, as so many
        copies one after the other."""
        alone = self.below.alone if isinstance(self.below, Link) else arrived - now
        return max(startups + self.latency, alone) + max(0, copies - 1) * (
            self.below.first - now if self.below.came else self.latency
        )

    def counters(self) -> dict[str, int]:
        """Bytes as requested and as rounded up, and commands to DMA engines: all of them, and those that write to
        memory."""
        counts = {"bytes": self.bytes, "moved_bytes": self.moved, "commands": self.commands}
        return {**counts, "write_commands": self.write_commands}

    def forget(self) -> None:
        """Start counting and the clock anew."""
        self.engine_free = [[0] * len(self.banks_free) for _ in range(2)]
        self.banks_free = [0] * len(self.banks_free)
        self.bytes = self.moved = self.commands = self.write_commands = 0
        self.row_times = [0, 0]
