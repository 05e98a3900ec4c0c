"""Why the last cache reads what it does from the DRAM: first reads, capacity, copies, conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memgrain.hwmodels.spec import Chip
from memgrain.sim.cache.cache import Cache
from memgrain.sim.curves import fully as fl
from memgrain.sim.curves.probe import AccessProbe, CacheShape, Lines, run_probed
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.machine import WORKSPACE, Machine
from memgrain.workloads.trace import Trace

MOST_LINES = 1 << 28
"""Lines of a memory from which on the lists of lines do not fit a host."""


@dataclass(frozen=True, eq=False)
class ReadCauses:
    """Bytes that a chip's last cache read from the DRAM, by tensor and cause; each array is [tensor].

    The causes are differences between caches that serve the same requests in the same order, and sum to `read`: an
    infinite one (`first`), one fully associative LRU list of the cache's capacity (`capacity` more), such a list for
    each partition, with its copies (`copies` more), and the cache itself (`conflicts` more: its sets, its replacement
    policy where that is not LRU, granules written in part). A difference is negative where the more restricted cache
    reads less: LRU with sets keeps some of a sweep that is larger than the cache, one list keeps nothing.
    """

    tensors: tuple[str, ...]
    """Names."""
    needed: NDArray[np.int64]
    """Distinct bytes that the algorithm reads or writes."""
    read: NDArray[np.int64]
    """All that was read."""
    first: NDArray[np.int64]
    """Granules read for the first time."""
    capacity: NDArray[np.int64]
    """Read again because the working set is larger than the cache."""
    copies: NDArray[np.int64]
    """Read again because partitions hold copies of each other's lines, or are smaller than the cache."""
    conflicts: NDArray[np.int64]
    """Read again because other lines took the ways of the same set."""

    @property
    def unasked(self) -> NDArray[np.int64]:
        """Bytes of `first` beyond `needed`: granules of which only a part was requested."""
        return np.maximum(self.first - self.needed, 0)


class FullyAssociative:
    """Counts what partitions without sets would fetch."""

    def __init__(self, partitions: int, copies: bool, room: int, lines: int, tensors: int) -> None:
        """Each of the partitions holds `room` of `lines` distinct lines."""
        self.geometry = np.array([partitions, copies, room, lines], np.int64)
        self.misses, self.held = np.zeros(tensors, np.int64), np.zeros(partitions, np.int64)
        nodes = partitions * (lines + 1)
        self.before, self.after, self.valid = (np.zeros(nodes, kind) for kind in (np.int32, np.int32, np.uint8))
        fl.empty(self.geometry, self.before, self.after)

    def take(self, count: int, lines: Lines, requests: Lines) -> None:
        """See `AccessCounter.take`."""
        fl.serve(count, lines, requests, self.geometry, self.before, self.after, self.valid, self.held, self.misses)


class Ladder:
    """Counts granules that are read for the first time, and those that increasingly restricted caches would fetch."""

    def __init__(self, shape: CacheShape, lines: int, tensors: int) -> None:
        """`lines` is the number of distinct lines."""
        room, parts = shape.sets * shape.ways, shape.partitions
        self.levels = [
            FullyAssociative(1, False, room * parts, lines, tensors),
            FullyAssociative(parts, shape.replicate, room, lines, tensors),
        ]
        self.known, self.first = np.zeros(lines, np.uint8), np.zeros(tensors, np.int64)

    def take(self, count: int, lines: Lines, requests: Lines) -> None:
        """See `AccessCounter.take`."""
        fl.count_first(count, lines, requests, self.known, self.first)
        for level in self.levels:
            level.take(count, lines, requests)


def read_causes(chip: Chip, traces: Trace | Sequence[Trace]) -> ReadCauses:
    """Why the chip's last cache reads what it does while `traces` run one after the other, from cold caches.

    Requests and their order are those of the simulation. Raises SimulationError if the chip has no cache that all cores
    share.
    """
    several = [traces] if isinstance(traces, Trace) else list(traces)
    machine = Machine(chip, several[0])
    cache = next((level for level in machine.levels if chip.cache and level.name == chip.cache.name), None)
    if not isinstance(cache, Cache) or cache.number > 1:
        raise SimulationError(
            f"{chip.name} has no cache that all cores share; causes are counted for such a cache only"
        )
    shape, tensors = CacheShape.of(cache.spec), len(machine.tensors)
    ladder = Ladder(shape, _lines(machine, shape.line), tensors)
    probe = AccessProbe(cache, ladder, shape, chip.matmul_core.count)
    misses = run_probed(machine, several, cache, probe)
    names = tuple(dict.fromkeys(machine.tensors))
    number_of = [names.index(name) for name in machine.tensors]

    def by_name(counts: NDArray[np.int64]) -> NDArray[np.int64]:
        found = np.zeros(len(names), np.int64)
        np.add.at(found, number_of, counts * shape.granule)
        return found

    first, (whole, parts) = by_name(ladder.first), (by_name(level.misses) for level in ladder.levels)
    read = np.array([misses[f"{name}.misses"] * shape.granule for name in names], np.int64)
    needed = np.zeros(len(names), np.int64)
    for tensor in several[0].tensors:
        needed[names.index(tensor.name)] += tensor.useful_bytes
    return ReadCauses(names, needed, read, first, whole - first, parts - whole, read - parts)


def _lines(machine: Machine, line: int) -> int:
    """Lines that the memory of a machine has, partitions' workspaces for scores included."""
    core = machine.chip.matmul_core
    partitions = core.count * (core.max_programs or 1) if machine.vectors_apart else 0
    found = -(-(machine.footprint + partitions * WORKSPACE) // line)
    if found >= MOST_LINES:
        raise SimulationError(
            f"{found} lines of {line} bytes are more than the {MOST_LINES - 1} for which causes can be counted; make "
            "the workload smaller"
        )
    return found
