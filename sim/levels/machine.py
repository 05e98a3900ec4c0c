"""A chip as connected components: the memory paths that transfers take, and the units that compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memgrain.hwmodels.main_memory import Dram as DramSpec
from memgrain.hwmodels.spec import Cache as CacheSpec
from memgrain.hwmodels.spec import Chip, Core
from memgrain.hwmodels.spec import Level as LevelSpec
from memgrain.hwmodels.spec import Link as LinkSpec
from memgrain.hwmodels.spec import Scratchpad as ScratchpadSpec
from memgrain.sim.breakdown.census import Census
from memgrain.sim.cache.cache import Cache
from memgrain.sim.dram.dram import Dram
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.compute import Units
from memgrain.sim.levels.level import Level, instances
from memgrain.sim.levels.link import Link, Wire
from memgrain.sim.levels.load_parts import FIELDS, SHARE, cut_loads, enter_requests, enter_whole_loads
from memgrain.sim.levels.scratchpad import Scratchpad
from memgrain.workloads.trace import RUN, Records, Trace

PORT = "port"
"""Name of the link between a core and the first shared level; that of separate vector cores is `<kind>_port`."""
SCORES = "scores"
"""Name under which traffic between matrix and vector cores is counted, beside the trace's tensors."""
PREFETCH = "prefetch"
"""Name under which levels count the requests of prefetch engines beside the cores, where there are any."""

SCORE_BYTES, PROBABILITY_BYTES = 4, 2
"""Element sizes of scores (fp32) and probabilities (half) where they pass between matrix and vector cores."""
WORKSPACE = 1 << 22
"""Bytes from one slot's workspace for scores to the next one's."""


def loads_taken(steps: Records) -> NDArray[np.int64]:
    """Load runs of each step; 0 for a step that is never repeated, whose runs may point anywhere."""
    taken: NDArray[np.int64] = np.where(steps["repeats"] > 0, steps["load_runs"], 0).astype(np.int64)
    return taken


