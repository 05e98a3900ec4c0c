"""A cache level: the arrays of a sectored set-associative cache in partitions, and how it serves requests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from memgrain.hwmodels.spec import Cache as CacheSpec
from memgrain.sim.cache import lookup, ways
from memgrain.sim.cache.fast import resident_runs, set_groups
from memgrain.sim.cache.outgoing import PATTERN
from memgrain.sim.cache.replacement import POLICIES, RANDOM, count_notes, ordered_by_age
from memgrain.sim.cache.state import COUNTS, LARGEST_BLOCK, RECORDS
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.level import PS, Level
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.sim.levels.uncached import Uncached
from memgrain.sim.native.address import folding, reciprocal
from memgrain.sim.native.simd import LANES
from memgrain.workloads.trace import RUN

_COUNTERS = (
    "read_hits",
    "far_hits",
    "misses",
    "write_hits",
    "write_misses",
    "writebacks",
    "evictions",
    "sector_lookups",
    "sector_hits",
    "read_bytes",
    "write_bytes",
)
"""Counters of a result beside `hits`, in their order."""
_TALLIED = tuple(name for name in COUNTS.names or () if name != "evicted")
_SEED = 88172645463325252
_HOST_LINE = 16
"""Entries of `sets` in a line of the host's cache."""
_WAITS = 1 << 12
"""Entries by which `arrivals` grows, at least."""


