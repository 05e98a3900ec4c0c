"""Prefetch engines: processes beside the cores that fetch pieces ahead of the kernel that reads them."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import simpy
from numpy.typing import NDArray

from memgrain.sim.cache.cache import Cache
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.level import PS
from memgrain.sim.levels.machine import PREFETCH, Machine
from memgrain.sim.prefetch.prefetched import CachedData, Piece, PrefetchMonitor, ScratchpadData
from memgrain.workloads.steps.prefetch import Guesses, Prefetch, chosen_tensors, guess, in_order, pieces_read
from memgrain.workloads.trace import Trace

AHEAD = 2
"""Bytes in flight of an engine without a limit of its own, in windows that hide the DRAM's latency: with one window,
the channels would idle whenever a piece waits for another one's bank."""


@dataclass
class PrefetchEngine:
    """One prefetch: a process beside the programs, from the kernel in which it begins until all is fetched, over any
    number of kernels.

    It requests one piece after the other, as its bandwidth and its bytes in flight allow. When a kernel ends meanwhile,
    pieces in flight into a cache count as arrived when the next kernel begins.
    """

    prefetch: Prefetch
    """What to fetch, when and where."""
    left: deque[Piece]
    """Pieces not requested yet."""
    target: CachedData | ScratchpadData
    """Destination of the pieces."""
    counts: Counter[str]
    """See `memgrain.sim.prefetch.prefetched.COUNTS`; begins anew with every kernel."""
    bandwidth: int
    """Bytes per second."""
    in_flight: int
    """Bytes that may be in flight."""
    begun: bool = False
    """Whether the kernel in which it begins has begun."""
    ready: int = 0
    """When the next command may be given, in ps of the present kernel's clock."""
    in_transit: list[tuple[int, int]] = field(default_factory=list)
    """Arrival and bytes of each piece in flight, a heap."""
    transit_bytes: int = 0
    """Bytes of all pieces in flight."""

    def concerns(self, kernel: int) -> bool:
        """Whether it has pieces left to request while kernel number `kernel` runs."""
        return kernel >= self.prefetch.kernel - self.prefetch.lead and bool(self.left)

    def work(self, env: simpy.Environment, begin: int) -> Generator[simpy.Event, None, None]:
        """The process; the kernel's first programs begin at `begin`."""
        if not self.begun:
            self.begun, self.ready = True, begin + self.prefetch.after
        while self.left:
            now, size, wake = int(env.now), self.left[0].bytes, self.ready
            while self.in_transit and self.in_transit[0][0] <= now:
                self.transit_bytes -= heapq.heappop(self.in_transit)[1]
            if self.in_transit and self.transit_bytes + size > self.in_flight:
                wake = max(wake, self.in_transit[0][0])
            if wake > now:
                yield env.timeout(wake - now)
                continue
            piece = self.left.popleft()
            heapq.heappush(self.in_transit, (self.target.fetch(piece, now), size))
            self.transit_bytes += size
            self.ready = now + self.prefetch.startup + size * PS // self.bandwidth

    def end_kernel(self, end: int) -> None:
        """The kernel has ended at `end`; the next one has a clock of its own."""
        self.ready = max(0, self.ready - end)
        self.in_transit = [(max(0, done - end), size) for done, size in self.in_transit]
        self.target.end_kernel(end)


def watch(engine: PrefetchEngine, machine: Machine, trace: Trace) -> None:
    """Insert a monitor into the machine, ready for `trace`, that counts what programs find of the data that `engine`
    fetched."""
    share = machine.vectors_per_core if machine.core is not machine.chip.matmul_core else 1
    machine.top = PrefetchMonitor(machine.top, engine.target, [tensor.base for tensor in trace.tensors], share)


