"""An access probe above a level, and the counters that receive the requested lines from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memgrain.hwmodels.spec import Cache as CacheSpec
from memgrain.sim.cache.cache import Cache
from memgrain.sim.curves import distances as ds
from memgrain.sim.curves import stacks as st
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.level import Level
from memgrain.sim.levels.link import Link
from memgrain.sim.levels.machine import Machine
from memgrain.sim.levels.request import Request
from memgrain.sim.levels.scratchpad import Scratchpad
from memgrain.sim.native.address import folding, reciprocal
from memgrain.sim.reference.engine import ReferenceEngine
from memgrain.workloads.trace import Trace

BATCH = 1 << 16
"""Lines that the probe passes to a counter together, unless a request has more."""
GROUPS = 8
"""Parts of a sample whose spread gives its error."""
LIMITS = 1 << 24
"""Distinct rates of sampling."""
Lines = NDArray[np.int32]
"""Numbers of lines, or the bits of the requests for them."""


@dataclass(frozen=True)
class CacheShape:
    """The geometry of a cache, as far as a curve needs it."""

    line: int
    """Bytes of a line, a power of two."""
    granule: int
    """Bytes that are fetched together, a power of two."""
    sets: int
    """Sets of a partition."""
    ways: int = 1
    """Lines of a set, as the chip has it."""
    hashed: bool = False
    """Whether line numbers are folded before they choose a set."""
    partitions: int = 1
    """Separately looked-up parts."""
    replicate: bool = False
    """Whether a partition keeps copies of what it reads from another."""

    @classmethod
    def of(cls, spec: CacheSpec) -> CacheShape:
        """The shape of a chip's cache."""
        hashed, copies = spec.set_hash == "xor", bool(spec.replicate)
        return cls(spec.line, spec.fill_granule, spec.sets, spec.ways, hashed, spec.partitions, copies)

    @property
    def granules(self) -> int:
        """Granules of a line."""
        return self.line // self.granule


class AccessCounter(Protocol):
    """A counter of lines."""

    def take(self, count: int, lines: Lines, requests: Lines) -> None:
        """Count the first `count` lines, in order; see `memgrain.sim.curves.stacks` for the bits of `requests`."""
        ...


