"""Prefetch at work: engines beside the cores that fetch pieces ahead of the kernel that reads them."""

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
from memgrain.sim.prefetch.prefetched import Cached, Held, Piece, Watched
from memgrain.workloads.steps.prefetch import Guesses, Prefetch, chosen_tensors, guess, in_order, pieces_read
from memgrain.workloads.trace import Trace

AHEAD = 2
"""Windows that hide the DRAM's latency which an engine without a limit of its own may have on their way: at one, the
channels would run dry whenever a piece waits for another one's bank."""


@dataclass
class Engine:
    """One prefetch: a process beside the programs, from the kernel in which it begins until all is fetched, however
    many kernels that takes.

    It asks for one piece after the other, as its bandwidth and the bytes that it may have on their way allow. Where a
    kernel ends meanwhile, pieces on their way into a cache count as arrived when the next one begins.
    """

    prefetch: Prefetch
    """What it was told."""
    left: deque[Piece]
    """Pieces not asked for yet."""
    target: Cached | Held
    """Where they go to."""
    counts: Counter[str]
    """See `memgrain.sim.prefetch.prefetched.COUNTS`; begins anew with every kernel."""
    bandwidth: int
    """Bytes per second."""
    in_flight: int
    """Bytes that may be on their way."""
    begun: bool = False
    """Whether the kernel in which it begins has begun."""
    ready: int = 0
    """When the next command may be given, in ps of the present kernel's clock."""
    flights: list[tuple[int, int]] = field(default_factory=list)
    """Arrival and bytes of what is on its way, a heap."""
    flying: int = 0
    """Bytes of all flights."""

    def concerns(self, kernel: int) -> bool:
        """Whether it has something left to do while kernel number `kernel` runs."""
        return kernel >= self.prefetch.kernel - self.prefetch.lead and bool(self.left)

    def work(self, env: simpy.Environment, begin: int) -> Generator[simpy.Event, None, None]:
        """The process; the kernel's first programs begin at `begin`."""
        if not self.begun:
            self.begun, self.ready = True, begin + self.prefetch.after
        while self.left:
            now, size, wake = int(env.now), self.left[0].bytes, self.ready
            while self.flights and self.flights[0][0] <= now:
                self.flying -= heapq.heappop(self.flights)[1]
            if self.flights and self.flying + size > self.in_flight:
                wake = max(wake, self.flights[0][0])
            if wake > now:
                yield env.timeout(wake - now)
                continue
            piece = self.left.popleft()
            heapq.heappush(self.flights, (self.target.fetch(piece, now), size))
            self.flying += size
            self.ready = now + self.prefetch.startup + size * PS // self.bandwidth

    def turn(self, end: int) -> None:
        """The kernel has ended at `end`; the next one has a clock of its own."""
        self.ready = max(0, self.ready - end)
        self.flights = [(max(0, done - end), size) for done, size in self.flights]
        self.target.turn(end)


def watch(engine: Engine, machine: Machine, trace: Trace) -> None:
    """Let the machine, ready for `trace`, note what programs find of what `engine` fetched."""
    share = machine.vectors_per_core if machine.core is not machine.chip.matmul_core else 1
    machine.top = Watched(machine.top, engine.target, [tensor.base for tensor in trace.tensors], share)


def engines(machine: Machine, traces: Sequence[Trace], orders: Sequence[Prefetch], beside: int) -> list[Engine]:
    """An engine for each prefetch; memory from `beside` on is nobody's, for wrong guesses.

    Raises SimulationError if there is no such kernel, no cache or scratchpad to fetch into, or no room for a piece.
    """
    found = []
    taken: dict[tuple[str, int], NDArray[np.int64]] = {}
    for order in orders:
        if order.kernel >= len(traces):
            raise SimulationError(
                f"a prefetch for kernel {order.kernel}, and the sequence has {len(traces)}; count them from 0"
            )
        trace, counts, rng = traces[order.kernel], Counter[str](), np.random.default_rng(order.seed)
        machine.prepare(trace)
        tensors, number = chosen_tensors(trace.tensors, order), machine.tensors.index(PREFETCH)
        target: Cached | Held
        if order.into == "cache":
            target = Cached(_cache(machine), tensors, number, order.piece, counts)
            wanted = in_order(np.concatenate([np.zeros(0, np.int64), *pieces_read(trace, order)]))
            guesses = guess(wanted, trace, order, order.limit, rng, beside)
            target.expect(guesses.addresses[guesses.right])
            pieces = list(_pieces(0, guesses))
        else:
            target = Held(machine, trace.cores, tensors, number, order.piece, counts)
            pieces = _for_scratchpads(machine, traces, order, taken, rng, beside)
        dram = machine.chip.dram
        rate = order.bandwidth or dram.bandwidth
        window = order.in_flight or AHEAD * dram.latency * dram.bandwidth // PS
        found.append(Engine(order, deque(pieces), target, counts, rate, window))
        beside += sum(piece.bytes for piece in pieces if not piece.right)
        beside = -(-beside // order.piece) * order.piece
    return found


def _for_scratchpads(
    machine: Machine,
    traces: Sequence[Trace],
    order: Prefetch,
    taken: dict[tuple[str, int], NDArray[np.int64]],
    rng: np.random.Generator,
    beside: int,
) -> list[Piece]:
    """Pieces for each core that runs some of the first programs, as many as find room beside what programs need there
    until then, a piece for each core in turn; `taken` is what other prefetches hold, by kind of core and kernel."""
    trace, core, chip = traces[order.kernel], machine.core, machine.chip
    room = np.full(core.count, np.iinfo(np.int64).max)
    alike = [
        number for number in range(order.kernel - order.lead, order.kernel + 1) if traces[number].cores == trace.cores
    ]
    if machine.vectors_apart and trace.cores == "vector" and chip.exchange == "direct" and len(alike) <= order.lead:
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
        if room.max() < order.piece:
            raise SimulationError(
                f"programs of {traces[number].name} leave {room.max()} bytes of {pad.name}, and a piece to prefetch is "
                f"{order.piece}; lower piece, tiling.stages or the programs on a core, or prefetch into a cache"
            )
    machine.prepare(trace)
    places = core.count * machine.resident(trace)
    mine: list[list[NDArray[np.int64]]] = [[] for _ in range(core.count)]
    for program, pieces in zip(range(places), pieces_read(trace, order), strict=False):
        mine[program % core.count].append(pieces)
    waiting = []
    for number, programs in enumerate(mine):
        turns = [np.arange(len(pieces)) for pieces in programs]
        by_turn = np.argsort(np.concatenate([np.zeros(0, np.int64), *turns]), kind="stable")
        wanted = in_order(np.concatenate([np.zeros(0, np.int64), *programs])[by_turn])
        guesses = guess(wanted, trace, order, int(room[number]), rng, beside)
        waiting.append(deque(_pieces(number, guesses)))
        beside += order.piece * len(guesses.right)
    found: list[Piece] = []
    limit = np.inf if order.limit is None else order.limit
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
