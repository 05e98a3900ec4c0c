"""A roofline with a roof for each level and for requests: operational intensity, throughput, what the chip allows.

After Williams, Waterman and Patterson (CACM 2009); with a roof and an intensity for each level as in Ilic, Pratas and
Sousa (IEEE CAL 2014) and Yang, Kurth and Williams (CCPE 2020). Operations are those that the algorithm needs, two a
multiply-accumulate; bytes are those that the simulator counted at the level. DMA commands and bytes in flight are roofs
as well: the bytes that this design moves with a command, or has under way, bound its bandwidth as a level's does
(Little's law).
"""

from __future__ import annotations

from dataclasses import dataclass

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip
from memgrain.hwmodels.main_memory import Dram
from memgrain.hwmodels.spec import Core, Level, Scratchpad
from memgrain.runs.task import Point
from memgrain.sim import Result
from memgrain.sim.breakdown.limits import COMMANDS, IN_FLIGHT, ISSUE
from memgrain.sim.levels.compute import Units
from memgrain.sim.levels.level import PS, instances
from memgrain.sim.levels.machine import PORT

REQUESTS = {COMMANDS: "DMA commands", IN_FLIGHT: "bytes in flight"}
"""Limits of `memgrain.sim.breakdown.limits` that are roofs, and what they are called."""
CEILINGS = {ISSUE: "issue slots", "start": "starts of programs", "launch": "launch"}
"""Those that bound the throughput whatever the bytes."""
PADDED = 1.02
"""Multiply-accumulates executed for each useful one from which padding has a ceiling of its own."""


@dataclass(frozen=True)
class Roof:
    """A level of memory, or a way of asking for bytes: what it can move, and what it moved."""

    name: str
    """Its name on the chip."""
    count: int
    """How many there are."""
    bandwidth: float
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
    requests: tuple[Roof, ...]
    """DMA commands and bytes in flight, where they need a hundredth of the time."""
    ceilings: tuple[Ceiling, ...]
    """Units: the matrix unit, and the vector unit at what the workload asks of it; issue slots, starts of programs and
    the launch, where they need a hundredth of the time."""

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
        found = [(roof.name, roof.bandwidth * self.intensity(roof)) for roof in (*self.roofs, *self.requests)]
        found += [(ceiling.name, ceiling.throughput) for ceiling in self.ceilings]
        return min(found, key=lambda item: item[1])


def roofline(point: Point) -> Roofline:
    """Simulate a point and put it below the roofs of its chip.

    Raises MemgrainError if the workload multiplies nothing, and what `Point.simulate` raises.
    """
    result = point.simulate()
    if not result.macs:
        raise MemgrainError(
            f"{point.workload.name} multiplies nothing, so it has no operational intensity; name a workload with "
            "products"
        )
    roofs = []
    for name, prefix, count, bandwidth in _levels(point.chip):
        moved = _moved(result, prefix)
        if moved:
            roofs.append(Roof(name, count, bandwidth * count, moved))
    return Roofline(point, result, tuple(roofs), _requests(point, result), _ceilings(point, result))


def _counts(result: Result, name: str) -> bool:
    """Whether a limit needs a hundredth of the time."""
    return 100 * result.limits.get(name, 0) >= result.time


def _requests(point: Point, result: Result) -> tuple[Roof, ...]:
    """Roofs of what is asked for: the bytes of the busiest scratchpad's commands, and of loads under way."""
    moved = {IN_FLIGHT: (result.counters["core.flight_bytes"], point.chip.matmul_core.count)}
    for core in point.chip.cores:
        for level in core.near:
            if isinstance(level, Scratchpad) and level.dma_startup:
                number = instances(level.scope, core)[0]
                moved[COMMANDS] = max(moved.get(COMMANDS, (0, 0)), (_moved(result, level.name), number))
    return tuple(
        Roof(REQUESTS[name], number, count * PS / result.limits[name], count)
        for name, (count, number) in moved.items()
        if count and _counts(result, name)
    )


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

    def allowed(name: str) -> float:
        return 2 * result.macs * PS / result.limits[name]

    dtypes = list(dict.fromkeys(trace.dtype for trace in point.kernels()))
    peak = 2 * Units(point.chip, dtypes[0]).macs_per_second * core.count
    mixed = 2 * result.macs * PS / items["matmul"] if len(dtypes) > 1 and items["matmul"] else peak
    found = [Ceiling(f"matmul {', '.join(dtypes)}", float(mixed))]
    if result.counters["core.issued_macs"] > PADDED * result.macs and result.limits.get("matmul"):
        found.append(Ceiling("matmul with its padding", allowed("matmul")))
    if result.limits.get("vector"):
        found.append(Ceiling("vector (softmax)", allowed("vector")))
    found += [Ceiling(title, allowed(name)) for name, title in CEILINGS.items() if _counts(result, name)]
    return tuple(found)