class AccessProbe:
    """A level above `below` that records the requested lines; it takes no time."""

    def __init__(self, below: Level, counter: AccessCounter, shape: CacheShape, share: int) -> None:
        """Every `share` cores have one of the caches that are counted."""
        self.name, self.below, self.counter, self.shape, self.share = below.name, below, counter, shape, share
        self.latency, self.queue, self.first, self.came = below.latency, 0, 0, 0
        self.line_bits, self.granule_bits = shape.line.bit_length() - 1, shape.granule.bit_length() - 1
        self.filled = 0
        self.lines, self.requests = np.zeros(BATCH, np.int32), np.zeros(BATCH, np.int32)

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`."""
        if not request.uncached:
            self._note(request, repeat, core)
        done = self.below.serve(request, repeat, core, now)
        self.queue, self.first, self.came = self.below.queue, self.below.first, self.below.came
        return done

    def _note(self, request: Request, repeat: int, core: int) -> None:
        most, partitions = request.lines(self.shape.line), self.shape.partitions
        if self.filled + most > len(self.lines):
            self.flush()
        if most > len(self.lines):
            self.lines, self.requests = np.zeros(2 * most, np.int32), np.zeros(2 * most, np.int32)
        partition = core // self.share * partitions + core % self.share * partitions // self.share
        self.filled = st.spread(
            request.runs,
            request.indices,
            request.first,
            request.count,
            repeat,
            partition,
            self.line_bits,
            self.granule_bits,
            self.filled,
            self.lines,
            self.requests,
        )
        if self.filled < 0:
            raise SimulationError(
                f"an address lies beyond the {self.shape.line << 31} bytes that a curve of {self.shape.line}-byte "
                "lines can count; make the workload smaller or the lines larger"
            )

    def flush(self) -> None:
        """Pass the lines recorded so far to the counter."""
        self.counter.take(self.filled, self.lines, self.requests)
        self.filled = 0

    def counters(self) -> dict[str, int]:
        """It counts nothing."""
        return {}

    def forget(self) -> None:
        """It counts nothing."""


def run_probed(machine: Machine, traces: Sequence[Trace], level: Level, probe: AccessProbe) -> Counter[str]:
    """Insert the probe above `level` and run `traces` one after the other; the counters of `level`, summed over all."""
    insert_above(level, machine, probe)
    found = Counter[str]()
    for number, trace in enumerate(traces):
        machine.prepare(trace)
        ReferenceEngine(machine, trace, False, number > 0).run()
        found.update(level.counters())
        machine.forget()
    probe.flush()
    return found


def insert_above(level: Level, machine: Machine, probe: AccessProbe) -> None:
    """Insert the probe above `level`: everything in the machine that led to `level` then leads to the probe."""
    for above in machine.levels:
        if isinstance(above, Cache | Link | Scratchpad) and above.below is level:
            above.below = probe
            if isinstance(above, Cache):
                above.past.below = probe
    for name in ("shared", "matmul_top", "vector_top", "top"):
        if getattr(machine, name) is level:
            setattr(machine, name, probe)


def stacks(sets: int, depth: int, wide: bool) -> NDArray[Any]:
    """Empty stacks of so many tags of 32 or 16 bits, where a page of 2 MiB begins: the host looks up fewer of these."""
    kind = np.int32 if wide else np.uint16
    size, page = sets * depth * np.dtype(kind).itemsize, 1 << 21
    room = np.empty(size + page, np.uint8)
    room.view(np.int8)[:] = -1
    return room[-room.ctypes.data % page :][:size].view(kind)


class PerSet:
    """Counts in how few ways reads hit, at the sets of a cache: a stack of DEEP tags for each."""

    def __init__(self, shape: CacheShape, caches: int, tensors: int, threads: int = 1) -> None:
        """There are so many of the cache; each thread works on sets of its own."""
        self.partitions, self.sets, self.granules = caches * shape.partitions, shape.sets, shape.granules
        if self.partitions > st.MAX_PARTITIONS:
            raise SimulationError(
                f"{self.partitions} partitions of all caches; a curve distinguishes {st.MAX_PARTITIONS} at most"
            )
        self.geometry = np.zeros(st.GEOMETRY, np.int64)
        self.geometry[[st.SETS, st.FACTOR, st.SHIFT]] = shape.sets, *reciprocal(shape.sets)
        self.geometry[[st.FOLD_BITS, st.FOLD_MASK]] = folding(shape.sets, shape.hashed)
        self.geometry[[st.PARTITIONS, st.REPLICATE]] = shape.partitions, shape.replicate
        self.geometry[[st.WAYS, st.PARTS]] = shape.ways, shape.granules
        self.tags = stacks(self.partitions * shape.sets, st.DEEP, False)
        self.depths = np.zeros(0, np.uint8)
        self.counts = np.zeros((threads, tensors, st.DEEP + 1), np.int64)

    def take(self, count: int, lines: Lines, requests: Lines) -> None:
        """See `AccessCounter.take`."""
        if not count:
            return
        self._make_room(int(lines[:count].max()) + 1)
        threads = len(self.counts)

        def work(part: int) -> None:
            st.access(count, lines, requests, part, threads, self.geometry, self.tags, self.depths, self.counts[part])

        run_in_threads(work, threads)

    def _make_room(self, lines: int) -> None:
        """Make room in `depths` for so many lines, and in tags for their largest quotient."""
        room = len(self.depths) // (self.partitions * self.granules)
        if lines > room:
            more = np.full((self.partitions, max(lines, 2 * room), self.granules), st.DEEP, np.uint8)
            more[:, :room] = self.depths.reshape(self.partitions, room, self.granules)
            self.depths = more.reshape(-1)
        if self.tags.dtype == np.uint16 and (1 << lines.bit_length()) // self.sets >= st.EMPTY:
            narrow, self.tags = self.tags, stacks(self.partitions * self.sets, st.DEEP, True)
            self.tags[:] = np.where(narrow == st.EMPTY, -1, narrow.astype(np.int32))


class Distances:
    """LRU stack distances of lines, fully associative, by tensor."""

    def __init__(self, granules: int, tensors: int) -> None:
        self.granules = granules
        self.state = np.zeros(ds.STATE, np.int64)
        self.last, self.depths = np.zeros(0, np.int32), np.zeros(0, np.int32)
        self.found, self.by = np.zeros(0, np.int32), np.zeros(0, np.int32)
        self.counts, self.never = np.zeros((tensors, 0), np.int64), np.zeros(tensors, np.int64)
        self.owners, self.marks = np.zeros(0, np.int32), np.zeros(0, np.int64)
        self._lengthen(2 * BATCH)

    def take(self, count: int, lines: Lines, requests: Lines) -> None:
        """See `AccessCounter.take`."""
        if not count:
            return
        self._make_room(count, int(lines[:count].max()) + 1)
        entered = ds.measure(
            count,
            lines,
            requests,
            self.granules,
            self.state,
            self.last,
            self.depths,
            self.owners,
            self.marks,
            self.tree,
            self.found,
            self.by,
        )
        some = self.found[:entered]
        farthest = int(some.max(initial=-1, where=some < ds.NEVER)) + 1
        if farthest > self.counts.shape[1]:
            more = max(farthest, 2 * self.counts.shape[1]) - self.counts.shape[1]
            self.counts = np.pad(self.counts, ((0, 0), (0, more)))
        ds.tally(entered, self.found, self.by, self.counts, self.never)

    def _make_room(self, count: int, lines: int) -> None:
        """Make room for so many accesses and line numbers."""
        room = len(self.last)
        if lines > room:
            more = max(lines, 2 * room) - room
            self.last = np.concatenate([self.last, np.zeros(more, np.int32)])
            self.depths = np.concatenate([self.depths, np.full(more * self.granules, ds.NEVER, np.int32)])
        if count * self.granules > len(self.found):
            self.found, self.by = (np.zeros(count * self.granules, np.int32) for _ in range(2))
        if self.state[ds.NOW] + count > len(self.owners):
            ds.move_up(self.state, self.last, self.owners, self.marks, self.tree)
            times = len(self.owners)
            while 2 * (int(self.state[ds.NOW]) + count) > times:
                times *= 2
            if times > len(self.owners):
                self._lengthen(times)
                ds.move_up(self.state, self.last, self.owners, self.marks, self.tree)

    def _lengthen(self, times: int) -> None:
        """Lengthen the time axis to so many times, a multiple of the tree's blocks."""
        self.owners = np.concatenate([self.owners, np.zeros(times - len(self.owners), np.int32)])
        self.marks = np.concatenate([self.marks, np.zeros((times >> ds.WORD_BITS) - len(self.marks), np.int64)])
        self.tree = np.zeros((times >> ds.BLOCK_BITS) + 1, np.int32)


class Sampled:
    """Stack distances of a sample of the lines, chosen by a hash, and of GROUPS parts of it on their own."""

    def __init__(self, granules: int, tensors: int, rate: float) -> None:
        self.granules, self.limit = granules, round(rate * LIMITS)
        self.whole = Distances(granules, tensors)
        self.groups = [Distances(granules, tensors) for _ in range(GROUPS)]
        self.ids, self.state = np.zeros(0, np.int32), np.zeros(1, np.int64)
        self.totals = np.zeros(tensors, np.int64)

    def take(self, count: int, lines: Lines, requests: Lines) -> None:
        """See `AccessCounter.take`."""
        if not count:
            return
        most, room = int(lines[:count].max()) + 1, len(self.ids)
        if most > room:
            self.ids = np.concatenate([self.ids, np.full(max(most, 2 * room) - room, -1, np.int32)])
        chosen, what, group = (np.zeros(count, np.int32) for _ in range(3))
        kept = ds.sample(
            count,
            lines,
            requests,
            self.granules,
            self.limit,
            GROUPS,
            self.ids,
            self.state,
            self.totals,
            chosen,
            what,
            group,
        )
        self.whole.take(kept, chosen, what)
        for number, part in enumerate(self.groups):
            mine = np.flatnonzero(group[:kept] == number)
            part.take(len(mine), chosen[mine], what[mine])


def run_in_threads(work: Callable[[int], None], parts: int) -> None:
    """Do `work` for each of `parts` parts, each in a thread."""
    if parts == 1:
        work(0)
        return
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, range(parts)))
