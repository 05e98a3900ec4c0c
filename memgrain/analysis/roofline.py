"""A roofline with a roof for each memory level and request limit: operational intensity, throughput, and the chip's
limits.

The method is that of Williams, Waterman and Patterson (CACM 2009), with a roof and an intensity for each level as in
Ilic, Pratas and Sousa (IEEE CAL 2014) and Yang, Kurth and Williams (CCPE 2020). Operations are those of the algorithm,
two per multiply-accumulate; bytes are those that the simulator counted at the level. DMA commands and bytes in flight
are roofs too: the bytes per command, or in flight, bound the bandwidth as a level does (Little's law).
"""

from __future__ import annotations

from dataclasses import dataclass

from memgrain.errors import MemgrainError
from memgrain.hwmodels.spec import Scratchpad
from memgrain.runs.task import Point
from memgrain.sim import Result, level_peaks, matmul_peak
from memgrain.sim.breakdown.limits import DMA_COMMANDS, IN_FLIGHT, ISSUE

PS = 10**12
"""Picoseconds per second."""
REQUESTS = {DMA_COMMANDS: "DMA commands", IN_FLIGHT: "bytes in flight"}
"""Limits of `memgrain.sim.breakdown.limits` that are roofs, with their titles."""
CEILINGS = {ISSUE: "issue slots", "start": "starts of programs", "launch": "launch"}
"""Limits that bound the throughput independently of bytes, with their titles."""
PADDED = 1.02
"""Ratio of executed to useful multiply-accumulates above which padding has its own ceiling."""


@dataclass(frozen=True)
class Roof:
    """A memory level or a request limit: the bandwidth that it allows, and the bytes that it moved."""

    name: str
    """Name on the chip."""
    count: int
    """Number of instances."""
    bandwidth: float
    """Bytes per second of all instances together."""
    bytes: int
    """Bytes read and written; for scratchpads, bytes filled and drained."""


@dataclass(frozen=True)
class Ceiling:
    """A compute unit or fixed cost: the operations per second that it allows, independent of the intensity."""

    name: str
    """Name of the unit or cost."""
    throughput: float
    """Useful operations per second."""


@dataclass(frozen=True, eq=False)
class Roofline:
    """The roofs of a chip and one result below them."""

    point: Point
    """The chip and the workload."""
    result: Result
    """Result of the simulation."""
    roofs: tuple[Roof, ...]
    """Levels that moved bytes, from the cores outward."""
    requests: tuple[Roof, ...]
    """DMA commands and bytes in flight, if their limit is at least one hundredth of the time."""
    ceilings: tuple[Ceiling, ...]
    """The matrix unit and the vector unit (at the workload's operation mix); issue slots, program starts and the
    launch, if their limit is at least one hundredth of the time."""

    @property
    def throughput(self) -> float:
        """Useful operations per second."""
        return 2 * self.result.macs * PS / self.result.time

    def intensity(self, roof: Roof) -> float:
        """Useful operations per byte that a level moved."""
        return 2 * self.result.macs / roof.bytes

    def reach(self, roof: Roof) -> float:
        """Achieved bandwidth of a level as a fraction of its peak."""
        return roof.bytes * PS / (self.result.time * roof.bandwidth)

    def lowest(self) -> tuple[str, float]:
        """The lowest roof or ceiling for this result, and the throughput that it allows."""
        found = [(roof.name, roof.bandwidth * self.intensity(roof)) for roof in (*self.roofs, *self.requests)]
        found += [(ceiling.name, ceiling.throughput) for ceiling in self.ceilings]
        return min(found, key=lambda item: item[1])


def roofline(point: Point) -> Roofline:
    """Simulate a point and compute the roofs of its chip for it.

    Raises MemgrainError if the workload has no multiplications, and the errors of `Point.simulate`.
    """
    result = point.simulate()
    if not result.macs:
        raise MemgrainError(
            f"{point.workload.name} has no multiplications, so it has no operational intensity; choose one "
            "with products"
        )
    roofs = []
    for level in level_peaks(point.chip):
        if moved := _moved(result, level.prefix):
            roofs.append(Roof(level.name, level.count, level.bandwidth * level.count, moved))
    return Roofline(point, result, tuple(roofs), _requests(point, result), _ceilings(point, result))


def _counts(result: Result, name: str) -> bool:
    """Whether a limit is at least one hundredth of the time."""
    return 100 * result.limits.get(name, 0) >= result.time


def _requests(point: Point, result: Result) -> tuple[Roof, ...]:
    """Roofs of requests: bytes of the busiest scratchpad's DMA commands, and bytes of loads in flight."""
    moved = {IN_FLIGHT: (result.counters["core.flight_bytes"], point.chip.matmul_core.count)}
    counts = {level.name: level.count for level in level_peaks(point.chip)}
    for core in point.chip.cores:
        for level in core.near:
            if isinstance(level, Scratchpad) and level.dma_startup:
                found = _moved(result, level.name), counts[level.name]
                moved[DMA_COMMANDS] = max(moved.get(DMA_COMMANDS, (0, 0)), found)
    return tuple(
        Roof(REQUESTS[name], number, count * PS / result.limits[name], count)
        for name, (count, number) in moved.items()
        if count and _counts(result, name)
    )


def _moved(result: Result, name: str) -> int:
    """Bytes that a level moved, from the counters with that prefix."""
    counted = result.counters
    if f"{name}.moved_bytes" in counted:
        return counted[f"{name}.moved_bytes"]
    return (
        counted.get(f"{name}.bytes", 0) + counted.get(f"{name}.read_bytes", 0) + counted.get(f"{name}.write_bytes", 0)
    )


def _ceilings(point: Point, result: Result) -> tuple[Ceiling, ...]:
    """Ceilings of the units. For the matrix unit it is the peak, or a weighted mean of peaks if kernels use several
    element types. For the vector unit, which computes exponentials, it follows from the workload's ratio of products to
    exponentials."""
    items = result.bounds.items

    def allowed(name: str) -> float:
        return 2 * result.macs * PS / result.limits[name]

    dtypes = list(dict.fromkeys(trace.dtype for trace in point.kernels()))
    peak = 2 * matmul_peak(point.chip, dtypes[0])
    mixed = 2 * result.macs * PS / items["matmul"] if len(dtypes) > 1 and items["matmul"] else peak
    found = [Ceiling(f"matmul {', '.join(dtypes)}", float(mixed))]
    if result.counters["core.issued_macs"] > PADDED * result.macs and result.limits.get("matmul"):
        found.append(Ceiling("matmul with its padding", allowed("matmul")))
    if result.limits.get("vector"):
        found.append(Ceiling("vector (softmax)", allowed("vector")))
    found += [Ceiling(title, allowed(name)) for name, title in CEILINGS.items() if _counts(result, name)]
    return tuple(found)
