"""A cache level: the arrays of a sectored set-associative cache in partitions, and how it answers."""

from __future__ import annotations

import numpy as np

from hwmodels.spec import Cache as CacheSpec
from sim.compiled import lookup
from sim.compiled.replacement import POLICIES
from sim.level import PS, Level, instances
from sim.request import NO_INDEX, Request
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


class Cache:
    """One cache of the spec for each core, cluster or chip; all of them in one set of arrays.

    `tags`, `note` (of the policy) and `state` (see `lookup.STATE`) hold one entry a line; `tree` (bits of tree-PLRU)
    and `filled` (ways in use) one a set; `slice_free` the time until which a slice is booked.
    """

    def __init__(
        self, spec: CacheSpec, below: Level, cores: int, cores_per_cluster: int, tensors: tuple[str, ...]
    ) -> None:
        self.name, self.spec, self.below = spec.name, spec, below
        self.latency, self.queue = spec.latency, 0
        self.number, self.share = instances(spec.scope, cores, cores_per_cluster)
        self.tensors = tensors
        self.geometry = np.zeros(lookup.GEOMETRY, np.int64)
        sector_time = spec.sector * PS * spec.slices // spec.bandwidth
        self.geometry[:] = [
            spec.line,
            spec.sector,
            spec.fill_granule,
            spec.sets,
            spec.ways,
            POLICIES[spec.replacement],
            spec.set_hash == "xor",
            spec.partitions,
            spec.replicate and spec.partitions > 1,
            spec.write_policy == "back",
            spec.write_allocate,
            spec.slices,
            sector_time,
            spec.latency,
            spec.far_latency,
            spec.fill_granule // spec.sector,
            sum(1 << i for i in range(0, spec.line // spec.sector, spec.fill_granule // spec.sector)),
            spec.line.bit_length() - 1,
            spec.sector.bit_length() - 1,
            spec.slices // spec.partitions,
        ]
        sets = spec.partitions * spec.sets
        shape = (self.number, sets * spec.ways)
        self.tags = np.full(shape, -1, np.int64)
        self.note = np.zeros(shape, np.int64)
        self.state = np.zeros((*shape, lookup.STATE), np.int64)
        self.tree, self.filled = (np.zeros((self.number, sets), np.int64) for _ in range(2))
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
            self.tags[i],
            self.state[i],
            self.note[i],
            self.tree[i],
            self.filled[i],
            self.slice_free[i],
            self.out,
            moving,
            self.counts,
            self.slots,
        )
        done, self.queue = int(moving[lookup.DONE]), int(moving[lookup.QUEUE])
        out = int(moving[lookup.OUT])
        if out:
            arrived = self.below.serve(Request(self.out, NO_INDEX, 0, out), 0, core, now)
            fills = int(moving[lookup.FILLS])
            if fills:
                done = max(done, arrived)
                lookup.set_ready(self.slots, fills, self.state[i], arrived)
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
        self.state[..., lookup.READY] = 0

    def fill_with(self, dirty: bool) -> None:
        """Fill every way of every set with lines that no trace will ask for, dirty or clean, as a buffer rewritten
        before leaves them."""
        spec = self.spec
        sets = spec.partitions * spec.sets
        lines = (1 << 40) + np.arange(sets * spec.ways, dtype=np.int64)
        self.tags[:] = lines
        self.filled[:] = spec.ways
        sectors = (1 << (spec.line // spec.sector)) - 1
        self.state[..., lookup.VALID] = sectors
        self.state[..., lookup.DIRTY] = sectors if dirty else 0