def prefetch_engines(
    machine: Machine, traces: Sequence[Trace], requests: Sequence[Prefetch], beside: int
) -> list[PrefetchEngine]:
    """An engine for each prefetch. Wrong guesses use memory from `beside` on, which no tensor has.

    Raises SimulationError if there is no such kernel, no cache or scratchpad to fetch into, or no room for a piece.
    """
    found = []
    taken: dict[tuple[str, int], NDArray[np.int64]] = {}
    for request in requests:
        if request.kernel >= len(traces):
            raise SimulationError(
                f"a prefetch for kernel {request.kernel}, and the sequence has {len(traces)}; count them from 0"
            )
        trace, counts, rng = traces[request.kernel], Counter[str](), np.random.default_rng(request.seed)
        machine.prepare(trace)
        tensors, number = chosen_tensors(trace.tensors, request), machine.tensors.index(PREFETCH)
        target: CachedData | ScratchpadData
        if request.into == "cache":
            target = CachedData(_cache(machine), tensors, number, request.piece, counts)
            wanted = in_order(np.concatenate([np.zeros(0, np.int64), *pieces_read(trace, request)]))
            guesses = guess(wanted, trace, request, request.limit, rng, beside)
            target.expect(guesses.addresses[guesses.right])
            pieces = list(_pieces(0, guesses))
        else:
            target = ScratchpadData(machine, trace.cores, tensors, number, request.piece, counts)
            pieces = _for_scratchpads(machine, traces, request, taken, rng, beside)
        dram = machine.chip.dram
        rate = request.bandwidth or dram.bandwidth
        window = request.in_flight or AHEAD * dram.latency * dram.bandwidth // PS
        found.append(PrefetchEngine(request, deque(pieces), target, counts, rate, window))
        beside += sum(piece.bytes for piece in pieces if not piece.right)
        beside = -(-beside // request.piece) * request.piece
    return found


def _for_scratchpads(
    machine: Machine,
    traces: Sequence[Trace],
    request: Prefetch,
    taken: dict[tuple[str, int], NDArray[np.int64]],
    rng: np.random.Generator,
    beside: int,
) -> list[Piece]:
    """Pieces for each core that runs some of the first programs, a piece for each core in turn: as many as find room
    beside what programs need there until then. `taken` is what other prefetches hold, by kind of core and kernel."""
    trace, core, chip = traces[request.kernel], machine.core, machine.chip
    room = np.full(core.count, np.iinfo(np.int64).max)
    alike = [
        number
        for number in range(request.kernel - request.lead, request.kernel + 1)
        if traces[number].cores == trace.cores
    ]
    if machine.vectors_apart and trace.cores == "vector" and chip.exchange == "direct" and len(alike) <= request.lead:
        raise SimulationError(
            f"{core.name} of {chip.name} reaches memory only while no kernel runs on {chip.matmul_core.name}; prefetch "
            f"for {trace.name} into a cache, or lower lead"
        )
    for number in alike:
        machine.prepare(traces[number])
        pad = machine.scratchpad
        if pad is None:
            raise SimulationError(f"{chip.name} has no scratchpad to prefetch into; prefetch into a cache")
        left = pad.capacity - machine.resident(traces[number]) * traces[number].scratchpad_bytes
        room = np.minimum(room, left - taken.setdefault((trace.cores, number), np.zeros(core.count, np.int64)))
        if room.max() < request.piece:
            raise SimulationError(
                f"programs of {traces[number].name} leave {room.max()} bytes of {pad.name}, and a piece to prefetch is "
                f"{request.piece}; lower piece, tiling.stages or the programs on a core, or prefetch into a cache"
            )
    machine.prepare(trace)
    slots = core.count * machine.resident(trace)
    mine: list[list[NDArray[np.int64]]] = [[] for _ in range(core.count)]
    for program, pieces in zip(range(slots), pieces_read(trace, request), strict=False):
        mine[program % core.count].append(pieces)
    waiting = []
    for number, programs in enumerate(mine):
        ranks = [np.arange(len(pieces)) for pieces in programs]
        by_rank = np.argsort(np.concatenate([np.zeros(0, np.int64), *ranks]), kind="stable")
        wanted = in_order(np.concatenate([np.zeros(0, np.int64), *programs])[by_rank])
        guesses = guess(wanted, trace, request, int(room[number]), rng, beside)
        waiting.append(deque(_pieces(number, guesses)))
        beside += request.piece * len(guesses.right)
    found: list[Piece] = []
    limit = np.inf if request.limit is None else request.limit
    while any(waiting):
        for own in filter(None, waiting):
            limit -= own[0].bytes
            if limit < 0:
                own.clear()
                continue
            piece = own.popleft()
            found.append(piece)
            for number in alike:
                taken[trace.cores, number][piece.core] += piece.bytes
    return found


def _pieces(core: int, guesses: Guesses) -> Iterator[Piece]:
    for address, size, right in zip(guesses.addresses, guesses.bytes, guesses.right, strict=True):
        yield Piece(core, int(address), int(size), bool(right))


def _cache(machine: Machine) -> Cache:
    """The last cache before the DRAM."""
    for level in machine.levels:
        if isinstance(level, Cache) and machine.chip.cache is not None and level.name == machine.chip.cache.name:
            return level
    raise SimulationError(f"{machine.chip.name} has no cache to prefetch into; prefetch into the scratchpad")
