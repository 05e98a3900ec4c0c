"""A chip made into wired components: the chain of levels that a core's transfers pass, and the units that compute."""

from __future__ import annotations

from hwmodels.spec import Cache as CacheSpec
from hwmodels.spec import Chip
from hwmodels.spec import Link as LinkSpec
from hwmodels.spec import Scratchpad as ScratchpadSpec
from sim.cache import Cache
from sim.compute import Units
from sim.dram import Dram
from sim.errors import SimulationError
from sim.level import Level
from sim.link import Link
from sim.scratchpad import Scratchpad
from workloads.trace import Trace

PORT = "port"
"""Name of the link between a core and the first shared level."""


SCORES = "scores"
"""Name under which traffic between matrix and vector cores is counted, beside the trace's tensors."""


class Machine:
    """The components of one chip, ready to run traces one after the other."""

    def __init__(self, chip: Chip, trace: Trace) -> None:
        self.chip = chip
        core = chip.matmul_core
        tensors = (*(tensor.name for tensor in trace.tensors), SCORES)
        self.levels: list[Level] = []
        below: Level = Dram(chip.dram, tensors)
        self.levels.append(below)
        wiring = [*reversed(chip.memory[:-1]), None, *reversed(core.near)]
        for spec in wiring:
            if spec is None:
                below = Link(PORT, "core", core.bandwidth, 0, below, core.count, core.cores_per_cluster)
            elif isinstance(spec, CacheSpec):
                below = Cache(spec, below, core.count, core.cores_per_cluster, tensors)
            elif isinstance(spec, ScratchpadSpec):
                below = Scratchpad(spec, below, core.count, core.cores_per_cluster)
            elif isinstance(spec, LinkSpec):
                below = Link(
                    spec.name, spec.scope, spec.bandwidth, spec.latency, below, core.count, core.cores_per_cluster
                )
            self.levels.append(below)
        self.levels.reverse()
        self.top = below
        self.shared = next(level for level in self.levels if level.name in {spec.name for spec in chip.memory})
        self.units = Units(chip, trace.dtype)

    def resident(self, trace: Trace) -> int:
        """Programs that a core holds at a time: the chip's limit, the kernel's, and what its scratchpad can hold."""
        core, scratchpad = self.chip.matmul_core, self.chip.scratchpad
        number = min(core.max_programs, trace.resident or core.max_programs)
        if scratchpad is not None and trace.scratchpad_bytes:
            room = scratchpad.capacity // trace.scratchpad_bytes
            if room == 0:
                raise SimulationError(
                    f"a program of {trace.name} needs {trace.scratchpad_bytes} bytes of {scratchpad.name}, which has "
                    f"{scratchpad.capacity} on {self.chip.name}; lower tiling.block_kv or tiling.stages"
                )
            number = min(number, room)
        return number

    def forget(self) -> None:
        """Start counters and the clock anew; what caches hold stays."""
        for level in self.levels:
            level.forget()
        self.units.forget()
