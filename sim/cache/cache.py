"""A cache level: the arrays of a sectored set-associative cache in partitions, and how it answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memgrain.hwmodels.spec import Cache as CacheSpec
from memgrain.sim.cache import expand, lookup, ways
from memgrain.sim.cache import state as bk
from memgrain.sim.cache.fast import resident_runs as bundles
from memgrain.sim.cache.fast import set_groups as cohorts
from memgrain.sim.cache.outgoing import PATTERN
from memgrain.sim.cache.replacement import POLICIES, RANDOM, count_notes, ordered_by_age
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.level import PS, Level
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.sim.levels.uncached import Uncached
from memgrain.sim.native.address import folding, reciprocal
from memgrain.sim.native.simd import LANES
from memgrain.workloads.trace import RUN

_COUNTS = {
    "read_hits": bk.READ_HITS,
    "far_hits": bk.FAR_HITS,
    "misses": bk.MISSES,
    "write_hits": bk.WRITE_HITS,
    "write_misses": bk.WRITE_MISSES,
    "writebacks": bk.WRITEBACKS,
    "evictions": bk.COUNTS,  # in a table of its own, behind the others
    "sector_lookups": bk.SECTOR_LOOKUPS,
    "sector_hits": bk.SECTOR_HITS,
    "read_bytes": bk.READ_BYTES,
    "write_bytes": bk.WRITE_BYTES,
}
_SEED = 88172645463325252
_HOST_LINE = 16
"""Entries of `sets` in a line of the host's cache."""
_WAITS = 1 << 12
"""Entries that `arrivals` grows by at least."""


