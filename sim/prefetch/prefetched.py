"""Prefetched data: its location, and how much of it the reading kernel finds there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.cache import expand
from memgrain.sim.cache.cache import Cache
from memgrain.sim.cache.state import QUEUE_LINES
from memgrain.sim.cache.ways import SLOT, STATUS, TAG, VALID, WAY
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.level import Level
from memgrain.sim.levels.machine import Machine
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.workloads.steps.prefetch import accesses, spans
from memgrain.workloads.trace import READ, RUN, Cores

COUNTS = ("bytes", "wrong_bytes", "late_bytes", "used_bytes", "lost_bytes")
"""Counters: bytes requested; of these, bytes of wrong guesses; bytes that the kernel had requested before; bytes that
it found; bytes that were evicted before it read them. The kernel did not read the rest."""


@dataclass(frozen=True)
class Piece:
    """One command of an engine."""

    core: int
    """Whose scratchpad it is for; 0 for a cache."""
    address: int
    """First byte."""
    bytes: int
    """Bytes."""
    right: bool
    """Whether the kernel will read it."""


class CachedData:
    """Pieces prefetched into a cache. Counts whole granules: which granules of the right pieces have been fetched and
    read."""

    def __init__(self, cache: Cache, tensors: list[int], number: int, piece: int, counts: Counter[str]) -> None:
        """`number` is that of the tensor under which the cache counts the engines' requests."""
        self.cache, self.tensors, self.number, self.piece, self.counts = cache, tensors, number, piece, counts
        self.granule = cache.spec.fill_granule
        if piece % self.granule:
            raise SimulationError(
                f"a prefetch in pieces of {piece} bytes, and {cache.name} fetches {self.granule} at a time; give a "
                "multiple of them"
            )
        self.pieces, self.fetched = np.zeros(0, np.int64), np.zeros((0, 0), np.bool_)
        self.read = self.fetched.copy()

    def expect(self, addresses: NDArray[np.int64]) -> None:
        """Announce the right pieces that will be fetched."""
        self.pieces = np.sort(addresses)
        self.fetched = np.zeros((len(addresses), self.piece // self.granule), np.bool_)
        self.read = self.fetched.copy()

    def fetch(self, piece: Piece, now: int) -> int:
        """Request a piece; returns when it arrives."""
        granules = -(-piece.bytes // self.granule)
        self.counts["bytes"] += granules * self.granule
        if piece.right:
            row = int(np.searchsorted(self.pieces, piece.address))
            self.fetched[row, :granules] = True
            self.counts["late_bytes"] += int(self.read[row, :granules].sum()) * self.granule
        else:
            self.counts["wrong_bytes"] += granules * self.granule
        return self.cache.serve(_request(piece, self.number), 0, 0, now)

    def end_kernel(self, end: int) -> None:
        """Does nothing: data in flight counts as arrived."""

    def note(self, request: Request, repeat: int, core: int) -> None:
        """The kernel is about to make this request: granules that it reads for the first time count as used if the
        cache has them, else as lost."""
        found = [np.zeros(0, np.int64)]
        for run in request.runs[request.first : request.first + request.count]:
            if run["tensor"] in self.tensors and run["op"] == READ:
                found.append(spans(accesses(run, request.indices, [repeat]).ravel(), int(run["bytes"]), self.granule))
        granules = np.unique(np.concatenate(found))
        if not len(granules) or not len(self.pieces):
            return
        row = np.searchsorted(self.pieces, granules * self.granule, "right") - 1
        column = granules - self.pieces[row] // self.granule
        inside = (row >= 0) & (column < self.read.shape[1])
        row, column, granules = row[inside], column[inside], granules[inside]
        first = self.fetched[row, column] & ~self.read[row, column]
        self.read[row, column] = True
        there = int(holds(self.cache, granules[first], core).sum())
        self.counts["used_bytes"] += there * self.granule
        self.counts["lost_bytes"] += (int(first.sum()) - there) * self.granule


@dataclass
class Residency:
    """A piece in a core's scratchpad."""

    there: int
    """When it has arrived, in ps of the present kernel's clock."""
    read: NDArray[np.bool_]
    """Which of its bytes have been read."""


class ScratchpadData:
    """Pieces prefetched into the scratchpads of cores: their arrival, and which core has which."""

    def __init__(
        self, machine: Machine, cores: Cores, tensors: list[int], number: int, piece: int, counts: Counter[str]
    ) -> None:
        """`cores` says whose scratchpads; `number` is that of the tensor under which levels count the pieces."""
        self.machine, self.cores = machine, cores
        self.tensors, self.number, self.piece, self.counts = tensors, number, piece, counts
        self.residencies: dict[int, dict[int, Residency]] = defaultdict(dict)
        self.missed: dict[int, set[int]] = defaultdict(set)

    def fetch(self, piece: Piece, now: int) -> int:
        """Request a piece; returns when it arrives."""
        self.counts["bytes"] += piece.bytes
        # a machine makes the levels of vector cores anew for each kernel
        top = self.machine.vector_top if self.cores == "vector" else self.machine.matmul_top
        done = top.serve(_request(piece, self.number), 0, piece.core, now)
        if not piece.right:
            self.counts["wrong_bytes"] += piece.bytes
        elif piece.address in self.missed[piece.core]:
            self.counts["late_bytes"] += piece.bytes
        else:
            self.residencies[piece.core][piece.address] = Residency(done, np.zeros(piece.bytes, np.bool_))
        return done

    def end_kernel(self, end: int) -> None:
        """Count arrivals in the next kernel's clock."""
        for residencies in self.residencies.values():
            for residency in residencies.values():
                residency.there = max(0, residency.there - end)

    def split(self, request: Request, repeat: int, core: int, bases: Sequence[int], now: int) -> tuple[int, Request]:
        """When the requested data that the core's scratchpad has arrives, and a request for the rest."""
        kept: list[NDArray[np.void]] = []
        there, residencies = now, self.residencies[core]
        for run in request.runs[request.first : request.first + request.count]:
            rest: list[tuple[int, int]] = []
            if run["tensor"] not in self.tensors:
                kept.append(run.reshape(1))
                continue
            for low, size in self._segments(run, request, repeat, bases):
                address = low - (low - bases[run["tensor"]]) % self.piece
                residency = residencies.get(address)
                if residency is None:
                    self.missed[core].add(address)
                    rest.append((low, size))
                    continue
                part = residency.read[low - address : low - address + size]
                self.counts["used_bytes"] += size - int(part.sum())
                part[:] = True
                there = max(there, residency.there)
            kept.append(reads(rest, int(run["tensor"])))
        runs = np.concatenate(kept)
        return there, Request(runs, request.indices, 0, len(runs))

    def _segments(self, run: np.void, request: Request, repeat: int, bases: Sequence[int]) -> Iterator[tuple[int, int]]:
        """First byte and bytes of what a run requests, cut where pieces begin."""
        base = bases[run["tensor"]]
        for low in accesses(run, request.indices, [repeat]).ravel().tolist():
            at, end = low, low + int(run["bytes"])
            while at < end:
                to = min(end, at + self.piece - (at - base) % self.piece)
                yield at, to - at
                at = to


class PrefetchMonitor:
    """The top level of the cores while a kernel runs for which data was prefetched."""

    def __init__(self, below: Level, target: CachedData | ScratchpadData, bases: Sequence[int], share: int) -> None:
        """`share` cores of this kind count as one below."""
        self.name, self.below, self.target, self.bases, self.share = below.name, below, target, bases, share
        self.latency, self.queue, self.first, self.came = below.latency, 0, 0, 0

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`: what a scratchpad holds takes no time below it."""
        done = now
        if not (request.writes or request.uncached):
            if isinstance(self.target, CachedData):
                self.target.note(request, repeat, core // self.share)
            elif self.target.residencies[core]:
                # a ps, so that all programs that begin together have a core before the first of them ends
                done, request = self.target.split(request, repeat, core, self.bases, now + 1)
        if request.count:
            done = max(done, self.below.serve(request, repeat, core, now))
        self.queue, self.first, self.came = self.below.queue, self.below.first, self.below.came
        return done

    def counters(self) -> dict[str, int]:
        """It counts nothing."""
        return {}

    def forget(self) -> None:
        """It counts nothing."""


def holds(cache: Cache, granules: NDArray[np.int64], core: int) -> NDArray[np.bool_]:
    """Whether a cache has fill granules (by number) where `core` would find them; changes nothing of it."""
    per_line = cache.line // cache.spec.fill_granule
    sectors = cache.spec.fill_granule // cache.spec.sector
    lines, which = np.unique(granules // per_line, return_inverse=True)
    cache.state.near, cache.state.first_slice, number = cache.cores[core]
    sets = cache.sets[number]
    valid, queue = np.zeros(len(lines), np.int64), cache.queue_of_lines
    words = sets[: cache.slots_at].reshape(-1, cache.positions)
    for start in range(0, len(lines), QUEUE_LINES):
        count = len(lines[start : start + QUEUE_LINES])
        queue.line[:count] = lines[start : start + count]
        queue.request[:count] = 0
        expand.locate(count, queue, cache.config, cache.state)
        group = queue.set_index[:count].astype(np.int64)
        for there in (cache.stored_in(sets, group), cache.stored_in(sets, group + queue.to_home[:count])):
            found, position = np.nonzero((words[there] & TAG) == queue.key[:count][:, None])
            way = (words[there[found], position] & WAY).astype(np.int64)
            state = sets[cache.slots_at + there[found] * cache.width + SLOT * way + STATUS]
            valid[start + found] |= state & VALID
    mask = ((1 << sectors) - 1) << (granules % per_line * sectors)
    return (valid[which] & mask) == mask


def _request(piece: Piece, number: int) -> Request:
    return Request(reads([(piece.address, piece.bytes)], number), NO_INDEX, 0, 1)


def reads(stretches: Sequence[tuple[int, int]], tensor: int) -> NDArray[np.void]:
    """Reads of stretches of memory. Adjacent stretches become one; those of one size at a regular distance become one
    run, so that a DMA engine takes no more commands for the rest of a run than for all of it."""
    joined: list[tuple[int, int]] = []
    for low, size in stretches:
        if joined and sum(joined[-1]) == low:
            joined[-1] = joined[-1][0], joined[-1][1] + size
        else:
            joined.append((low, size))
    found: list[list[int]] = []
    for low, size in joined:
        last = found[-1] if found and found[-1][3] == size else None
        if last is not None and last[2] == 1:
            last[1], last[2] = low - last[0], 2
        elif last is not None and low == last[0] + last[1] * last[2]:
            last[2] += 1
        else:
            found.append([low, 0, 1, size])
    runs = np.zeros(len(found), RUN)
    for i, (low, stride, count, size) in enumerate(found):
        runs[i] = (low, stride, count, size, -1, 0, READ, tensor, 1)
    return runs
