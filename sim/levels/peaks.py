"""Peak rates of a chip: bandwidth of every memory level and port, and throughput of the matrix units."""

from __future__ import annotations

from dataclasses import dataclass

from memgrain.hwmodels.main_memory import Dram
from memgrain.hwmodels.spec import Chip, Core, DType, Level
from memgrain.sim.levels.compute import Units
from memgrain.sim.levels.level import instances
from memgrain.sim.levels.machine import PORT


@dataclass(frozen=True)
class LevelPeak:
    """The peak bandwidth of a memory level, or of the ports between cores and shared levels."""

    name: str
    """Name on the chip."""
    prefix: str
    """Prefix of its counters."""
    count: int
    """Number of instances."""
    bandwidth: int
    """Bytes per second of one instance."""


def level_peaks(chip: Chip) -> list[LevelPeak]:
    """The levels and ports of a chip, from the cores outward."""
    found = []
    for core in chip.cores:
        names = [level.name for level in core.near]
        found += [_of_level(level, core) for level in core.near]
        port = PORT if core is chip.matmul_core else f"{core.name}_{PORT}"
        found.append(LevelPeak(f"{core.name} {port}" if port in names else port, port, core.count, core.bandwidth))
    return [*found, *(_of_level(level, chip.matmul_core) for level in chip.memory)]


def matmul_peak(chip: Chip, dtype: DType) -> float:
    """Multiply-accumulates per second of all matrix units."""
    return Units(chip, dtype).macs_per_second * chip.matmul_core.count


def _of_level(level: Level, core: Core) -> LevelPeak:
    count = 1 if isinstance(level, Dram) else instances(level.scope, core)[0]
    return LevelPeak(level.name, level.name, count, level.bandwidth)
