"""The levels of a machine as the arrays that the compiled event loop goes through, and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.cache.cache import Cache
from memgrain.sim.cache.state import RECORDS
from memgrain.sim.dram import state as db
from memgrain.sim.dram.dram import Dram
from memgrain.sim.engine import memory_path as chain
from memgrain.sim.levels.level import Level
from memgrain.sim.levels.link import Link, Wire
from memgrain.sim.levels.machine import Machine
from memgrain.sim.levels.scratchpad import EVERY_ROW, Scratchpad
from memgrain.workloads.trace import RUN, UNCACHED

_NO_CACHE = chain.CacheArrays(
    np.zeros((1, 1), np.int32),
    np.zeros((1, 3), np.int64),
    np.zeros(1, np.int64),
    np.zeros(1, RUN),
    np.zeros(0, RECORDS),
    np.zeros(1, np.int64),
    np.zeros(1, np.int64),
)
"""What stands for the caches of a chip that has none."""
_GROWTH = 64
"""Turns for which room is made at a time in what waits for data."""


class Fills(NamedTuple):
    """What a cache has taken in since a kernel began."""

    misses: int
    """Granules fetched."""
    empty: int
    """Ways given to a line that had none."""
    filled: bool
    """Whether as many bytes have been fetched as it holds."""


class Wiring:
    """The levels of a machine that is about to run a trace, in the order of `machine.levels`."""

    def __init__(self, machine: Machine) -> None:
        self.levels: list[Level] = list(machine.levels)
        self.chains: list[list[int]] = []
        self.tops: list[Level] = []
        for top in (machine.top, machine.vector_top, machine.matmul_top):
            if not any(top is other for other in self.tops):
                self.tops.append(top)
                self.chains.append(self._follow(top))
        self.caches = [level for level in self.levels if isinstance(level, Cache)]
        self.table = np.zeros((len(self.levels), chain.FIELDS), np.int64)
        self.booked = 0
        for i, level in enumerate(self.levels):
            for entry, value in self._entries(level).items():
                self.table[i, entry] = value
        self.free = np.zeros(self.booked + 1, np.int64)
        self.stalls = [f"stall.{level.name}" for level in self.levels]

    def _follow(self, level: Level) -> list[int]:
        """The levels from `level` to the memory or the end of a wire, by number."""
        found = []
        while True:
            if isinstance(level, Wire):
                self.levels.append(level)
            found.append(next(i for i, other in enumerate(self.levels) if other is level))
            if isinstance(level, Dram | Wire):
                return found
            assert isinstance(level, Link | Scratchpad | Cache)
            level = level.below

    def _book(self, number: int) -> int:
        """Where so many new times begin in `free`."""
        self.booked += number
        return self.booked - number

    def _entries(self, level: Level) -> dict[int, int]:
        """A level's row in the table."""
        if isinstance(level, Link):
            (read, reads), (write, writes) = level.ways
            first = self._book(len(reads))
            return {
                chain.KIND: chain.LINK,
                chain.SHARE: level.share,
                chain.GATHERS: level.gathers,
                chain.LATENCY: level.latency,
                chain.DELAY: level.delay,
                chain.READ_RATE: read,
                chain.WRITE_RATE: write,
                chain.READS_FREE: first,
                chain.WRITES_FREE: first if writes is reads else self._book(len(writes)),
            }
        if isinstance(level, Scratchpad):
            number = len(level.banks_free)
            return {
                chain.KIND: chain.PAD,
                chain.SHARE: level.share,
                chain.LATENCY: level.latency,
                chain.READ_RATE: level.spec.bandwidth,
                chain.READS_FREE: self._book(number),
                chain.WRITES_FREE: self._book(number),
                chain.BANKS_FREE: self._book(number),
                chain.GRANULE: level.granule,
                chain.ROWS: level.spec.dma_rows or EVERY_ROW,
                chain.STARTUP: level.spec.dma_startup or 0,
            }
        if isinstance(level, Cache):
            return {
                chain.KIND: chain.CACHE,
                chain.CACHE_NUMBER: self.caches.index(level),
                chain.LINE_BITS: level.line.bit_length() - 1,
                chain.TURN: level.below.latency if level.spec.uncached == "serial" else -1,
            }
        return {chain.KIND: chain.DRAM if isinstance(level, Dram) else chain.WIRE}

    def chain_of(self, top: Level) -> int:
        """The number of the chain that begins with a level."""
        return next(i for i, other in enumerate(self.tops) if other is top)

    def arrays(self) -> chain.Levels:
        """What the loop goes through."""
        depth = max(len(found) for found in self.chains) + 1
        chains = np.full((len(self.chains), depth), chain.END, np.int64)
        for i, found in enumerate(self.chains):
            chains[i, : len(found)] = found
        (dram,) = (level for level in self.levels if isinstance(level, Dram))
        caches = tuple(_arrays_of(cache) for cache in self.caches) or (_NO_CACHE,)
        return chain.Levels(self.table, self.free, chains, caches, chain.DramArrays(dram.state, dram.book, dram.moving))

    def check(self, runs: NDArray[np.void]) -> None:
        """Raise SimulationError if runs read past a cache of which the chip does not say how that goes."""
        if (runs["op"] == UNCACHED).any():
            for cache in self.caches:
                cache.past.check()

    def make_room(self, lines: int, waits: int) -> None:
        """Let the caches take requests of so many lines, and as many more entries in what waits for data."""
        for cache in self.caches:
            if lines > cache.room:
                cache.make_room(lines)
            if len(cache.arrivals) - 1 - cache.state.next_wait < waits:
                more = np.zeros(len(cache.arrivals) + _GROWTH * waits, np.int64)
                cache.arrivals = np.concatenate([cache.arrivals, more])

    def refuse(self) -> None:
        """Raise SimulationError for the cache that was asked for a line beyond what it tells apart."""
        for cache in self.caches:
            if cache.state.beyond:
                cache.refuse()

    def counts(self) -> list[NDArray[np.int64]]:
        """Views of what the levels count."""
        (dram,) = (level for level in self.levels if isinstance(level, Dram))
        caches = [cache.counts.view(np.int64).reshape(len(cache.tensors), -1) for cache in self.caches]
        return [self.table[:, chain.BYTES : chain.WRITE_COMMANDS + 1], *caches, dram.book[db.READS :]]

    def totals(self) -> list[NDArray[np.int64]]:
        """Copies of what the levels count, of evictions those that each tensor suffers: which of two tensors of a step
        takes whose way changes from window to window."""
        table, *caches, dram = (part.copy() for part in self.counts())
        table = table[:, : chain.COMMANDS + 1 - chain.BYTES]
        parts = [self._split(cache, counts) for cache, counts in zip(self.caches, caches, strict=True)]
        return [table, *(np.concatenate([counts.ravel(), evicted.sum(axis=0)]) for counts, evicted in parts), dram]

    @staticmethod
    def _split(cache: Cache, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The counts of a cache but for evictions, and these: [tensor that evicts, tensor evicted], the last being that
        of ways without a line."""
        first, evicted = np.split(counts, [-cache.counts["evicted"].shape[1]], axis=1)
        return first, evicted

    def fills(self) -> list[Fills]:
        """What each cache has taken in."""
        found = []
        for cache in self.caches:
            misses = int(cache.counts["misses"].sum())
            filled = misses * cache.spec.fill_granule >= cache.spec.capacity
            found.append(Fills(misses, int(cache.counts["evicted"][:, len(cache.tensors)].sum()), filled))
        return found

    def hand_back(self) -> None:
        """Let the levels know what was counted."""
        for level, row in zip(self.levels, self.table.tolist(), strict=True):
            if isinstance(level, Link):
                level.bytes, level.written = row[chain.BYTES], row[chain.WRITTEN]
            elif isinstance(level, Scratchpad):
                level.bytes, level.moved, level.commands = row[chain.BYTES], row[chain.MOVED], row[chain.COMMANDS]
                level.write_commands = row[chain.WRITE_COMMANDS]
            elif isinstance(level, Cache):
                level.waits = len(level.arrivals) - 1 - int(level.state.next_wait)


def _arrays_of(cache: Cache) -> chain.CacheArrays:
    """The arrays of a cache."""
    free = cache.past.free if len(cache.past.free) else np.zeros(1, np.int64)
    return chain.CacheArrays(
        cache.sets,
        cache.cores,
        cache.arrivals,
        cache.out,
        cache.records,
        cache.busy,
        free,
    )