class Cache:
    """One cache of the spec for each core, cluster or chip; all of them in one set of arrays.

    `sets[i]` holds the lines of cache i, see `memgrain.sim.cache.ways` and `memgrain.sim.cache.fast`. `config` is the
    geometry and `state` what the last request left; `counts` has a row for each tensor, see
    `memgrain.sim.cache.state`. `busy` holds the time in ps until which each slice of each cache is reserved.
    `cores` says of each core its partition, the first slice of its cache, and its cache: [core, 3].
    `arrivals` holds the times at which fetched data arrives, for slots that name an entry of it instead of a time.
    """

    def __init__(
        self,
        spec: CacheSpec,
        shared: tuple[int, int],
        below: Level,
        tensors: tuple[str, ...],
        footprint: int = 0,
        *,
        fast_paths: bool = True,
        block_lines: int = LARGEST_BLOCK,
    ) -> None:
        """Build an empty cache.

        `shared` is the number of caches and of cores that share one. A single cache counts first fetches apart from
        repeated ones, for addresses below `footprint` bytes. `fast_paths` enables `memgrain.sim.cache.fast`, which
        changes no count and no time; `block_lines` is the largest block of lines that it looks up at once, a power of
        two.
        """
        self.name, self.spec, self.below, self.tensors = spec.name, spec, below, tensors
        self.latency, self.queue, self.first, self.came = spec.latency, 0, 0, 0
        self.number, self.share = shared
        self.line, self.past = spec.line, Uncached(spec, below)
        policy, self.set_total = POLICIES[spec.replacement], spec.partitions * spec.sets
        self.positions = -(-spec.ways // LANES) * LANES
        self.width = ways.SLOT * spec.ways + count_notes(policy, spec.ways)
        self.slots_at = self.set_total * self.positions
        self.records = np.zeros(1, RECORDS)
        self.busy = np.zeros(self.number * spec.slices, np.int64)
        self.config: Any = self.records[0].config
        self.state: Any = self.records[0].state
        self.queue_of_lines: Any = self.records[0].queue
        self.counts: Any = self.state.counts[: len(tensors)]
        self.state.lines, self.state.seed = 1, _SEED
        # sets with random numbers of their own never hold the same lines
        coarsest = min(block_lines, spec.sets & -spec.sets)
        self.block_lines = 1 if policy == RANDOM or not fast_paths else coarsest
        size = self._configure(policy, fast_paths, footprint)
        room = np.zeros(self.number * size + _HOST_LINE, np.int32)
        aligned = -room.ctypes.data // room.itemsize % _HOST_LINE
        self.sets = room[aligned : aligned + self.number * size].reshape(self.number, size)
        cores = np.arange(self.number * self.share)
        near, cache = cores % self.share * spec.partitions // self.share, cores // self.share
        self.cores = np.column_stack([near, cache * spec.slices, cache])
        self._fill_all(ways.EMPTY, 0, len(tensors))
        self.out, self.room = np.zeros(0, RUN), -1
        self.arrivals = np.zeros(0, np.int64)
        self.waits, self.arrived = -1, 0

    def _configure(self, policy: int, fast_paths: bool, footprint: int) -> int:
        """Set the fields of `config`; returns how many entries of `sets` one cache takes, in whole host lines."""
        spec, config = self.spec, self.config
        sectors, per = spec.line // spec.sector, spec.fill_granule // spec.sector
        config.granules[: 1 << sectors] = [
            sum(1 << i for i in range(0, sectors, per) if mask >> i & ((1 << per) - 1)) for mask in range(1 << sectors)
        ]
        for field, value in self._geometry(policy).items():
            config[field] = value
        config.quick = fast_paths and ordered_by_age(policy) and spec.ways <= LANES
        config.block_lines, config.block_bits = self.block_lines, self.block_lines.bit_length() - 1
        config.groups_at = self.slots_at + self.set_total * self.width
        config.arrivals_at = config.groups_at + 1 + self.set_total
        runs_at = int(config.arrivals_at) + bool(spec.replicate) * self.set_total * spec.ways
        config.known_at = self._make_room_for_runs(runs_at)
        config.known_lines = -(-footprint // spec.line) if self.number == 1 else 0
        size = int(config.known_at + config.known_lines * sectors // 16) + 1
        return -(-size // _HOST_LINE) * _HOST_LINE

    def _geometry(self, policy: int) -> dict[str, int]:
        """The fields of `config` that follow from the spec alone."""
        spec = self.spec
        factor, shift = reciprocal(spec.sets)
        limit = min(spec.sets * ways.FORMER, 1 << 31)
        fold_bits, fold_mask = folding(spec.sets, spec.set_hash == "xor")
        return {
            "line_bits": spec.line.bit_length() - 1,
            "sector": spec.sector,
            "sector_bits": spec.sector.bit_length() - 1,
            "all_sectors": (1 << (spec.line // spec.sector)) - 1,
            "granule": spec.fill_granule,
            "granule_bits": spec.fill_granule.bit_length() - 1,
            "granule_sectors": spec.fill_granule // spec.sector,
            "set_count": spec.sets,
            "divide_factor": factor,
            "divide_shift": shift,
            "line_limit": limit & ~fold_mask,  # a hashed line number lies in the same block of lines
            "fold_bits": fold_bits,
            "fold_mask": fold_mask,
            "ways": spec.ways,
            "policy": policy,
            "slots_at": self.slots_at,
            "notes_at": self.slots_at + ways.SLOT * spec.ways,
            "positions": self.positions,
            "width": self.width,
            "partitions": spec.partitions,
            "replicate": bool(spec.replicate),
            "partition_slices": spec.slices // spec.partitions,
            "sector_time": spec.sector * PS * spec.slices // spec.bandwidth,
            "latency": spec.latency,
            "far_latency": spec.far_latency or spec.latency,
            "write_back": spec.write_policy == "back",
            "write_allocate": spec.write_allocate,
            "dirty_ways": spec.dirty_ways,
        }

    def _make_room_for_runs(self, first: int) -> int:
        """Lay out the tables of resident runs in `sets` from `first` on; returns their end."""
        config, lines = self.config, self.set_total * self.spec.ways
        most = resident_runs.table_size(lines)
        config.max_runs, config.clock_at, config.members_at = most, first, first + 1
        config.sorted_at = first + 1 + lines
        config.read_at = config.sorted_at + self.set_total
        config.hashes_at = config.read_at + most + 1
        config.runs_at = config.hashes_at + most + 1
        served_near = self.spec.partitions == 1 or bool(self.spec.replicate)
        config.min_run_lines = resident_runs.MIN_LINES if config.quick and served_near else 0
        if not config.min_run_lines:
            return first + 1
        return int(config.runs_at + most * (resident_runs.SHARES + config.partition_slices))

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`: looks the runs up, passes misses and write-backs to the level below, and stores when
        fetched data arrive."""
        if request.uncached:
            done = self.past.serve(request, repeat, core, now)
            self.queue, self.first, self.came = self.past.queue, self.below.first, self.below.came
            return done
        lines = request.lines(self.line)
        if lines > self.room or 2 * lines > self.waits:
            self.make_room(lines)
        done, self.queue, out, waits = lookup.serve_runs(
            request.runs,
            request.indices,
            request.first,
            request.count,
            repeat,
            core,
            now,
            self.arrived,
            self.cores,
            self.sets,
            self.arrivals,
            self.out,
            self.records,
            self.busy,
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
        """Make room for the worst case of `lines` lines: in `out` for every granule of each line and for two dirty
        lines that are written back for it, in `arrivals` for two entries a line."""
        granules = self.spec.line // self.spec.fill_granule
        if lines > self.room:
            self.room = 2 * lines + 1
            self.out = np.zeros(self.room * (granules + 2 * (granules // 2 + 1)) + PATTERN, RUN)
        if 2 * lines > self.waits:
            more = len(self.arrivals) + 2 * lines + _WAITS
            self.arrivals = np.concatenate([self.arrivals, np.zeros(more, np.int64)])
            self.waits = len(self.arrivals) - 1 - int(self.state.next_wait)

    def refuse(self) -> None:
        """Raise SimulationError for the requested line beyond the limit."""
        line, limit = int(self.state.beyond), int(self.config.line_limit)
        raise SimulationError(
            f"address {line * self.line} lies beyond the {limit * self.line} bytes that {self.name} distinguishes with "
            f"{self.spec.sets} sets; make the workload smaller or {self.name} larger"
        )

    def counters(self) -> dict[str, int]:
        """`hits`, `misses`, … over all tensors, and `<tensor>.hits`, … for each; `<tensor>.evicted_by.<other>` is how
        many of its evictions made room for another one, or for itself. `first_bytes` and `repeated_bytes` are fetched
        for the first time, and again; what is fetched after it was written back is fetched again."""
        found: dict[str, int] = {}
        evicted = self.counts["evicted"][:, : len(self.tensors)]
        every = np.arange(len(self.tensors))
        for prefix, some in [("", every), *((f"{name}.", every[i : i + 1]) for i, name in enumerate(self.tensors))]:
            row = {name: int(self.counts[name][some].sum()) for name in _TALLIED}
            row["evictions"] = int(evicted[:, some].sum())
            if prefix and not any(row.values()):
                continue
            counts = {"hits": row["read_hits"] + row["far_hits"]} | {name: row[name] for name in _COUNTERS}
            if self.config.known_lines:
                first, granule = row["first_fetches"], self.spec.fill_granule
                counts |= {"first_bytes": first * granule, "repeated_bytes": (counts["misses"] - first) * granule}
            for name, count in counts.items():  # two tensors of one name are counted as one
                found[prefix + name] = found.get(prefix + name, 0) + count
        for by, owner in zip(*np.nonzero(evicted), strict=True):
            pair = f"{self.tensors[owner]}.evicted_by.{self.tensors[by]}"
            found[pair] = found.get(pair, 0) + int(evicted[by, owner])
        return found

    def forget(self) -> None:
        """Reset the counts and the clock; lines stay."""
        self.counts[:], self.busy[:] = 0, 0
        self.state.wait = self.state.next_wait = 0
        self.past.forget()
        self.waits = len(self.arrivals) - 1
        for sets in self.sets:
            set_groups.forget_arrivals(self.set_total, sets, self.config)
            resident_runs.forget_arrivals(sets, self.config)

    def fill_with(self, dirty: bool) -> None:
        """Fill every way of every set with lines that no trace requests: clean, or, with `dirty`, as a rewritten buffer
        leaves them. Then a set has as many dirty lines as it may hold, spread evenly over the ages.

        `limit_dirty` leaves the newest lines dirty. If only those were dirty here, a kernel that displaces a third of
        an H100's L2 would evict none of them, while a kernel that displaces all of it takes 10 us longer. Measured are
        1.9 us, so lines of every age are dirty.
        """
        self._fill_all(ways.FORMER, (1 << (self.spec.line // self.spec.sector)) - 1, 0)
        if dirty:
            number, most = self.spec.dirty_ways, self.spec.ways
            some, stored = np.arange(number) * most // max(number, 1), self._stored_sets()[:, None]
            for slots in self._slots():
                slots[stored, some, ways.STATUS] |= slots[stored, some, ways.STATUS] << ways.DIRTY_SHIFT

    def _fill_all(self, quotient: int, valid: int, owner: int) -> None:
        """Make all ways of all sets hold lines of one quotient, all groups in lock-step; way 0 is at the front."""
        groups_at = int(self.config.groups_at)
        self.sets[:, groups_at:] = 0
        if self.block_lines > 1:
            self.sets[:, groups_at] = self.set_total // self.block_lines
        stored, words = self._stored_sets(), np.full(self.positions, ways.FORMER << ways.TAG_BITS, np.int32)
        words[: self.spec.ways] = (quotient << ways.TAG_BITS) + np.arange(self.spec.ways)
        self._words()[:, stored] = words  # a position beyond the ways matches no line
        self._slots()[:, stored, :, ways.STATUS] = valid | owner << ways.OWNER_SHIFT

    def _stored_sets(self) -> NDArray[np.int64]:
        """The representatives of all set groups."""
        return self._representatives(np.arange(0, self.set_total, self.block_lines))

    def _representatives(self, sets: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `memgrain.sim.cache.fast.set_groups.representative`."""
        return (sets & -self.block_lines) + (sets // self.block_lines & (self.block_lines - 1))

    def stored_in(self, sets: NDArray[np.int32], indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sets in which one of the caches, `sets`, stores the lines of the sets at `indices`."""
        if self.block_lines == 1:
            return indices
        split = sets[self.config.groups_at + 1 + indices // self.block_lines]
        return np.where(split == 0, self._representatives(indices), indices)

    def _words(self) -> NDArray[np.int32]:
        """View of the words of every set: [cache, set, position]."""
        return self.sets[:, : self.slots_at].reshape(self.number, -1, self.positions)

    def _slots(self) -> NDArray[np.int32]:
        """View of the slots of every set: [cache, set, way, entry]."""
        part = self.sets[:, self.slots_at : int(self.config.groups_at)].reshape(self.number, -1, self.width)
        part = part[..., : ways.SLOT * self.spec.ways]
        return part.reshape(*part.shape[:2], self.spec.ways, ways.SLOT)
