"""What no implementation can beat on this chip: the roofline over every level, and the traffic that must cross each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwmodels.spec import Cache, Chip
from sim.compute import Units
from sim.level import PS
from workloads.trace import Counts, Trace


@dataclass(frozen=True)
class Bounds:
    """Lower bounds of the time, in ps, by what sets them."""

    items: dict[str, int]
    """By name of the level, or `matmul`, `vector`, `dma_commands`, `in_flight`, `launch`."""
    compulsory_bytes: int
    """Distinct bytes that have to come from DRAM at least once."""

    @property
    def name(self) -> str:
        """What binds: the largest item."""
        return max(self.items, key=lambda name: self.items[name])

    @property
    def time(self) -> int:
        """The largest item, in ps."""
        return self.items[self.name]


def bounds(chip: Chip, trace: Trace, counts: Counts, warm: bool, floors: Mapping[str, int]) -> Bounds:
    """Roofline of `trace`, which asks for `counts`, on `chip`: compulsory bytes over DRAM peak, bytes asked over cache
    and port peaks, unpadded work over unit peaks, and the `floors` of `sim.limits`.

    With `warm` caches, what they can hold need not come from DRAM (Williams, Waterman and Patterson, CACM 2009,
    extended by levels).
    """
    units, core = Units(chip, trace.dtype), chip.matmul_core
    running = chip.vector_core if trace.cores == "vector" else core
    held = sum(level.capacity for level in chip.memory if isinstance(level, Cache)) if warm else 0
    compulsory = max(0, trace.useful_bytes + trace.index_bytes - held)
    reads = int(counts.read.sum())
    items = {
        chip.dram.name: compulsory * PS // chip.dram.bandwidth,
        "port": reads * PS // (running.bandwidth * running.count),
        "matmul": int(counts.macs * PS / (units.macs_per_second * core.count)),
        "vector": int(counts.exps * PS / (units.exps_per_second * core.count)),
    }
    for level in chip.memory:
        if isinstance(level, Cache):
            items[level.name] = reads * PS // level.bandwidth
    return Bounds({**items, **floors}, compulsory)
