"""Cores at work: SimPy processes that take programs, load tiles ahead of time, compute and store."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import simpy
from numpy.typing import NDArray

from memgrain.hwmodels.spec import Chip, Core
from memgrain.sim.levels.compute import Work
from memgrain.sim.levels.level import PS, Level
from memgrain.sim.levels.machine import PROBABILITY_BYTES, SCORE_BYTES, Machine
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.sim.levels.scratchpad import Scratchpad
from memgrain.sim.prefetch.engine import Engine
from memgrain.workloads.trace import READ, RUN, WRITE, Chunk, Trace

WORKSPACE = 1 << 22
"""Bytes from one place's workspace for scores to the next one's."""
COMMANDS, IN_FLIGHT, LATENCY = "stall.dma_commands", "stall.in_flight", "stall.latency"
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
)
"""What time is spent on, behind the stalls for each level, in the order of `memgrain.sim.engine.tables`."""


@dataclass(frozen=True)
class Interval:
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
class Part:
    """A step of a chunk as the core needs it: plain numbers, taken out of the structured arrays once."""

    repeats: int
    """Times that it is executed in a row."""
    lists: Request | None
    """Index lists, which must have arrived before the load is issued."""
    load: Request | None
    """Tiles that the computation waits for."""
    store: Request | None
    """What is written afterwards."""
    once: Work
    """What the program's code outside its steps takes before that."""
    work: Work
    """What it computes."""
    scores: tuple[int, int]
    """Rows and columns of the score tile."""

    @property
    def idle(self) -> bool:
        """Whether it is all of a program that finds nothing to do."""
        return not (self.lists or self.load or self.store or self.work.alone)


def time_to_launch(chip: Chip, trace: Trace, further: bool) -> int:
    """What it costs in ps to launch a kernel, its own code apart: a `further` one of a sequence, or one that belongs to
    the kernel before it, costs the chip's barrier."""
    if trace.joined:
        return chip.barrier or 0
    return chip.launch_overhead if not further or chip.barrier is None else chip.barrier


