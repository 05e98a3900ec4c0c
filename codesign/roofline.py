"""A roofline with a roof for each level: operational intensity, throughput, and what the chip's numbers allow.

After Williams, Waterman and Patterson (CACM 2009); with a roof and an intensity for each level as in Ilic, Pratas and
Sousa (IEEE CAL 2014) and Yang, Kurth and Williams (CCPE 2020). Operations are those that the algorithm needs, two a
multiply-accumulate; bytes are those that the simulator counted at the level.
"""

from __future__ import annotations

from dataclasses import dataclass

from codesign.errors import CodesignError
from codesign.task import Point
from hwmodels import Chip
from hwmodels.main_memory import Dram
from hwmodels.spec import Core, Level
from sim import Result
from sim.compute import Units
from sim.level import PS, instances
from sim.machine import PORT


@dataclass(frozen=True)
class Roof:
    """A level of memory: what it can move, and what it moved."""

    name: str
    """Its name on the chip."""
    count: int
    """How many there are."""
    bandwidth: int
    """Bytes per second of all of them."""
    bytes: int
    """Bytes that it moved: read and written; of scratchpads, those they were filled with and emptied of."""


@dataclass(frozen=True)
class Ceiling:
    """A unit: operations per second that it allows, whatever the intensity."""

    name: str
    """The unit, and at what."""
    throughput: float
    """Useful operations per second."""


@dataclass(frozen=True, eq=False)
class Roofline:
    """The roofs of a chip and one result below them."""

    point: Point
    """The chip and the workload."""
    result: Result
    """What happened."""
    roofs: tuple[Roof, ...]
    """Levels that moved something, from the cores outward."""
    ceilings: tuple[Ceiling, ...]
    """Units: the matrix unit, and the vector unit at what the workload asks of it."""

    @property
    def throughput(self) -> float:
        """Useful operations per second."""
        return 2 * self.result.macs * PS / self.result.time

    def intensity(self, roof: Roof) -> float:
        """Useful operations for each byte that a level moved."""
        return 2 * self.result.macs / roof.bytes

    def reach(self, roof: Roof) -> float:
        """Bytes per second that a level moved, as a share of what it can."""
        return roof.bytes * PS / (self.result.time * roof.bandwidth)

    def lowest(self) -> tuple[str, float]:
        """The roof or ceiling that is lowest over the result's points, and the throughput that it allows."""
        found = [(roof.name, roof.bandwidth * self.intensity(roof)) for roof in self.roofs]
        found += [(ceiling.name, ceiling.throughput) for ceiling in self.ceilings]
        return min(found, key=lambda item: item[1])


def roofline(point: Point) -> Roofline:
    """Simulate a point and put it below the roofs of its chip.

    Raises CodesignError if the workload multiplies nothing, and what `Point.simulate` raises.
    """
    result = point.simulate()
    if not result.macs:
        raise CodesignError(
            f"{point.workload.name} multiplies nothing, so it has no operational intensity; name a workload with "
            "products"
        )
    roofs = []
    for name, prefix, count, bandwidth in _levels(point.chip):
        moved = _moved(result, prefix)
        if moved:
            roofs.append(Roof(name, count, bandwidth * count, moved))
    return Roofline(point, result, tuple(roofs), _ceilings(point, result))


def _levels(chip: Chip) -> list[tuple[str, str, int, int]]:
    """Name, prefix of the counters, number and bandwidth of each of a chip's levels, from the cores outward."""
    found = []
    for core in chip.cores:
        names = [level.name for level in core.near]
        found += [(level.name, level.name, *_one(level, core)) for level in core.near]
        port = PORT if core is chip.matmul_core else f"{core.name}_{PORT}"
        found.append((f"{core.name} {port}" if port in names else port, port, core.count, core.bandwidth))
    return [*found, *((level.name, level.name, *_one(level, chip.matmul_core)) for level in chip.memory)]


def _one(level: Level, core: Core) -> tuple[int, int]:
    """How many of a level there are, and the bandwidth of one."""
    return 1 if isinstance(level, Dram) else instances(level.scope, core)[0], level.bandwidth


def _moved(result: Result, name: str) -> int:
    """Bytes that a level moved, by the prefix of its counters."""
    counted = result.counters
    if f"{name}.moved_bytes" in counted:
        return counted[f"{name}.moved_bytes"]
    return (
        counted.get(f"{name}.bytes", 0) + counted.get(f"{name}.read_bytes", 0) + counted.get(f"{name}.write_bytes", 0)
    )


def _ceilings(point: Point, result: Result) -> tuple[Ceiling, ...]:
    """What the units allow: the matrix unit its peak, or between the peaks where kernels multiply in several types; the
    vector unit, which computes exponentials, as many operations as this workload has for those."""
    core, items = point.chip.matmul_core, result.bounds.items
    dtypes = list(dict.fromkeys(trace.dtype for trace in point.kernels()))
    peak = 2 * Units(point.chip, dtypes[0]).macs_per_second * core.count
    mixed = 2 * result.macs * PS / items["matmul"] if len(dtypes) > 1 and items["matmul"] else peak
    found = [Ceiling(f"matmul {', '.join(dtypes)}", float(mixed))]
    if items["vector"]:
        found.append(Ceiling("vector (exponentials)", 2 * result.macs * PS / items["vector"]))
    return tuple(found)
