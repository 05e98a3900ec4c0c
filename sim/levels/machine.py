"""A chip as connected components: the memory paths that transfers take, and the units that compute."""

from __future__ import annotations

from collections.abc import Sequence

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
from memgrain.sim.levels.request import Request
from memgrain.sim.levels.scratchpad import Scratchpad
from memgrain.workloads.trace import Trace

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
        near = (level for level in self.core.near if isinstance(level, ScratchpadSpec))
        self.scratchpad = next(near, chip.scratchpad)
        self.units = Units(chip, trace.dtype, trace)
        pipelined = self.vectors_apart and chip.exchange == "memory" and self.units.instruction == "cube"
        self.tiles_under_way = self.units.groups if pipelined else 0

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
                below = Scratchpad(spec, shared, below)
            self.levels.append(below)
        return below

    def in_flight(self, request: Request | None) -> int:
        """What a load counts for among the bytes that a core may have in flight."""
        if request is None:
            return 0
        cut = self.scratchpad.requests if self.scratchpad else None
        return request.requests(cut.largest, cut.smallest) * cut.largest if cut else request.bytes

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
                    f"{scratchpad.capacity} on {self.chip.name}; lower tiling.block_kv or tiling.stages"
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
