"""A cache level: the arrays of a sectored set-associative cache in partitions, and how it answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwmodels.spec import Cache as CacheSpec
from sim.compiled import lookup
from sim.compiled.replacement import FILLED, HEAD, POLICIES
from sim.level import PS, Level
from sim.request import NO_INDEX, Request
from sim.uncached import Uncached
from workloads.trace import RUN

_READ_COUNTS = {
    "read_hits": lookup.READ_HITS,
    "far_hits": lookup.FAR_HITS,
    "misses": lookup.MISSES,
    "write_hits": lookup.WRITE_HITS,
    "write_misses": lookup.WRITE_MISSES,
    "writebacks": lookup.WRITEBACKS,
    "evictions": lookup.EVICTIONS,
    "sector_lookups": lookup.SECTOR_LOOKUPS,
    "sector_hits": lookup.SECTOR_HITS,
    "read_bytes": lookup.READ_BYTES,
    "write_bytes": lookup.WRITE_BYTES,
}
_SEED = 88172645463325252
LARGEST_LINE = 1 << 30
"""Line numbers of traces lie below this; those above stand for what was in a cache before."""


class Cache:
    """One cache of the spec for each core, cluster or chip; all of them in one set of arrays.

    `sets[i]` holds the sets of all partitions of cache i, one after the other: head, tags and notes of the policy (see
    `replacement`), then what `lookup` keeps of each way. `slice_free[i]` is the time until which its slices are booked.
    """

    def __init__(self, spec: CacheSpec, shared: tuple[int, int], below: Level, tensors: tuple[str, ...]) -> None:
        self.name, self.spec, self.below = spec.name, spec, below
        self.latency, self.queue, self.first, self.came = spec.latency, 0, 0, 0
        self.number, self.share = shared
        self.past = Uncached(spec, below)
        self.tensors = tensors
        self.geometry = np.zeros(lookup.GEOMETRY, np.int64)
        sector_time = spec.sector * PS * spec.slices // spec.bandwidth
        self.geometry[: lookup.WIDTH] = [
            spec.line,
            spec.sector,
            spec.fill_granule,
            spec.sets,
            spec.ways,
            POLICIES[spec.replacement],
            spec.set_hash == "xor",
            spec.partitions,
            bool(spec.replicate),
            spec.write_policy == "back",
            spec.write_allocate,
            spec.slices,
            sector_time,
            spec.latency,
            spec.far_latency or spec.latency,
            spec.fill_granule // spec.sector,
            sum(1 << i for i in range(0, spec.line // spec.sector, spec.fill_granule // spec.sector)),
            spec.line.bit_length() - 1,
            spec.sector.bit_length() - 1,
            spec.slices // spec.partitions,
        ]
        self.width = -(-(HEAD + (2 + lookup.WAY) * spec.ways) // lookup.HOST_LINE) * lookup.HOST_LINE
        self.geometry[lookup.WIDTH] = self.width
        self.sets = np.zeros((self.number, spec.partitions * spec.sets * self.width), np.int32)
        self._part(HEAD, spec.ways)[:] = -1
        self.slice_free = np.zeros((self.number, spec.slices), np.int64)
        self.counts = np.zeros((len(tensors), lookup.COUNTS), np.int64)
        self.moving = np.zeros(lookup.MOVING, np.int64)
        self.moving[lookup.SEED] = _SEED
        self.out = np.zeros(1024, RUN)
        self.slots = np.zeros(2048, np.int64)

    def _make_room(self, lines: int) -> None:
        """Let the output hold the worst case: every granule of every touched line misses, and evicts a dirty line
        twice over."""
        granules = self.spec.line // self.spec.fill_granule
        need = lines * (granules + 2 * (granules // 2 + 1))
        if need > len(self.out):
            self.out = np.zeros(2 * need, RUN)
        if 2 * lines > len(self.slots):
            self.slots = np.zeros(4 * lines, np.int64)

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`: looks the runs up, hands misses and write-backs down, and notes when filled lines will
        be there."""
        if request.uncached:
            done = self.past.serve(request, repeat, core, now)
            self.queue, self.first, self.came = self.past.queue, self.below.first, self.below.came
            return done
        self._make_room(request.lines(self.spec.line))
        i = core // self.share
        near = core % self.share * self.spec.partitions // self.share
        moving = self.moving
        lookup.serve_runs(
            request.runs,
            request.indices,
            request.first,
            request.count,
            repeat,
            near,
            now,
            self.geometry,
            self.sets[i],
            self.slice_free[i],
            self.out,
            moving,
            self.counts,
            self.slots,
        )
        done, self.queue = int(moving[lookup.DONE]), int(moving[lookup.QUEUE])
        out = int(moving[lookup.OUT])
        self.came = 0
        if out:
            arrived = self.below.serve(Request(self.out, NO_INDEX, 0, out), 0, core, now)
            fills = int(moving[lookup.FILLS])
            if fills:
                done = max(done, arrived)
                self.first, self.came = self.below.first, self.below.came
                lookup.set_ready(self.slots, fills, self.sets[i], arrived)
        return done

    def counters(self) -> dict[str, int]:
        """`hits`, `misses`, … over all tensors, and `<tensor>.hits`, … for each."""
        found: dict[str, int] = {}
        for prefix, row in [
            ("", self.counts.sum(axis=0)),
            *((f"{t}.", self.counts[i]) for i, t in enumerate(self.tensors)),
        ]:
            if prefix and not row.any():
                continue
            found[f"{prefix}hits"] = int(row[lookup.READ_HITS] + row[lookup.FAR_HITS])
            found |= {f"{prefix}{name}": int(row[column]) for name, column in _READ_COUNTS.items()}
        return found

    def forget(self) -> None:
        """Start counting and the clock anew; lines stay."""
        self.counts[:] = 0
        self.slice_free[:] = 0
        self.past.forget()
        self._ways()[..., lookup.READY] = 0

    def fill_with(self, dirty: bool) -> None:
        """Fill every way of every set with lines that no trace will ask for, dirty or clean, as a buffer rewritten
        before leaves them."""
        spec = self.spec
        tags = self._part(HEAD, spec.ways)
        tags[:] = (LARGEST_LINE + np.arange(tags[0].size, dtype=np.int32)).reshape(tags[0].shape)
        self._part(FILLED, 1)[:] = spec.ways
        sectors = (1 << (spec.line // spec.sector)) - 1
        self._ways()[..., lookup.VALID] = sectors
        self._ways()[..., lookup.DIRTY] = sectors if dirty else 0

    def _part(self, first: int, length: int) -> NDArray[np.int32]:
        """View of `length` entries from `first` on of every set: [cache, set, length]."""
        return self.sets.reshape(self.number, -1, self.width)[:, :, first : first + length]

    def _ways(self) -> NDArray[np.int32]:
        """View of what `lookup` keeps of each way: [cache, set, way, entry]."""
        ways = self.spec.ways
        part = self._part(HEAD + 2 * ways, lookup.WAY * ways)
        return part.reshape(*part.shape[:2], ways, lookup.WAY)
