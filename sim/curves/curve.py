"""Miss-ratio curves: the share of reads that miss in a cache of any capacity, from one pass over the requests to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memgrain.hwmodels.spec import Chip
from memgrain.sim.cache.cache import Cache
from memgrain.sim.curves import stacks as st
from memgrain.sim.curves.probe import (
    GROUPS,
    LIMITS,
    AccessProbe,
    CacheShape,
    Distances,
    PerSet,
    Sampled,
    run_in_threads,
    run_probed,
    stacks,
)
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.level import Level
from memgrain.sim.levels.machine import Machine
from memgrain.sim.native.address import reciprocal
from memgrain.workloads.trace import Trace

Axis = Literal["capacity", "ways"]
AXES: tuple[Axis, ...] = ("capacity", "ways")
"""What a curve varies: the lines of a fully associative cache, or the ways of one with the chip's sets."""
MOST_WAYS = st.DEEP
"""Ways up to which a curve goes."""
Counted = PerSet | Distances | Sampled
"""What a curve is made of."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Reads by the size of the LRU cache that they need to hit."""

    accesses: NDArray[np.int64]
    """Reads of each tensor, in fill granules: [tensor]."""
    counts: NDArray[np.int64]
    """Reads that hit from i + 1 steps on and not before: [tensor, i]; in a sample, (i + 1) / rate steps."""
    never: NDArray[np.int64]
    """Reads that miss in any cache, being the first; along ways, in MOST_WAYS ways: [tensor]."""
    rate: float = 1.0
    """Share of the lines that was counted."""
    groups: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...] = ()
    """Of a sample: `counts` and `never` of each of its parts."""
    axis: Axis = "capacity"
    """What grows with the capacity."""
    step: int = 1
    """Bytes from one capacity to the next: a line, or a way of every set."""
    tensors: tuple[str, ...] = ()
    """Names, in the order of the arrays."""
    own: int | None = None
    """Capacity of the chip's cache in bytes; None: it has none."""
    simulated: NDArray[np.int64] | None = None
    """Reads that hit the chip's cache in the simulation that the curve was taken from: [tensor]."""

    def ratios(self, capacities: Sequence[int]) -> NDArray[np.float64]:
        """Miss ratio of each tensor, then of all: [tensor, capacity]. NaN where nothing is read, where a sample is too
        small, or beyond MOST_WAYS ways."""
        found = self._ratios(self.counts, self.never, self.rate, capacities)
        for counts, never in self.groups:
            found[np.append(counts.sum(axis=1) + never == 0, False)] = np.nan
        return found

    def errors(self, capacities: Sequence[int]) -> NDArray[np.float64]:
        """Standard error of `ratios`, 0 where all lines were counted: the root of two squares.

        One is that of how often the sampled lines miss. The parts of a sample are samples of their own, each with its
        own distances, at a rate GROUPS times lower; the error of their mean is their standard deviation over the root
        of GROUPS. The other is that of distances: of d lines, d x rate are sampled, give or take the root of
        d x rate x (1 - rate), so that a step of the curve is smeared out; it is half of what the curve falls over that
        width.
        """
        if not self.groups:
            return np.zeros((len(self.tensors) + 1, len(capacities)))
        rate, sizes = self.rate / GROUPS, np.asarray(capacities, np.float64)
        each = np.array([self._ratios(counts, never, rate, capacities) for counts, never in self.groups])
        width = np.sqrt(sizes * self.step * (1 - self.rate) / self.rate)
        low, high = (
            self._ratios(self.counts, self.never, self.rate, np.maximum(edge, 0).astype(np.int64))
            for edge in (sizes - width, sizes + width)
        )
        found: NDArray[np.float64] = np.hypot(each.std(axis=0, ddof=1) / np.sqrt(GROUPS), (low - high) / 2)
        return found

    def simulated_ratios(self) -> NDArray[np.float64]:
        """Miss ratio of the chip's cache in the simulation: of each tensor, then of all."""
        if self.simulated is None:
            return np.full(len(self.tensors) + 1, np.nan)
        misses = self.accesses - self.simulated
        return _share(np.append(misses, misses.sum()), np.append(self.accesses, self.accesses.sum()))

    @property
    def largest(self) -> int:
        """Capacity in bytes from which on nothing changes, as far as the curve goes."""
        reach = np.flatnonzero(self.counts.any(axis=0))
        return self.step * (round((int(reach[-1]) + 1) / self.rate) if len(reach) else 1)

    def _ratios(
        self,
        counts: NDArray[np.int64],
        never: NDArray[np.int64],
        rate: float,
        capacities: Sequence[int] | NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Misses over accesses x rate, as in SHARDS-adj: tensors that were sampled too often or too rarely correct the
        hits of the smallest cache."""
        steps = np.asarray(capacities, np.int64) // self.step
        entries = np.minimum(np.ceil(steps * rate).astype(np.int64), counts.shape[1])
        misses = never[:, None] + counts.sum(axis=1)[:, None] - _up_to(counts)[:, entries]
        misses = np.vstack([misses, misses.sum(axis=0)])
        reads = np.append(self.accesses, self.accesses.sum()) * rate
        found = np.minimum(_share(misses, reads[:, None]), 1.0)
        if self.axis == "ways":
            found[:, steps > MOST_WAYS] = np.nan
        return found


def _up_to(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of the first 0, 1, 2 ... entries of each row."""
    return np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    whole = np.broadcast_to(np.asarray(whole, np.float64), part.shape)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def miss_ratio_curve(
    chip: Chip,
    traces: Trace | Sequence[Trace],
    axis: Axis = "capacity",
    rate: float | None = None,
    hypothetical: CacheShape | None = None,
    threads: int = 1,
) -> Curve:
    """The curve of the chip's last cache while `traces` run one after the other, from cold caches.

    The order of requests is that of the simulation, whose cache has the chip's own size. Along "ways", sets, partitions
    and their copies are the chip's, and `threads` share the sets; at the chip's own ways the curve gives what the
    simulation counts, but for writes of parts of a granule, and reads of such where there are copies. Along "capacity",
    the cache is one LRU list of all lines. With a `rate`, only that share of the lines is counted, and the curve has
    errors. `hypothetical` is a cache before the DRAM of a chip that has none; it serves nothing in the simulation.
    Raises SimulationError if the chip's cache does not fit the request.
    """
    several = [traces] if isinstance(traces, Trace) else list(traces)
    if not several or any(trace.tensors != several[0].tensors for trace in several):
        raise SimulationError("a curve needs kernels of one memory, one at least; pass what in_one_memory returns")
    _check_request(chip, axis, rate, threads)
    machine = Machine(chip, several[0])
    level, shape = _probed_level(machine, hypothetical)
    caches = level.number if isinstance(level, Cache) else 1
    if axis == "capacity" and caches > 1:
        raise SimulationError(f"there are {caches} of {level.name}; a curve over capacity is that of one; choose ways")
    tensors = len(machine.tensors)
    counter: Counted
    if axis == "ways":
        counter = PerSet(shape, caches, tensors, threads)
    elif rate is None:
        counter = Distances(shape.granules, tensors)
    else:
        counter = Sampled(shape.granules, tensors, rate)
    probe = AccessProbe(level, counter, shape, chip.matmul_core.count // caches)
    hits = run_probed(machine, several, level, probe)
    names = tuple(dict.fromkeys(machine.tensors))
    simulated = np.array([hits[f"{name}.hits"] for name in names], np.int64)
    found = _counted(counter, [names.index(name) for name in machine.tensors])
    return replace(
        found,
        axis=axis,
        step=shape.line if axis == "capacity" else shape.line * shape.sets * shape.partitions,
        tensors=names,
        own=chip.cache.capacity if chip.cache else None,
        simulated=simulated if chip.cache else None,
    )


def _counted(counter: Counted, number: Sequence[int]) -> Curve:
    """The curve of a counter; tensors of one `number` are merged."""

    def rows(counts: NDArray[np.int64]) -> NDArray[np.int64]:
        found = np.zeros((max(number) + 1, *counts.shape[1:]), np.int64)
        np.add.at(found, number, counts)
        return found

    if isinstance(counter, PerSet):
        counts = rows(counter.counts.sum(axis=0))
        return Curve(counts.sum(axis=1), counts[:, :-1], counts[:, -1])
    if isinstance(counter, Distances):
        counts, never = rows(counter.counts), rows(counter.never)
        return Curve(counts.sum(axis=1) + never, counts, never)
    groups = tuple((rows(part.counts), rows(part.never)) for part in counter.groups)
    whole = counter.whole
    return Curve(rows(counter.totals), rows(whole.counts), rows(whole.never), counter.limit / LIMITS, groups)


def _probed_level(machine: Machine, hypothetical: CacheShape | None) -> tuple[Level, CacheShape]:
    """The level whose requests are counted, and the shape of the counted cache."""
    chip = machine.chip
    if chip.cache is None:
        if hypothetical is None:
            raise SimulationError(
                f"{chip.name} has no cache before {chip.dram.name}; name the line of a hypothetical one, such as 128 B"
            )
        return machine.levels[0], hypothetical
    if hypothetical is not None:
        raise SimulationError(
            f"{chip.name} has {chip.cache.name}; override its numbers instead of naming a hypothetical cache"
        )
    for level in machine.levels:
        if isinstance(level, Cache) and level.name == chip.cache.name:
            return level, CacheShape.of(level.spec)
    raise SimulationError(f"{chip.cache.name} of {chip.name} lies beside no core; put it before {chip.dram.name}")


def _check_request(chip: Chip, axis: Axis, rate: float | None, threads: int) -> None:
    """Raise SimulationError if the curve would be misleading."""
    if axis not in AXES:
        raise SimulationError(f"axis '{axis}' is none of {', '.join(AXES)}")
    spec = chip.cache
    if spec is not None and spec.replacement != "lru":
        raise SimulationError(
            f"{spec.name} replaces by {spec.replacement}, and a curve of one pass is that of LRU; set "
            f"{spec.name}.replacement=lru"
        )
    if spec is not None and not spec.write_allocate:
        raise SimulationError(
            f"writes take no line in {spec.name}, and in a curve of one pass they do; set "
            f"{spec.name}.write_allocate=true"
        )
    if rate is not None and (axis == "ways" or not 1 / LIMITS <= rate <= 1):
        raise SimulationError(
            f"a rate of {rate:g} along {axis}; lines are sampled along capacity, at a rate above 0 and up to 1"
        )
    if threads < 1 or threads & (threads - 1):
        raise SimulationError(f"{threads} threads cannot share the sets; give a power of two")


def count_lru(lines: NDArray[np.int32], sets: int, ways: int = 16, threads: int = 1) -> NDArray[np.int64]:
    """How many of the line numbers are hits from each number of ways on in a cache of so many sets, LRU, cold.

    Entry i, below `ways`, counts those that hit in i + 1 ways and not in i; the last one counts those that miss in
    `ways`. A line's set is the remainder of its number. Threads (a power of two) share the sets; the counts are the
    same. Raises SimulationError if a number is negative or there are more than 64 ways.
    """
    if not 1 <= ways <= MOST_WAYS or not 1 <= sets < 1 << 26 or threads < 1 or threads & (threads - 1):
        raise SimulationError(
            f"{ways} ways, {sets} sets, {threads} threads: counted are 1 to {MOST_WAYS} ways, up to {(1 << 26) - 1} "
            "sets, and a power of two of threads"
        )
    numbers = np.ascontiguousarray(lines, np.int32)
    counts, seen = _walked(numbers, sets, ways, threads, wide=False)
    if seen >= st.EMPTY:
        if numbers.min() < 0:
            raise SimulationError(f"line number {numbers.min()} is negative; number lines from 0 on")
        counts, _ = _walked(numbers, sets, ways, threads, wide=True)
    return np.append(counts[:ways], counts[ways:].sum())


def _walked(lines: NDArray[np.int32], sets: int, ways: int, threads: int, wide: bool) -> tuple[NDArray[np.int64], int]:
    """Hits by position, misses behind them, and the bits that any tag has."""
    depth, walk = (st.SHALLOW, st.walk_shallow) if ways <= st.SHALLOW else (st.DEEP, st.walk_deep)
    factor, shift = map(np.uint64, reciprocal(sets))
    tags, counts = stacks(sets, depth, wide), np.zeros((threads, depth + 1), np.int64)
    seen = [0] * threads

    def work(part: int) -> None:
        queue_tags, queue_stacks = (np.zeros(st.QUEUE, np.uint32) for _ in range(2))
        mine = np.uint32(part), np.uint32(threads)
        seen[part] = int(
            walk(lines, np.uint64(sets), factor, shift, *mine, tags, queue_tags, queue_stacks, counts[part])
        )

    run_in_threads(work, threads)
    return counts.sum(axis=0), max(seen)