def break_down(
    launch: int, trace: Trace, core: Core, launched: int, spent: Mapping[str, int], places: int, end: int
) -> dict[str, int]:
    """Where the time went, in ps: `launch` and what the kernel's code adds to it for programs `launched` with it, a
    place's mean share of what all `places` have `spent`, and the rest of `end`, which is idle."""
    own, each = trace.launch_cycles
    busy = {what: time // places for what, time in sorted(spent.items())}
    code = (own + each * launched) * PS // core.clock
    return {"launch": launch + code, **busy, "idle": end - sum(busy.values())}


class Kernel:
    """One trace running on one machine: a dispatcher of programs and a process for each place a core has for one."""

    def __init__(
        self, machine: Machine, trace: Trace, record: bool, further: bool = False, engines: Sequence[Engine] = ()
    ) -> None:
        """`record` keeps intervals; a `further` kernel of a sequence costs the chip's barrier, not a launch, as does
        one that is joined to the kernel before it; `engines` prefetch beside it, and those that began before it do so
        during the barrier too."""
        self.machine, self.trace = machine, trace
        self.launch = time_to_launch(machine.chip, trace, further)
        self.engines = engines
        self.begin = self.launch if any(engine.begun for engine in engines) else 0
        self.env = simpy.Environment()
        self.core = machine.core
        self.most_in_flight = self.core.max_bytes_in_flight or 0
        self.labels = [(level, f"stall.{level.name}") for level in machine.levels]
        self.ranks = {label: rank for rank, label in enumerate((*(label for _, label in self.labels), *CAUSES))}
        self.spent: dict[str, int] = defaultdict(int)
        self.intervals: list[Interval] | None = [] if record else None
        self.in_flight: list[list[tuple[int, int, int, str]]] = [[] for _ in range(self.core.count)]
        self.flying = [0] * self.core.count
        self.end = self.macs = self.tiles = self.programs = self.merging = 0
        self.flight_bytes = self.flight_byte_ns = self.issue_time = self.merge_time = 0
        self.oversize_bytes = self.merge_began = 0
        self.merges: set[int] = set()
        self.running: dict[int, int] = {}
        self.opened: dict[int, int] = {}
        self.dispatched = 0
        self.chunk_ended = self.env.event()
        self.census = machine.census(trace)
        self.supply = self._programs()
        self.crossings: dict[tuple[int, int, int, int], list[tuple[Level, int, Request]]] = {}
        self.workspace = max((tensor.base + tensor.bytes for tensor in trace.tensors), default=0)

    def run(self) -> int:
        """Run to the end; returns the time in ps, the launch included, and leaves the breakdown in `spent`."""
        slots = self.machine.resident(self.trace)
        working = [
            self.env.process(self._place(core, slot)) for slot in range(slots) for core in range(self.core.count)
        ]
        end = self._until_all_end(working) - self.begin
        places = slots * self.core.count
        self.merge_time = end - (self.merge_began - self.begin) if self.merging else 0
        launched = min(places, self.programs - self.merging)
        self.spent = break_down(self.launch, self.trace, self.core, launched, self.spent, places, end)
        return self.spent["launch"] + end

    def _until_all_end(self, working: list[simpy.Process]) -> int:
        """Run until programs and stores have ended; returns when that is. Engines may have more to do."""
        if not self.engines:
            self.env.run()
            return max(self.end, int(self.env.now))
        for engine in self.engines:
            self.env.process(engine.work(self.env, self.begin))
        self.env.run(until=self.env.all_of(working))
        if self.end > self.env.now:
            self.env.run(until=self.end)
        end = int(self.env.now)
        for engine in self.engines:
            engine.turn(end)
        if self.intervals is not None:
            self.intervals = [replace(i, start=i.start - self.begin, end=i.end - self.begin) for i in self.intervals]
        return end

    def _programs(self) -> Iterator[tuple[int, bool, list[Part]]]:
        """Every program of the trace in launch order: its chunk, whether that waits for the earlier ones, its parts."""
        for number, chunk in enumerate(self.trace.chunks()):
            self.census.add(chunk)
            indices = chunk.indices.astype(np.int64)
            parts = self._parts(chunk, indices)
            for first, steps, _, _ in chunk.programs.tolist():
                yield number, chunk.barrier, parts[first : first + steps]

    def _parts(self, chunk: Chunk, indices: NDArray[np.int64]) -> list[Part]:
        def request(first: int, count: int) -> Request | None:
            return Request(chunk.runs, indices, first, count) if count else None

        units = self.machine.units
        parts, once = [], units.code(chunk.once_cycles) if chunk.barrier else units.once
        for first, index, load, store, repeats, m1, n1, k1, m2, n2, k2, exps in chunk.steps.tolist():
            work = units.work(m1, n1, k1, m2, n2, k2, exps)
            self.machine.check_scores(m1, n1)
            parts.append(
                Part(
                    repeats,
                    request(first, index),
                    request(first + index, load),
                    request(first + index + load, store),
                    once,
                    work,
                    (m1, n1) if exps else (0, 0),
                )
            )
        return parts

    def _note(self, core: int, slot: int, start: int, what: str) -> None:
        now = int(self.env.now)
        if now > start:
            self.spent[what] += now - start
            if self.intervals is not None:
                self.intervals.append(Interval(core, slot, start, now, what))

    def _place(self, core: int, slot: int) -> Generator[simpy.Event, None, None]:
        """A place for a program on a core: takes the next program until there is none.

        Starting the first one is part of the launch; each later one begins `program_start` after its predecessor."""
        env, begin = self.env, 0
        if self.begin:
            yield env.timeout(self.begin)
        for chunk, barrier, parts in self.supply:
            start = int(env.now)
            while barrier and min(self.running, default=chunk) < chunk:
                yield self.chunk_ended
            self.running[chunk] = self.running.get(chunk, 0) + 1
            self.programs += 1
            self.merging += barrier
            if barrier and chunk not in self.merges:
                self.merge_began = int(env.now)
                self.merges.add(chunk)
            if barrier and chunk and self.machine.chip.barrier:
                opens = self.opened.setdefault(chunk, int(env.now) + self.machine.chip.barrier)
                yield env.timeout(max(0, opens - int(env.now)))
            self._note(core, slot, start, "stall.barrier")
            start = int(env.now)
            self.dispatched = max(self.dispatched, start) + (self.machine.chip.dispatch or 0)
            wait = self.dispatched - start + begin
            begin = self.core.program_start or 0
            if wait:
                yield env.timeout(wait)
                self._note(core, slot, start, "start")
            yield from self._program(core, slot, parts)
            self.running[chunk] -= 1
            if not self.running[chunk]:
                del self.running[chunk]
                self.chunk_ended.succeed()
                self.chunk_ended = env.event()

    def _program(self, core: int, slot: int, parts: list[Part]) -> Generator[simpy.Event, None, None]:
        """One program: index lists ahead of the rows they point to where the kernel does so, rows up to `stages` steps
        ahead of the computation."""
        env = self.env
        steps = [(part, repeat) for part in parts for repeat in range(part.repeats)]
        loaded: deque[tuple[int, str]] = deque()
        listed: deque[tuple[int, str]] = deque()
        issued = computed = 0
        while computed < len(steps):
            now = int(env.now)
            wake, cause = 0, ""
            while issued < len(steps) and issued - computed < self.trace.stages:
                part, repeat = steps[issued]
                while len(listed) <= self.trace.lists_ahead and issued + len(listed) < len(steps):
                    ahead, again = steps[issued + len(listed)]
                    listed.append(self._load(ahead.lists, again, core, now))
                if listed[0][0] > now:
                    wake, cause = listed[0][0], "stall.index"
                    break
                size = self.machine.in_flight(part.load)
                if not self._room(core, size, now):
                    wake, cause = self._waits_for_room(core)
                    break
                listed.popleft()
                done, label = self._load(part.load, repeat, core, now)
                if size > self.most_in_flight and done > now:
                    self.oversize_bytes += size
                    turns = now + self.machine.top.latency * size // self.most_in_flight
                    if turns > done:
                        done, label = turns, IN_FLIGHT
                if size:
                    self._take_off(core, size, now, done, label)
                loaded.append((done, label))
                issued += 1
            if loaded and loaded[0][0] <= now:
                part, repeat = steps[computed]
                yield from self._compute(core, slot, part.work, part.scores, now)
                if part.store or part.idle:
                    yield from self._compute(core, slot, part.once, (0, 0), int(env.now))
                if part.store:
                    self.end = max(self.end, self.machine.top.serve(part.store, repeat, core, int(env.now)))
                loaded.popleft()
                computed += 1
                continue
            if loaded and (not wake or loaded[0][0] < wake):
                wake, cause = loaded[0]
            yield env.timeout(wake - now)
            self._note(core, slot, now, cause)

    def _room(self, core: int, size: int, now: int) -> bool:
        """Whether the core may have `size` more bytes in flight; what has arrived by now makes room."""
        flights = self.in_flight[core]
        while flights and flights[0][0] <= now:
            self.flying[core] -= heapq.heappop(flights)[2]
        return not flights or self.flying[core] + size <= self.most_in_flight

    def _take_off(self, core: int, size: int, now: int, done: int, cause: str) -> None:
        """A load of `size` bytes is in flight from `now` until `done`, and waits for `cause`."""
        heapq.heappush(self.in_flight[core], (done, self.ranks[cause], size, cause))
        self.flying[core] += size
        self.flight_bytes += size
        self.flight_byte_ns += size * (done - now) // 1000

    def _waits_for_room(self, core: int) -> tuple[int, str]:
        """When something arrives at a core that has no room, and the cause: what that waits for, or, if it is the
        latency alone, that so few bytes may be in flight."""
        done, _, _, cause = self.in_flight[core][0]
        return done, IN_FLIGHT if cause == LATENCY else cause

    def _load(self, request: Request | None, repeat: int, core: int, now: int) -> tuple[int, str]:
        """When the data of some runs will be there, and what it will have waited for."""
        if request is None:
            return now, ""
        self.tiles += 1
        done = self._serve(self.machine.top, request, repeat, core, now)
        return done, self._cause(now, done)

    def _serve(self, level: Level, request: Request, repeat: int, core: int, now: int) -> int:
        """Ask a level, and let levels that it does not ask in turn have no queue."""
        for other, _ in self.labels:
            other.queue = 0
        return level.serve(request, repeat, core, now)

    def _cause(self, asked: int, done: int) -> str:
        """What the request served last waited for most: the longest queue, if it was longer than all the rest; at a
        scratchpad that of a DMA engine for commands, or that of the banks."""
        longest, cause = (done - asked) // 2, LATENCY
        for level, label in self.labels:
            if level.queue > longest:
                for_engine = isinstance(level, Scratchpad) and level.for_engine
                longest, cause = level.queue, COMMANDS if for_engine else label
        return cause

    def _compute(
        self, core: int, slot: int, work: Work, scores: tuple[int, int], now: int
    ) -> Generator[simpy.Event, None, None]:
        """The products and the softmax of a step; where scores travel through memory, their way there and back too."""
        if not work.alone:
            return
        self.macs += work.macs
        self.issue_time += work.issue
        alone = work.alone
        end = computed = self.machine.units.reserve(core, work, now)
        cause = ""
        if scores[1] and self.machine.vectors_apart:
            across, cause = self._exchange(core, slot, *scores, now)
            end = max(end, across + alone)
        yield self.env.timeout(end - now)
        waits = (("stall.compute", computed - now - alone), (cause, end - computed))
        code = ("code", alone - work.matmul - work.vector)
        for what, time in (("matmul", work.matmul), ("vector", work.vector), code, *waits):
            if not time:
                continue
            self.spent[what] += time
            if self.intervals is not None:
                self.intervals.append(Interval(core, slot, now, now + time, what))
                now += time

    def _exchange(self, core: int, slot: int, rows: int, columns: int, now: int) -> tuple[int, str]:
        """When scores and probabilities are across, and what they waited for: one kind of core writes, the other reads.

        Through memory, they pass a workspace of the place in the first shared level; directly, only the ports and
        scratchpads of the vector cores, each of which takes an equal part of the rows.
        """
        key = (core, slot, rows, columns)
        if key not in self.crossings:
            self.crossings[key] = self._crossing(*key)
        last, cause = now, "stall.exchange"
        for level, number, request in self.crossings[key]:
            done = self._serve(level, request, 0, number, now)
            if done > last:
                last, cause = done, self._cause(now, done)
        return last, "stall.exchange" if cause == LATENCY else cause

    def _crossing(self, core: int, slot: int, rows: int, columns: int) -> list[tuple[Level, int, Request]]:
        """What an exchange of `rows` x `columns` scores asks for, in order: level, core there, request."""
        machine, most = self.machine, self.core.max_programs or 1
        base = self.workspace + (core * most + slot) * WORKSPACE
        share = machine.vectors_per_core
        part, found = -(-rows // share), []
        for address, size, outward in ((base, SCORE_BYTES, True), (base + WORKSPACE // 2, PROBABILITY_BYTES, False)):
            width = columns * size
            ours = [(machine.top, core, address, rows, WRITE if outward else READ)]
            theirs = [
                (machine.vector_top, core * share + i, address + i * part * width, part, READ if outward else WRITE)
                for i in range(share)
            ]
            if machine.chip.exchange == "direct":
                ours = []
            for level, number, first, count, op in [*ours, *theirs] if outward else [*theirs, *ours]:
                runs = np.zeros(1, RUN)
                runs[0] = (first, width, count, width, -1, 0, op, len(self.trace.tensors))
                found.append((level, number, Request(runs, NO_INDEX, 0, 1)))
        return found