class Cache:
    """One cache of the spec for each core, cluster or chip; all of them in one set of arrays.

    `sets[i]` holds cache i, see `memgrain.sim.cache.ways` and `memgrain.sim.cache.fast.set_groups`; `book` the
    geometry, what the request served last carries along, and counts, see `memgrain.sim.cache.state`, and at its end,
    for each cache, the times until which its slices are booked. `arrivals` tells when what was fetched has arrived, for
    slots that hold a place in it instead of a time.
    """

    def __init__(
        self,
        spec: CacheSpec,
        shared: tuple[int, int],
        below: Level,
        tensors: tuple[str, ...],
        footprint: int = 0,
    ) -> None:
        """Where there is one cache, its first fetches are told from later ones up to address `footprint`."""
        self.name, self.spec, self.below, self.tensors = spec.name, spec, below, tensors
        self.latency, self.queue, self.first, self.came = spec.latency, 0, 0, 0
        self.number, self.share = shared
        self.line, self.past = spec.line, Uncached(spec, below)
        policy, groups = POLICIES[spec.replacement], spec.partitions * spec.sets
        self.positions = -(-spec.ways // LANES) * LANES
        self.width = ways.SLOT * spec.ways + count_notes(policy, spec.ways)
        self.slots_at = groups * self.positions
        self.counts_at = bk.AFTER_GRANULES
        self.evicted_at = self.counts_at + len(tensors) * bk.COUNTS
        self.slices_at = self.evicted_at + len(tensors) * (len(tensors) + 1)
        self.known_at = self.slices_at + self.number * spec.slices
        known = -(-footprint // spec.line) if self.number == 1 else 0
        self.book = np.zeros(self.known_at + known * (spec.line // spec.sector) // 32 + 1, np.int64)
        self.book[bk.KNOWN_AT], self.book[bk.KNOWN] = self.known_at, known
        for entry, value in self._geometry(policy).items():
            self.book[entry] = value
        sectors, per = spec.line // spec.sector, spec.fill_granule // spec.sector
        self.book[bk.GRANULES : bk.GRANULES + (1 << sectors)] = [
            sum(1 << i for i in range(0, sectors, per) if mask >> i & ((1 << per) - 1)) for mask in range(1 << sectors)
        ]
        cohorts_at = self.slots_at + groups * self.width
        copies_at = cohorts_at + 1 + groups
        bundles_at = copies_at + bool(spec.replicate) * groups * spec.ways
        size = -(-self._make_room_for_bundles(bundles_at, groups) // _HOST_LINE) * _HOST_LINE
        self.groups, self.book[bk.COHORTS], self.book[bk.ARRIVALS] = groups, cohorts_at, copies_at
        # sets of their own random numbers are never alike
        self.coarsest = 1 if policy == RANDOM else min(cohorts.COARSEST, spec.sets & -spec.sets)
        self._cut(self.coarsest)
        room = np.zeros(self.number * size + _HOST_LINE, np.int32)
        aligned = -room.ctypes.data // room.itemsize % _HOST_LINE
        self.sets = room[aligned : aligned + self.number * size].reshape(self.number, size)
        self.of_core = [
            (
                core % self.share * spec.partitions // self.share,
                self.slices_at + core // self.share * spec.slices,
                self.sets[core // self.share],
            )
            for core in range(self.number * self.share)
        ]
        self._enter(ways.EMPTY, 0, len(tensors))
        self.queue_of_lines = np.zeros(expand.ENTRIES, np.int32)
        self.out, self.room = np.zeros(0, RUN), -1
        self.arrivals = np.zeros(0, np.int64)
        self.waits, self.arrived = -1, 0

    def _geometry(self, policy: int) -> dict[int, int]:
        """What the book holds of the spec."""
        spec = self.spec
        factor, shift = reciprocal(spec.sets)
        limit = min(spec.sets * ways.FORMER, 1 << 31)
        fold_bits, fold_mask = folding(spec.sets, spec.set_hash == "xor")
        limit &= ~fold_mask  # what is folded lies in the same block
        return {
            bk.LINE_BITS: spec.line.bit_length() - 1,
            bk.SECTOR: spec.sector,
            bk.SECTOR_BITS: spec.sector.bit_length() - 1,
            bk.SECTORS: (1 << (spec.line // spec.sector)) - 1,
            bk.GRANULE: spec.fill_granule,
            bk.GRANULE_BITS: spec.fill_granule.bit_length() - 1,
            bk.GRANULE_SECTORS: spec.fill_granule // spec.sector,
            bk.SETS: spec.sets,
            bk.DIVIDE_FACTOR: factor,
            bk.DIVIDE_SHIFT: shift,
            bk.LIMIT: limit,
            bk.FOLD_BITS: fold_bits,
            bk.FOLD_MASK: fold_mask,
            bk.WAYS: spec.ways,
            bk.POLICY: policy,
            bk.QUICK: ordered_by_age(policy) and spec.ways <= LANES,
            bk.SLOTS: self.slots_at,
            bk.NOTES: self.slots_at + ways.SLOT * spec.ways,
            bk.POSITIONS: self.positions,
            bk.WIDTH: self.width,
            bk.PARTITIONS: spec.partitions,
            bk.REPLICATE: bool(spec.replicate),
            bk.PARTITION_SLICES: spec.slices // spec.partitions,
            bk.SECTOR_TIME: spec.sector * PS * spec.slices // spec.bandwidth,
            bk.LATENCY: spec.latency,
            bk.FAR_LATENCY: spec.far_latency or spec.latency,
            bk.WRITE_BACK: spec.write_policy == "back",
            bk.WRITE_ALLOCATE: spec.write_allocate,
            bk.DIRTY_WAYS: spec.dirty_ways,
            bk.SEED: _SEED,
            bk.COUNTS_AT: self.counts_at,
            bk.EVICTED_AT: self.evicted_at,
            bk.OWNERS: len(self.tensors) + 1,
            bk.LINES: 1,
        }

    def _make_room_for_bundles(self, first: int, groups: int) -> int:
        """Enter into the book where from `first` on there is room for what is known of bundles; returns its end."""
        book, ways_ = self.book, self.spec.ways
        self.bundles = bundles.count_bundles(groups * ways_)
        book[bk.BUNDLES], book[bk.MEMBERS], book[bk.SEEN] = first, first + 1, first + 1 + groups * ways_
        book[bk.READ_AT], book[bk.MOST_BUNDLES] = book[bk.SEEN] + groups, self.bundles
        book[bk.MARKS] = book[bk.READ_AT] + self.bundles + 1
        book[bk.TABLE] = book[bk.MARKS] + self.bundles + 1
        served_near = self.spec.partitions == 1 or bool(self.spec.replicate)
        book[bk.FEWEST] = bundles.FEWEST if book[bk.QUICK] and served_near else 0
        if not book[bk.FEWEST]:
            return first + 1
        return int(book[bk.TABLE]) + self.bundles * (bundles.SHARES + self.spec.slices // self.spec.partitions)

    def _cut(self, grain: int) -> None:
        """Let so many lines be a grain."""
        self.grain, self.book[bk.GRAIN], self.book[bk.GRAIN_BITS] = grain, grain, grain.bit_length() - 1

    def set_grain(self, grain: int) -> None:
        """Look up to so many lines, a power of two, up at once where whole aligned stretches of as many are asked for,
        see `memgrain.sim.cache.fast.set_groups`. Nothing changes but the time that it takes."""
        grain = min(grain, self.coarsest)
        if grain == self.grain:
            return
        if self.grain > 1:
            for sets in self.sets:
                cohorts.part_all(self.groups, sets, self.book)
        self._cut(grain)
        if grain > 1:
            for sets in self.sets:
                cohorts.join_all(self.groups, sets, self.arrivals, self.book)

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`: looks the runs up, hands misses and write-backs down, and notes when what they fetch will
        be there."""
        if request.uncached:
            done = self.past.serve(request, repeat, core, now)
            self.queue, self.first, self.came = self.past.queue, self.below.first, self.below.came
            return done
        lines = request.lines(self.line)
        if lines > self.room or 2 * lines > self.waits:
            self.make_room(lines)
        near, slices, sets = self.of_core[core]
        done, self.queue, out, waits = lookup.serve_runs(
            request.runs,
            request.indices,
            request.first,
            request.count,
            repeat,
            near,
            now,
            slices,
            self.arrived,
            sets,
            self.arrivals,
            self.out,
            self.queue_of_lines,
            self.book,
        )
        self.came = 0
        if out:
            if out < 0:
                self.refuse()
            arrived = self.below.serve(Request(self.out, NO_INDEX, 0, out), 0, core, now)
            if waits:
                self.waits -= waits
                self.arrived = arrived
                self.first, self.came = self.below.first, self.below.came
                done = max(done, arrived)
        return done

    def make_room(self, lines: int) -> None:
        """Let `out` hold the worst case of so many lines, every granule of each missing and two dirty lines going down
        for it, and `arrivals` two that wait for each."""
        granules = self.spec.line // self.spec.fill_granule
        if lines > self.room:
            self.room = 2 * lines + 1
            self.out = np.zeros(self.room * (granules + 2 * (granules // 2 + 1)) + PATTERN, RUN)
        if 2 * lines > self.waits:
            more = len(self.arrivals) + 2 * lines + _WAITS
            self.arrivals = np.concatenate([self.arrivals, np.zeros(more, np.int64)])
            self.waits = len(self.arrivals) - 1 - int(self.book[bk.NEXT])

    def refuse(self) -> None:
        """Raise SimulationError for the line beyond the limit that was asked for."""
        line, limit = (int(self.book[entry]) for entry in (bk.BEYOND, bk.LIMIT))
        raise SimulationError(
            f"address {line * self.line} lies beyond the {limit * self.line} bytes that {self.name} tells apart with "
            f"{self.spec.sets} sets; make the workload smaller or {self.name} larger"
        )

    def counters(self) -> dict[str, int]:
        """`hits`, `misses`, … over all tensors, and `<tensor>.hits`, … for each; `<tensor>.evicted_by.<other>` is how
        many of its evictions made room for another one, or for itself. `first_bytes` and `repeated_bytes` are fetched
        for the first time, and again; what is fetched after it was written back is fetched again."""
        found: dict[str, int] = {}
        number = len(self.tensors)
        rows = self.book[self.counts_at : self.evicted_at].reshape(number, bk.COUNTS)
        evicted = self.book[self.evicted_at : self.slices_at].reshape(number, number + 1)[:, :number]
        rows = np.column_stack([rows, evicted.sum(axis=0)])
        for prefix, row in [("", rows.sum(axis=0)), *((f"{t}.", rows[i]) for i, t in enumerate(self.tensors))]:
            if prefix and not row.any():
                continue
            counts = {"hits": int(row[bk.READ_HITS] + row[bk.FAR_HITS])}
            counts |= {name: int(row[column]) for name, column in _COUNTS.items()}
            if self.book[bk.KNOWN]:
                first, granule = int(row[bk.FIRST_FETCHES]), self.spec.fill_granule
                counts |= {"first_bytes": first * granule, "repeated_bytes": (counts["misses"] - first) * granule}
            for name, count in counts.items():  # two tensors of one name are counted as one
                found[prefix + name] = found.get(prefix + name, 0) + count
        for by, owner in zip(*np.nonzero(evicted), strict=True):
            pair = f"{self.tensors[owner]}.evicted_by.{self.tensors[by]}"
            found[pair] = found.get(pair, 0) + int(evicted[by, owner])
        return found

    def forget(self) -> None:
        """Start counting and the clock anew; lines stay."""
        self.book[self.counts_at : self.known_at] = 0
        self.book[[bk.WAIT, bk.NEXT]] = 0
        self.past.forget()
        self.waits = len(self.arrivals) - 1
        for sets in self.sets:
            cohorts.forget_arrivals(self.groups, sets, self.book)
            bundles.forget_arrivals(sets, self.book)

    def fill_with(self, dirty: bool) -> None:
        """Fill every way of every set with lines that no trace will ask for, clean or, as a buffer rewritten before
        leaves them, dirty: as many as may be, spread evenly over the ages.

        Were they the newest, which is what `limit_dirty` leaves, then a kernel that displaces a third of an H100's L2
        would meet none of them, at the share at which one that displaces all takes 10 us longer. It takes 1.9 us
        longer, so there are some of every age.
        """
        self._enter(ways.FORMER, (1 << (self.spec.line // self.spec.sector)) - 1, 0)
        if dirty:
            number, most = self.spec.dirty_ways, self.spec.ways
            some, kept = np.arange(number) * most // max(number, 1), self._kept_of_all()
            slots = self._slots()
            for sets in slots:
                sets[kept[:, None], some, ways.STATE] |= sets[kept[:, None], some, ways.STATE] << ways.DIRTY_SHIFT

    def _enter(self, quotient: int, valid: int, owner: int) -> None:
        """Make all ways of all sets alike; the way at the front of a set is number 0."""
        self.sets[:, self.book[bk.COHORTS] :] = 0
        if self.grain > 1:
            self.sets[:, self.book[bk.COHORTS]] = self.groups // self.grain
        kept, words = self._kept_of_all(), np.full(self.positions, ways.FORMER << ways.TAG_BITS, np.int32)
        words[: self.spec.ways] = (quotient << ways.TAG_BITS) + np.arange(self.spec.ways)
        self._words()[:, kept] = words  # where there is no way for a position, it never fits
        self._slots()[:, kept, :, ways.STATE] = valid | owner << ways.OWNER_SHIFT

    def _kept_of_all(self) -> NDArray[np.int64]:
        """The leaders of all cohorts."""
        return self._leaders(np.arange(0, self.groups, self.grain))

    def _leaders(self, groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `memgrain.sim.cache.fast.set_groups.leader`."""
        return (groups & -self.grain) + (groups // self.grain & (self.grain - 1))

    def kept(self, sets: NDArray[np.int32], groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in one of the caches' `sets` what sets hold is kept."""
        if self.grain == 1:
            return groups
        there = sets[self.book[bk.COHORTS] + 1 + groups // self.grain]
        return np.where(there == 0, self._leaders(groups), groups)

    def _words(self) -> NDArray[np.int32]:
        """View of the words of every set: [cache, set, position]."""
        return self.sets[:, : self.slots_at].reshape(self.number, -1, self.positions)

    def _slots(self) -> NDArray[np.int32]:
        """View of the slots of every set: [cache, set, way, entry]."""
        part = self.sets[:, self.slots_at : self.book[bk.COHORTS]].reshape(self.number, -1, self.width)
        part = part[..., : ways.SLOT * self.spec.ways]
        return part.reshape(*part.shape[:2], self.spec.ways, ways.SLOT)
