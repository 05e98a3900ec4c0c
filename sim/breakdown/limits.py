"""Limits of a design: for each resource, the least time for all that the design requests of it.

`memgrain.sim.breakdown.bounds` has what no implementation can beat. Limits hold a kernel's own bytes, commands and
instructions against the same peaks, that of the memory less its refreshes. All resources work side by side, and each is
assumed to be divided evenly among the cores.
"""

from __future__ import annotations

from collections.abc import Mapping

from memgrain.hwmodels.standard import DramStandard
from memgrain.sim.breakdown.launch import dispatch_time
from memgrain.sim.cache.cache import Cache
from memgrain.sim.dram.dram import Dram
from memgrain.sim.levels.compute import OPS_PER_SCORE
from memgrain.sim.levels.level import PS, Level
from memgrain.sim.levels.link import Link
from memgrain.sim.levels.machine import Machine
from memgrain.sim.levels.scratchpad import Scratchpad
from memgrain.workloads.trace import Counts, Trace

DMA_COMMANDS, IN_FLIGHT, ISSUE = "dma_commands", "in_flight", "issue"
"""Names of limits that are no level and no unit."""


def floors(machine: Machine, trace: Trace, launch: int) -> dict[str, int]:
    """Bounds, in ps, beside those of bandwidths and units, that no implementation can beat.

    `launch`: the cost of the launch. `dma_commands`: no command moves more than a scratchpad holds, and every useful
    byte enters one. `in_flight`: the time of the useful bytes with the most bytes that cores may have in flight, each
    for the latency of a hit (Little's law).
    """
    found, core, pad = {"launch": launch}, machine.core, machine.scratchpad
    if pad is not None and pad.dma_startup:
        engines = _instances(machine, pad.name)
        fewest = -(-(trace.useful_bytes + trace.index_bytes) // pad.capacity)
        found[DMA_COMMANDS] = fewest * pad.dma_startup // engines
    found[IN_FLIGHT] = trace.useful_bytes * machine.top.latency // ((core.max_bytes_in_flight or 1) * core.count)
    return found


def _instances(machine: Machine, name: str) -> int:
    """Number of instances of the scratchpad of that name."""
    return next(
        len(level.banks_free) for level in machine.levels if isinstance(level, Scratchpad) and level.name == name
    )


def limits(
    machine: Machine, trace: Trace, counts: Counts, counters: Mapping[str, int], launch: int, time: int
) -> dict[str, int]:
    """Times in ps by resource: levels, ports, `dma_commands`, `in_flight`, `matmul`, `vector`, `issue`, `start` and
    `launch`, which takes `launch` ps of the whole `time`."""
    found = {level.name: _level(level, counters) for level in machine.levels}
    pads = [level for level in machine.levels if isinstance(level, Scratchpad) and level.spec.dma_startup]
    if pads:
        found[DMA_COMMANDS] = max(commands_time(level) for level in pads)
    found[IN_FLIGHT] = min(_in_flight(machine, counters), time)
    units, number = machine.units, machine.core.count
    vector = counts.issued_exps * (PS / units.exps_per_second + OPS_PER_SCORE * PS / units.ops_per_second)
    vector += counts.issued_ops * PS / units.ops_per_second
    macs = counters["core.issued_macs"] * PS
    if units.instruction == "fma":
        found |= {"matmul": 0, "vector": int((vector + macs / units.ops_per_second) / number)}
    else:
        found |= {"matmul": int(macs / (units.macs_per_second * number)), "vector": int(vector / number)}
    found[ISSUE] = counters["core.issue_ps"] // machine.core.count
    found["start"] = counters["core.programs"] * dispatch_time(machine.chip, trace)
    return {name: limit for name, limit in (found | {"launch": launch}).items() if limit}


def _level(level: Level, counters: Mapping[str, int]) -> int:
    """Time that a level needs to move its bytes, in ps."""

    def counted(key: str) -> int:
        return counters[f"{level.name}.{key}"]

    if isinstance(level, Link):
        (read, reads), (write, writes) = level.directions
        written = counted("written_bytes")
        times = (counted("bytes") - written) * PS // read, written * PS // write
        return (sum(times) if writes is reads else max(times)) // len(reads)
    if isinstance(level, Scratchpad):
        return counted("moved_bytes") * PS // (level.spec.bandwidth * len(level.banks_free))
    moved = (counted("read_bytes") + counted("write_bytes")) * PS
    if isinstance(level, Cache):
        return moved // (level.spec.bandwidth * level.number)
    assert isinstance(level, Dram)
    return int(moved / (level.spec.bandwidth * (1 - _refreshing(level.spec.at_rate))))


def _refreshing(standard: DramStandard) -> float:
    """Share of the time in which refreshes block a channel."""
    if standard.refresh.kind != "all_bank" and standard.ranks * standard.banks > 1:
        return 0.0
    return standard.latency(standard.refresh.duration) / standard.latency(standard.refresh.interval)


def commands_time(level: Scratchpad) -> int:
    """What the DMA engines of a scratchpad need for their commands, in ps; those that write work beside those that
    read."""
    start, (reads, writes) = level.spec.dma_startup or 0, level.row_times
    reads += (level.commands - level.write_commands) * start
    return max(reads, writes + level.write_commands * start) // len(level.banks_free)


def load_latency(machine: Machine, counters: Mapping[str, int]) -> int:
    """Unloaded latency of the loads of a kernel in ps: the mean over hits and misses in the last cache. A load of more
    bytes than may be in flight takes the latency of a hit for each such part, see `memgrain.sim.reference.engine`."""
    cache, nearest = machine.chip.cache, machine.top.latency
    if cache is None or not counters["core.flight_bytes"]:
        return nearest
    hits, misses = counters[f"{cache.name}.hits"], counters[f"{cache.name}.misses"]
    farther = (machine.chip.dram.latency - cache.latency) * misses // max(1, hits + misses)
    return nearest + farther - farther * counters["core.oversize_bytes"] // counters["core.flight_bytes"]


def _in_flight(machine: Machine, counters: Mapping[str, int]) -> int:
    """Time that loads need with the bytes that cores may have in flight, in ps: at the latency of an idle chip, or at
    their own latency where that is less."""
    room = (machine.core.max_bytes_in_flight or 1) * machine.core.count
    idle = counters["core.flight_bytes"] * load_latency(machine, counters) // room
    return min(idle, counters["core.flight_byte_ns"] * 1000 // room)