class Machine:
    """The components of one chip, ready to run traces one after the other.

    `core` is the kind that runs the trace's programs. Their transfers enter the level `top`, those of separate vector
    cores `vector_top`. A pipelined kernel computes while tiles of earlier steps pass between matrix and vector cores;
    `tiles_under_way` is how many, or 0.
    """

    def __init__(self, chip: Chip, trace: Trace, prefetches: bool = False, *, fast_paths: bool = True) -> None:
        """`prefetches` says that engines fetch beside the cores; `fast_paths` is that of the caches."""
        self.chip, self.fast_paths = chip, fast_paths
        self.tensors = (*(tensor.name for tensor in trace.tensors), SCORES, *((PREFETCH,) if prefetches else ()))
        self.footprint = max((tensor.base + tensor.bytes for tensor in trace.tensors), default=0)
        core, vector = chip.matmul_core, chip.vector_core
        self.levels: list[Level] = [Dram(chip.dram, self.tensors)]
        shared = self._add_levels(chip.memory[:-1], self.levels[0], core)
        self.matmul_top = self.vector_top = self._add_levels(core.near, self._port(PORT, core, shared), core)
        self.shared, self.lasting = shared, len(self.levels)
        self.vectors_apart = vector is not core
        self.vectors_per_core = vector.count // core.count if self.vectors_apart else 1
        self.prepare(trace)

    def prepare(self, trace: Trace) -> None:
        """Prepare for a trace; what the levels hold stays."""
        chip = self.chip
        if self.vectors_apart:
            self.vector_top = self._vectors(trace)
        self.core, self.top = chip.matmul_core, self.matmul_top
        if trace.cores == "vector":
            self.core, self.top = chip.vector_core, self.vector_top
        if self.core.max_programs is None:
            raise SimulationError(
                f"{trace.name} runs on the vector cores, and {chip.name} does not say how {self.core.name} runs "
                f"programs; set {self.core.name}.max_programs, max_bytes_in_flight and program_start"
            )
        self._prepare_stores(trace)
        near = (level for level in self.core.near if isinstance(level, ScratchpadSpec))
        self.scratchpad = next(near, chip.scratchpad)
        self.units = Units(chip, trace.dtype, trace)
        pipelined = self.vectors_apart and chip.exchange == "memory" and self.units.instruction == "cube"
        self.tiles_under_way = self.units.groups if pipelined else 0

    def _prepare_stores(self, trace: Trace) -> None:
        """Have stores leave by the ports that the trace says. Vector cores take results from the matrix cores at the
        rate at which these write, and write rows at any address as they are."""
        other = trace.stores_by not in (None, trace.cores)
        if other and not (self.vectors_apart and self.chip.exchange == "direct"):
            raise SimulationError(
                f"{trace.name} stores by the {trace.stores_by} cores, to which results pass only through memory on "
                f"{self.chip.name}; leave stores_by out, or choose a chip with exchange: direct"
            )
        for level in self.levels:
            if isinstance(level, Scratchpad):
                level.split = None if other else level.spec.split_writes

    def _vectors(self, trace: Trace) -> Level:
        """The levels of separate vector cores, which lead to memory, or, where scores pass directly, nowhere while the
        matrix cores work; they hold nothing from one trace to the next."""
        vector = self.chip.vector_core
        del self.levels[self.lasting :]
        below = self.shared if self.chip.exchange == "memory" or trace.cores == "vector" else Wire()
        port = self._port(f"{vector.name}_{PORT}", vector, below, self.vectors_per_core)
        return self._add_levels(vector.near, port, vector)

    def _port(self, name: str, core: Core, below: Level, gathers: int = 1) -> Level:
        shared = instances("core", core)
        self.levels.append(Link(name, shared, core.bandwidth, 0, below, gathers, core.write_bandwidth))
        return self.levels[-1]

    def _add_levels(self, specs: Sequence[LevelSpec], below: Level, core: Core) -> Level:
        """Add levels of `specs` (from the core outward) on top of `below`; returns the nearest."""
        for spec in reversed(specs):
            shared = instances(spec.scope, core) if not isinstance(spec, DramSpec) else (1, core.count)
            if isinstance(spec, CacheSpec):
                below = Cache(spec, shared, below, self.tensors, self.footprint, fast_paths=self.fast_paths)
            elif isinstance(spec, LinkSpec):
                below = Link(spec.name, shared, spec.bandwidth, spec.latency, below)
            elif not isinstance(spec, DramSpec):
                below = Scratchpad(spec, shared, below, self.chip.dram.smallest_access)
            self.levels.append(below)
        return below

    @property
    def most_parts(self) -> int:
        """Most parts of loads that a core can have in flight, where loads are requested in parts."""
        cut = self.scratchpad.requests if self.scratchpad else None
        return (self.core.max_bytes_in_flight or 0) // cut.largest if cut and not self.units.copy_rows else 0

    def load_parts(
        self, runs: NDArray[np.void], indices: NDArray[np.int64], firsts: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> tuple[NDArray[np.void], NDArray[np.int64], NDArray[np.int64]]:
        """The parts in which loads of `counts` runs from `firsts` on are requested: runs, with further ones behind
        them; [part, (first run, runs, bytes in flight)]; the end of each load's parts.

        Where a DMA engine cuts rows into requests, a part is a share of the bytes that may be in flight, and each
        request counts as the largest; elsewhere, and where a kernel waits for each of its copies, a load is requested
        at once.
        """
        pad, ends = self.scratchpad, np.arange(1, len(firsts) + 1)
        if pad is None or pad.requests is None or self.units.copy_rows:
            parts = np.zeros((len(firsts), FIELDS), np.int64)
            if pad is None or pad.requests is None:
                enter_whole_loads(runs, firsts, counts, parts)
            else:
                enter_requests(runs, indices, firsts, counts, (pad.requests.largest, pad.requests.smallest), parts)
            return runs, parts, ends
        largest = pad.requests.largest
        most = max(1, (self.core.max_bytes_in_flight or 0) // largest // SHARE)
        call = (runs, indices, firsts, counts, (largest, pad.requests.smallest), most, pad.dma_rows or 1, ends)
        sizes = cut_loads(*call, np.zeros((0, FIELDS), np.int64), np.zeros(0, RUN))
        parts, found = np.zeros((sizes[0], FIELDS), np.int64), np.zeros(sizes[1], RUN)
        cut_loads(*call, parts, found)
        parts[:, 0] += len(runs)
        parts[:, 2] *= largest
        return np.concatenate([runs, found]), parts, ends

    def loads_ahead(self, trace: Trace) -> int:
        """Steps whose loads may be issued and not computed. A pipelined kernel multiplies with K so many tiles before
        it multiplies with V, which are half of each tile's bytes."""
        return trace.stages + max(0, self.tiles_under_way - 1) // 2

    def resident(self, trace: Trace) -> int:
        """Programs that a core holds at a time: the chip's limit, the kernel's, and what its scratchpad can hold."""
        most, scratchpad = self.core.max_programs or 1, self.scratchpad
        number = min(most, trace.resident or most)
        if scratchpad is not None and trace.scratchpad_bytes:
            room = scratchpad.capacity // trace.scratchpad_bytes
            if room == 0:
                raise SimulationError(
                    f"a program of {trace.name} needs {trace.scratchpad_bytes} bytes of {scratchpad.name}, which has "
                    f"{scratchpad.capacity} on {self.chip.name}; lower the tile or its stages "
                    "(tiling.block_kv and tiling.stages; of a product block, k_steps and stages)"
                )
            number = min(number, room)
        return number

    def census(self, trace: Trace) -> Census:
        """An empty census of a trace that the machine is about to run."""
        return Census(len(trace.tensors), (self.scratchpad and self.scratchpad.dma_rows) or 0)

    def check_scores(self, rows: int, columns: int) -> None:
        """Raise SimulationError if a tile of scores does not fit the scratchpads of separate vector cores."""
        if not self.vectors_apart:
            return
        need = -(-rows // self.vectors_per_core) * columns * (SCORE_BYTES + PROBABILITY_BYTES)
        for level in self.chip.vector_core.near:
            if isinstance(level, ScratchpadSpec) and need > level.capacity:
                raise SimulationError(
                    f"a tile of {rows} x {columns} scores needs {need} bytes of {level.name} a vector core, which has "
                    f"{level.capacity} on {self.chip.name}; lower tiling.block_q or tiling.block_kv"
                )

    def forget(self) -> None:
        """Start counters and the clock anew; what caches hold stays."""
        for level in self.levels:
            level.forget()
        self.units.forget()
