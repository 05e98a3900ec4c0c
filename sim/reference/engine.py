"""The reference engine: SimPy processes that take programs, load tiles ahead of time, compute and store."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import simpy
from numpy.typing import NDArray

from memgrain.sim.breakdown.launch import break_down, dispatch_time, launch_time
from memgrain.sim.engine_protocol import CAUSES, COMMANDS, IN_FLIGHT, LATENCY, STORE, Activity, Execution
from memgrain.sim.levels.compute import Computation
from memgrain.sim.levels.level import Level
from memgrain.sim.levels.machine import PROBABILITY_BYTES, SCORE_BYTES, WORKSPACE, Machine, loads_taken
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.sim.levels.scratchpad import Scratchpad
from memgrain.sim.prefetch.engine import PrefetchEngine
from memgrain.workloads.trace import READ, RUN, WRITE, Chunk, Trace, count


@dataclass(frozen=True)
class PreparedStep:
    """A step of a chunk as the core needs it: plain numbers, read once from the structured arrays."""

    repeats: int
    """Times that it is executed in a row."""
    lists: Request | None
    """Index lists, which must have arrived before the load is issued."""
    loads: tuple[tuple[Request | None, int], ...]
    """Tiles that the computation waits for: parts that are requested one after the other, each with what it counts for
    among the bytes in flight."""
    store: Request | None
    """What is written afterwards."""
    once: Computation
    """The program's code outside its steps, which runs before the store."""
    work: Computation
    """What it computes."""
    scores: tuple[int, int, int]
    """Rows and columns of the score tile, and columns of the second product's result."""

    @property
    def closing(self) -> bool:
        """Whether it does more than load, see `Trace.synchronous`."""
        return bool(self.store or self.work.alone)

    @property
    def idle(self) -> bool:
        """Whether it is all of a program that finds nothing to do."""
        return not (self.lists or self.loads[0][0] or self.store or self.work.alone)


class OutstandingLoad(NamedTuple):
    """A load of a core that is outstanding; loads are ordered by arrival, then by the rank of their cause."""

    arrival: int
    """When its data are there, in ps."""
    rank: int
    """Rank of its cause."""
    bytes: int
    """What it counts for among the bytes in flight."""
    cause: str
    """What it waits for."""


@dataclass
class ProgramLoads:
    """How far the loads of a program are."""

    steps: list[tuple[PreparedStep, int]]
    """Its steps, each with its repeat, in order."""
    issued: int = 0
    """Steps whose load was issued."""
    computed: int = 0
    """Steps that were computed."""
    open_steps: int = 0
    """Steps whose load was issued and that are to compute or store."""
    part: int = 0
    """Parts that were issued of the next step's load."""
    ready: tuple[int, str] = (0, "")
    """When the last of these parts is there, and what it waits for."""
    loaded: deque[tuple[int, str]] = field(default_factory=deque)
    """The same for loads that were issued and are not computed yet."""
    listed: deque[tuple[int, str]] = field(default_factory=deque)
    """The same for index lists whose loads are not issued yet."""

    def enter(self, done: int, cause: str, last: bool) -> None:
        """Enter a part that will be there at `done`; with the last one, the load is issued."""
        if done > self.ready[0]:
            self.ready = done, cause
        self.part += 1
        if last:
            self.loaded.append(self.ready)
            self.issued, self.part = self.issued + 1, 0


class Crossing(NamedTuple):
    """A tile that crosses between matrix and vector cores."""

    end: int
    """When the last of its parts is across, all requested at once."""
    probabilities: int
    """Time until its probabilities are with the matrix core, one part after the other and nothing else under way."""
    products: int
    """The same from its product with V until the vector cores have that."""
    cause: str
    """What it waits for most."""


