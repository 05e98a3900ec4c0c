"""The levels of a machine as tables for the compiled event loop; afterwards their counts go back to the levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.cache.cache import Cache
from memgrain.sim.cache.state import RECORDS
from memgrain.sim.dram.dram import Dram
from memgrain.sim.engine import memory_path
from memgrain.sim.levels.level import Level
from memgrain.sim.levels.link import Link, Wire
from memgrain.sim.levels.machine import Machine
from memgrain.sim.levels.scratchpad import EVERY_ROW, Scratchpad
from memgrain.workloads.trace import RUN, UNCACHED

_NO_CACHE = memory_path.CacheArrays(
    np.zeros((1, 1), np.int32),
    np.zeros((1, 3), np.int64),
    np.zeros(1, np.int64),
    np.zeros(1, RUN),
    np.zeros(0, RECORDS),
    np.zeros(1, np.int64),
    np.zeros(1, np.int64),
)
"""Stands for the caches of a chip that has none, since Numba needs one to know its type."""
_GROWTH = 64
"""Requests for which a cache's table of arrivals grows at a time."""


class LevelArrays:
    """The levels of a machine that is about to run a trace, in the order of `machine.levels`, as tables."""

    def __init__(self, machine: Machine) -> None:
        self.levels: list[Level] = list(machine.levels)
        self.paths: list[list[int]] = []
        self.tops: list[Level] = []
        for top in (machine.top, machine.vector_top, machine.matmul_top):
            if not any(top is other for other in self.tops):
                self.tops.append(top)
                self.paths.append(self._follow(top))
        self.caches = [level for level in self.levels if isinstance(level, Cache)]
        self.table = np.zeros(len(self.levels), memory_path.LEVEL)
        self.booked = 0
        for i, level in enumerate(self.levels):
            for field, value in self._fields(level).items():
                self.table[i][field] = value
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

    def _reserve(self, number: int) -> int:
        """Reserve `number` entries of `free`; returns the first."""
        self.booked += number
        return self.booked - number

    def _fields(self, level: Level) -> dict[str, int]:
        """A level's record in the table."""
        if isinstance(level, Link):
            (read, reads), (write, writes) = level.directions
            first = self._reserve(len(reads))
            return {
                "kind": memory_path.LINK,
                "share": level.share,
                "gathers": level.gathers,
                "latency": level.latency,
                "delay": level.delay,
                "read_rate": read,
                "write_rate": write,
                "reads_free": first,
                "writes_free": first if writes is reads else self._reserve(len(writes)),
            }
        if isinstance(level, Scratchpad):
            number = len(level.banks_free)
            return {
                "kind": memory_path.PAD,
                "share": level.share,
                "latency": level.latency,
                "read_rate": level.spec.bandwidth,
                "reads_free": self._reserve(number),
                "writes_free": self._reserve(number),
                "banks_free": self._reserve(number),
                "granule": level.granule,
                "rows": level.spec.dma_rows or EVERY_ROW,
                "startup": level.spec.dma_startup or 0,
                "split_piece": level.split.piece if level.split else 0,
                "split_interval": level.split.interval if level.split else 0,
                "row_time": level.spec.dma_row or 0,
                "merge_time": level.spec.dma_merge or 0,
                "access": level.access,
            }
        if isinstance(level, Cache):
            return {
                "kind": memory_path.CACHE,
                "cache": self.caches.index(level),
                "line_bits": level.line.bit_length() - 1,
                "hold_time": level.below.latency if level.spec.uncached == "serial" else -1,
            }
        return {"kind": memory_path.DRAM if isinstance(level, Dram) else memory_path.WIRE}

    def path_of(self, top: Level) -> int:
        """The number of the memory path that begins with a level."""
        return next(i for i, other in enumerate(self.tops) if other is top)

    def tables(self) -> memory_path.LevelTables:
        """The tables that the loop reads and writes."""
        depth = max(len(found) for found in self.paths) + 1
        paths = np.full((len(self.paths), depth), memory_path.PATH_END, np.int64)
        for i, found in enumerate(self.paths):
            paths[i, : len(found)] = found
        (dram,) = (level for level in self.levels if isinstance(level, Dram))
        caches = tuple(_arrays_of(cache) for cache in self.caches) or (_NO_CACHE,)
        return memory_path.LevelTables(self.table, self.free, paths, caches, dram.arrays)

    def check(self, runs: NDArray[np.void]) -> None:
        """Raise SimulationError if runs read past a cache and the chip does not say how such reads go."""
        if (runs["op"] == UNCACHED).any():
            for cache in self.caches:
                cache.past.check()

    def make_room(self, lines: int, waits: int) -> None:
        """Grow the caches' tables for requests of `lines` lines, and for `waits` more entries that wait for data."""
        for cache in self.caches:
            if lines > cache.room:
                cache.make_room(lines)
            if len(cache.arrivals) - 1 - cache.state.next_wait < waits:
                more = np.zeros(len(cache.arrivals) + _GROWTH * waits, np.int64)
                cache.arrivals = np.concatenate([cache.arrivals, more])

    def refuse(self) -> None:
        """Raise SimulationError for the cache whose limit of line numbers a request exceeded."""
        for cache in self.caches:
            if cache.state.beyond:
                cache.refuse()

    def write_back(self) -> None:
        """Write what was counted back to the levels."""
        for level, row in zip(self.levels, self.table, strict=True):
            if isinstance(level, Link):
                level.bytes, level.written = int(row.bytes), int(row.written)
            elif isinstance(level, Scratchpad):
                level.bytes, level.moved = int(row.bytes), int(row.moved)
                level.commands, level.write_commands = int(row.commands), int(row.write_commands)
                level.row_times = [int(row.read_row_times), int(row.write_row_times)]
            elif isinstance(level, Cache):
                level.waits = len(level.arrivals) - 1 - int(level.state.next_wait)


def _arrays_of(cache: Cache) -> memory_path.CacheArrays:
    """The arrays of a cache."""
    free = cache.past.free if len(cache.past.free) else np.zeros(1, np.int64)
    return memory_path.CacheArrays(
        cache.sets,
        cache.cores,
        cache.arrivals,
        cache.out,
        cache.records,
        cache.busy,
        free,
    )
