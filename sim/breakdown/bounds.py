"""What no implementation can beat on this chip: the roofline over every level, and the traffic that must cross each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memgrain.hwmodels.spec import Cache, Chip
from memgrain.sim.levels.compute import Units
from memgrain.sim.levels.level import PS
from memgrain.workloads.trace import Counts, Trace


@dataclass(frozen=True)
class Bounds:
    """Lower bounds of the time, in ps, by what sets them."""

    items: dict[str, int]
    """By name of the level, or `matmul`, `vector`, `dma_commands`, `in_flight`, `launch`."""
    compulsory_bytes: int
    """Distinct bytes that have to come from DRAM at least once."""

    @property
    def name(self) -> str:
        """Name of the largest item: the bound that is reached first."""
        return max(self.items, key=lambda name: self.items[name])

    @property
    def time(self) -> int:
        """The largest item, in ps."""
        return self.items[self.name]


def work(trace: Trace, counts: Counts) -> tuple[int, int]:
    """Multiply-accumulates and exponentials that the algorithm needs; `counts` are the sums over the steps of
    `trace`."""
    macs = counts.issued_macs if trace.macs is None else trace.macs
    return macs, counts.issued_exps if trace.exps is None else trace.exps


def bounds(chip: Chip, trace: Trace, counts: Counts, warm: bool, floors: Mapping[str, int]) -> Bounds:
    """Roofline of `trace` on `chip`: distinct bytes that the algorithm needs over the peaks of DRAM, caches and ports,
    its work over the peaks of the units, and the `floors` of `memgrain.sim.breakdown.limits`.

    `counts` are the sums over the steps of `trace`. No item includes the kernel's own overhead (padding, tokens read
    again, partial results). With `warm` caches, the bytes that they can hold need not come from DRAM (Williams,
    Waterman and Patterson, CACM 2009, extended by levels). Outputs are left out: they may stay in a cache when the
    kernel ends.
    """
    units, core = Units(chip, trace.dtype), chip.matmul_core
    running = chip.vector_core if trace.cores == "vector" else core
    held = sum(level.capacity for level in chip.memory if isinstance(level, Cache)) if warm else 0
    reads = trace.useful_bytes + trace.index_bytes
    compulsory = max(0, reads - held)
    macs, exps = work(trace, counts)
    items = {
        chip.dram.name: compulsory * PS // chip.dram.bandwidth,
        "port": reads * PS // (running.bandwidth * running.count),
        "matmul": int(macs * PS / (units.macs_per_second * core.count)),
        "vector": int(exps * PS / (units.exps_per_second * core.count)),
    }
    for level in chip.memory:
        if isinstance(level, Cache):
            items[level.name] = reads * PS // level.bandwidth
    return Bounds({**items, **floors}, compulsory)