class ReferenceEngine:
    """One trace on one machine: a dispatcher of programs, and a process for each slot of each core."""

    def __init__(
        self,
        machine: Machine,
        trace: Trace,
        record: bool,
        further: bool = False,
        engines: Sequence[PrefetchEngine] = (),
    ) -> None:
        """`record` keeps intervals. A `further` kernel of a sequence costs the chip's barrier, not a launch; so does a
        kernel that is joined to the one before it. `engines` prefetch beside the kernel; those that began before it
        work during the barrier too."""
        self.machine, self.trace = machine, trace
        self.launch = launch_time(machine.chip, trace, further)
        self.engines = engines
        self.begin = self.launch if any(engine.begun for engine in engines) else 0
        self.env = simpy.Environment()
        self.core = machine.core
        self.most_in_flight = self.core.max_bytes_in_flight or 0
        self.labels = [(level, f"stall.{level.name}") for level in machine.levels]
        self.ranks = {label: rank for rank, label in enumerate((*(label for _, label in self.labels), *CAUSES))}
        self.spent: dict[str, int] = defaultdict(int)
        self.intervals: list[Activity] | None = [] if record else None
        self.outstanding: list[list[OutstandingLoad]] = [[] for _ in range(self.core.count)]
        self.bytes_in_flight = [0] * self.core.count
        self.end = self.macs = self.tiles = self.programs = self.merging = 0
        self.flight_bytes = self.flight_byte_ns = self.issue_time = 0
        self.oversize_bytes = self.merge_began = 0
        self.merges: set[int] = set()
        self.running: dict[int, int] = {}
        self.opened: dict[int, int] = {}
        self.dispatched = 0
        self.chunk_ended = self.env.event()
        self.census = machine.census(trace)
        self.stream = self._programs()
        self.exchanges: dict[tuple[int, int, int, int, int], list[list[tuple[Level, int, Request]]]] = {}
        self.tiles_under_way, self.ahead = machine.tiles_under_way, machine.loads_ahead(trace)
        self.under_way: dict[tuple[int, int], deque[int]] = defaultdict(deque)
        self.tail: dict[tuple[int, int], int] = {}
        self.workspace = max((tensor.base + tensor.bytes for tensor in trace.tensors), default=0)

    def run(self) -> Execution:
        """See `Engine.run`."""
        resident = self.machine.resident(self.trace)
        working = [
            self.env.process(self._slot(core, slot)) for slot in range(resident) for core in range(self.core.count)
        ]
        end = self._until_all_end(working) - self.begin
        slots = resident * self.core.count
        launched = min(slots, self.programs - self.merging)
        breakdown = break_down(self.launch, self.trace, self.core, launched, self.spent, slots, end)
        return Execution(
            time=breakdown["launch"] + end,
            launch=self.launch,
            breakdown=breakdown,
            census=self.census,
            counts=count(self.trace),
            programs=self.programs,
            tiles=self.tiles,
            macs=self.macs,
            flight_bytes=self.flight_bytes,
            flight_byte_ns=self.flight_byte_ns,
            oversize_bytes=self.oversize_bytes,
            issue_time=self.issue_time,
            merging=self.merging,
            merge_time=end - (self.merge_began - self.begin) if self.merging else 0,
            intervals=None if self.intervals is None else tuple(self.intervals),
        )

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
            engine.end_kernel(end)
        if self.intervals is not None:
            self.intervals = [replace(i, start=i.start - self.begin, end=i.end - self.begin) for i in self.intervals]
        return end

    def _programs(self) -> Iterator[tuple[int, bool, list[PreparedStep]]]:
        """Every program of the trace in launch order: its chunk, whether that waits for the earlier ones, its parts."""
        for number, chunk in enumerate(self.trace.chunks()):
            self.census.add(chunk)
            indices = chunk.indices.astype(np.int64)
            parts = self._parts(chunk, indices)
            for first, steps, _, _ in chunk.programs.tolist():
                yield number, chunk.barrier, parts[first : first + steps]

    def _parts(self, chunk: Chunk, indices: NDArray[np.int64]) -> list[PreparedStep]:
        def request(first: int, count: int) -> Request | None:
            return Request(chunk.runs, indices, first, count) if count else None

        first, index = (chunk.steps[name].astype(np.int64) for name in ("first_run", "index_runs"))
        runs, cut, ends = self.machine.load_parts(chunk.runs, indices, first + index, loads_taken(chunk.steps))
        every, begins, units = cut.tolist(), [0, *ends.tolist()], self.machine.units
        parts, once = [], units.code(chunk.once_cycles) if chunk.barrier else units.once
        for number, step in enumerate(chunk.steps.tolist()):
            first, index, load, store, repeats, m1, n1, k1, m2, n2, k2, exps = step
            work = units.work(m1, n1, k1, m2, n2, k2, exps)
            self.machine.check_scores(m1, n1)
            mine, copies = every[begins[number] : begins[number + 1]], units.copies(n1, load)
            parts.append(
                PreparedStep(
                    repeats,
                    request(first, index),
                    tuple((Request(runs, indices, a, n, copies) if n else None, size) for a, n, size in mine),
                    request(first + index + load, store),
                    once,
                    work,
                    (m1, n1, n2) if exps else (0, 0, 0),
                )
            )
        return parts

    def _note(self, core: int, slot: int, start: int, what: str) -> None:
        now = int(self.env.now)
        if now > start:
            self.spent[what] += now - start
            if self.intervals is not None:
                self.intervals.append(Activity(core, slot, start, now, what))

    def _slot(self, core: int, slot: int) -> Generator[simpy.Event, None, None]:
        """A slot for a program on a core: takes the next program until there is none.

        The start of the first program is part of the launch; each later one begins `program_start` after its
        predecessor."""
        env, begin = self.env, 0
        if self.begin:
            yield env.timeout(self.begin)
        for chunk, barrier, parts in self.stream:
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
            self.dispatched = max(self.dispatched, start) + dispatch_time(self.machine.chip, self.trace)
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

    def _program(self, core: int, slot: int, parts: list[PreparedStep]) -> Generator[simpy.Event, None, None]:
        """One program: rows are loaded up to `stages` steps ahead of the computation, and index lists as far ahead of
        their rows as the kernel does."""
        env = self.env
        loads = ProgramLoads([(part, repeat) for part in parts for repeat in range(part.repeats)])
        stored = (0, "")
        while loads.computed < len(loads.steps):
            now = int(env.now)
            wake, cause = self._issue(core, loads, now)
            ready = max(loads.loaded[0], stored, key=itemgetter(0)) if loads.loaded else None
            if ready and ready[0] <= now:
                part, repeat = loads.steps[loads.computed]
                yield from self._compute(core, slot, part.work, part.scores, now, loads)
                if part.store or loads.computed + 1 == len(loads.steps):
                    yield from self._finish_tiles(core, slot)
                if part.store or part.idle:
                    yield from self._compute(core, slot, part.once, (0, 0, 0), int(env.now), loads)
                if part.store:
                    left = yield from self._store(part.store, repeat, core, slot)
                    if self.trace.one_result:
                        stored = left
                loads.loaded.popleft()
                loads.computed += 1
                loads.open_steps -= part.closing
                continue
            if ready and (not wake or ready[0] < wake):
                wake, cause = ready
            yield env.timeout(wake - now)
            self._note(core, slot, now, cause)

    def _store(
        self, request: Request, repeat: int, core: int, slot: int
    ) -> Generator[simpy.Event, None, tuple[int, str]]:
        """Store a step's results; returns when they have left, and what they waited for. The kernel ends when they are
        in the first level that keeps them, a write-back cache or the memory, and the program waits for that if its
        copies are synchronous."""
        now = int(self.env.now)
        done = self._serve(self.machine.top, request, repeat, core, now)
        cause = self._cause(now, done)
        self.end = max(self.end, done)
        if self.trace.synchronous and done > now:
            yield self.env.timeout(done - now)
            self._note(core, slot, now, STORE)
        return done, cause

    def _issue(self, core: int, loads: ProgramLoads, now: int) -> tuple[int, str]:
        """Issue index lists and loads as far ahead as the kernel does; returns until when, and for what, the next one
        waits (0: for nothing)."""
        steps, listed = loads.steps, loads.listed
        while loads.issued < len(steps) and loads.issued - loads.computed < self.ahead:
            if self.trace.synchronous and loads.open_steps == self.trace.synchronous:
                break
            part, repeat = steps[loads.issued]
            begun = loads.issued + (loads.part > 0)
            while len(listed) <= self.trace.lists_ahead and begun + len(listed) < len(steps):
                ahead, again = steps[begun + len(listed)]
                self.tiles += ahead.lists is not None
                listed.append(self._load(ahead.lists, again, core, now))
            if not loads.part and listed[0][0] > now:
                return listed[0][0], "stall.index"
            request, size = part.loads[loads.part]
            if not self._room(core, size, now):
                return self._waits_for_room(core)
            if not loads.part:
                listed.popleft()
                loads.ready = now, ""
                self.tiles += request is not None
            done, label = self._load(request, repeat, core, now)
            if size > self.most_in_flight and done > now:
                self.oversize_bytes += size
                piecewise = now + self.machine.top.latency * size // self.most_in_flight
                if piecewise > done:
                    done, label = piecewise, IN_FLIGHT
            if size:
                self._add_load(core, size, now, done, label)
            last = loads.part + 1 == len(part.loads)
            loads.enter(done, label, last)
            loads.open_steps += last and part.closing
        return 0, ""

    def _room(self, core: int, size: int, now: int) -> bool:
        """Whether the core may have `size` more bytes in flight; loads that have arrived by now make room."""
        loads = self.outstanding[core]
        while loads and loads[0].arrival <= now:
            self.bytes_in_flight[core] -= heapq.heappop(loads).bytes
        return not loads or self.bytes_in_flight[core] + size <= self.most_in_flight

    def _add_load(self, core: int, size: int, now: int, done: int, cause: str) -> None:
        """A load of `size` bytes is outstanding from `now` until `done`, and waits for `cause`."""
        heapq.heappush(self.outstanding[core], OutstandingLoad(done, self.ranks[cause], size, cause))
        self.bytes_in_flight[core] += size
        self.flight_bytes += size
        self.flight_byte_ns += size * (done - now) // 1000

    def _waits_for_room(self, core: int) -> tuple[int, str]:
        """When the first load of a core without room arrives, and the cause of the wait: that of the load, or, if it is
        the latency alone, the limit of bytes in flight."""
        load = self.outstanding[core][0]
        return load.arrival, IN_FLIGHT if load.cause == LATENCY else load.cause

    def _load(self, request: Request | None, repeat: int, core: int, now: int) -> tuple[int, str]:
        """When the data of a request will be there, and what they will have waited for."""
        if request is None:
            return now, ""
        done = self._serve(self.machine.top, request, repeat, core, now)
        return done, self._cause(now, done)

    def _serve(self, level: Level, request: Request, repeat: int, core: int, now: int) -> int:
        """Serve a request; levels that it does not reach have no queue."""
        for other, _ in self.labels:
            other.queue = 0
        return level.serve(request, repeat, core, now)

    def _cause(self, issued: int, done: int) -> str:
        """What the request served last waited for most: the level with the longest queue, if that was longer than all
        the rest of the time; at a scratchpad the DMA engine's commands, or the banks."""
        longest, cause = (done - issued) // 2, LATENCY
        for level, label in self.labels:
            if level.queue > longest:
                for_engine = isinstance(level, Scratchpad) and level.for_engine
                longest, cause = level.queue, COMMANDS if for_engine else label
        return cause

    def _compute(
        self, core: int, slot: int, work: Computation, scores: tuple[int, int, int], now: int, loads: ProgramLoads
    ) -> Generator[simpy.Event, None, None]:
        """The products and the softmax of a step; where scores pass between cores, their exchange too. A DMA engine
        that requests loads in parts goes on meanwhile.

        A program of a pipelined kernel multiplies with K for one tile and with V for an earlier one. It waits for the
        first tile's probabilities, and later until no more than its number of tiles are under way."""
        if not work.alone:
            return
        self.macs += work.macs
        self.issue_time += work.issue
        alone = work.alone
        end = computed = self.machine.units.reserve(core, work, now)
        cause = ""
        if scores[1] and self.machine.vectors_apart:
            crossing = self._exchange(core, slot, scores, now)
            cause, tiles = crossing.cause, self.under_way[core, slot]
            if self.tiles_under_way and not tiles:
                end = max(end, now + crossing.probabilities + alone)
            tiles.append(max(crossing.end, now + crossing.probabilities + crossing.products) + alone)
            if len(tiles) == max(1, self.tiles_under_way):
                end = max(end, tiles.popleft())
            self.tail[core, slot] = crossing.products
        while self.machine.most_parts and (time := int(self.env.now)) < end:
            wake, _ = self._issue(core, loads, time)
            yield self.env.timeout(min(end, wake or end) - time)
        if not self.machine.most_parts:
            yield self.env.timeout(end - now)
        waits = (("stall.compute", computed - now - alone), (cause, end - computed))
        code = ("code", alone - work.matmul - work.vector)
        for what, time in (("matmul", work.matmul), ("vector", work.vector), code, *waits):
            if not time:
                continue
            self.spent[what] += time
            if self.intervals is not None:
                self.intervals.append(Activity(core, slot, now, now + time, what))
                now += time

    def _finish_tiles(self, core: int, slot: int) -> Generator[simpy.Event, None, None]:
        """Wait until the products of the program's last tile are with the vector cores."""
        now = int(self.env.now)
        if self.under_way.pop((core, slot), None) and self.tail[core, slot]:
            yield self.env.timeout(self.tail[core, slot])
            self._note(core, slot, now, "stall.exchange")

    def _exchange(self, core: int, slot: int, tile: tuple[int, int, int], now: int) -> Crossing:
        """A tile's scores, probabilities and products cross: one kind of core writes, the other reads.

        Through memory, they pass the slot's workspace in the first shared level; directly, only the ports and
        scratchpads of the vector cores, each of which takes an equal part of the rows. Every part is requested at once,
        as other tiles' parts would be.
        """
        key = (core, slot, *tile)
        if key not in self.exchanges:
            self.exchanges[key] = self._parts_of_exchange(*key)
        last, cause, stages = now, "stall.exchange", []
        for stage in self.exchanges[key]:
            longest = 0
            for level, number, request in stage:
                done = self._serve(level, request, 0, number, now)
                if self.tiles_under_way:
                    assert isinstance(level, Scratchpad)
                    longest = max(longest, level.alone)
                if done > last:
                    last, cause = done, self._cause(now, done)
            stages.append(longest)
        return Crossing(last, sum(stages[:4]), sum(stages[4:]), "stall.exchange" if cause == LATENCY else cause)

    def _parts_of_exchange(
        self, core: int, slot: int, rows: int, columns: int, width: int
    ) -> list[list[tuple[Level, int, Request]]]:
        """The requests of an exchange of `rows` x `columns` scores in stages: level, core there, request. In a
        pipelined kernel the vector cores add up the products with V, `rows` x `width`."""
        machine, most = self.machine, self.core.max_programs or 1
        base = self.workspace + (core * most + slot) * WORKSPACE
        share, copies = machine.vectors_per_core, machine.units.copies(columns)
        part = -(-rows // share)
        tiles = [
            (base, columns * SCORE_BYTES, True, copies),
            (base + WORKSPACE // 2, columns * PROBABILITY_BYTES, False, copies),
        ]
        if self.tiles_under_way and width:
            tiles.append((base + WORKSPACE // 4 * 3, width * SCORE_BYTES, True, min(copies, 1)))
        found = []
        for address, bytes_, outward, flags in tiles:
            one = min(flags, 1)
            ours = [(machine.top, core, address, rows, one if outward else flags)]
            theirs = [
                (machine.vector_top, core * share + i, address + i * part * bytes_, part, flags) for i in range(share)
            ]
            if machine.chip.exchange == "direct":
                ours = []
            for parts, writes in ((ours, outward), (theirs, not outward))[:: 1 if outward else -1]:
                stage = []
                for level, number, first, pieces, flagged in parts:
                    runs = np.zeros(1, RUN)
                    op = WRITE if writes else READ
                    runs[0] = (first, bytes_, pieces, bytes_, -1, 0, op, len(self.trace.tensors), 1)
                    stage.append((level, number, Request(runs, NO_INDEX, 0, 1, flagged)))
                found.append(stage)
        return found
