"""A run from beginning to end: the table of contents of this package."""

from __future__ import annotations

from typing import Literal

from hwmodels.spec import Chip
from sim.bounds import bounds
from sim.cache import Cache
from sim.core import Kernel
from sim.errors import SimulationError
from sim.machine import Machine
from sim.result import Result
from workloads.trace import Trace, count_macs

Before = Literal["cold", "dirty", "warm"]
BEFORE: tuple[Before, ...] = ("cold", "dirty", "warm")


def simulate(chip: Chip, trace: Trace, before: Before | Trace = "cold", intervals: bool = False) -> Result:
    """Run `trace` on `chip` and say what happened.

    `before` is the state of the caches: "cold" (nothing of use in them), "dirty" (full of lines that have to be written
    back first), "warm" (the same trace ran just before), or a trace that ran just before. With `intervals`, the result
    tells what each program did when. Raises SimulationError if the trace does not fit the chip.
    """
    if isinstance(before, str) and before not in BEFORE:
        raise SimulationError(f"before '{before}' is none of {', '.join(BEFORE)}; or pass a trace")
    footprint = sum(tensor.bytes for tensor in trace.tensors)
    if footprint > chip.dram.capacity:
        raise SimulationError(
            f"{trace.name} needs {footprint} bytes of memory, {chip.name} has {chip.dram.capacity} in "
            f"{chip.dram.name}; lower shape.kv_len or shape.batch, or use a smaller dtype"
        )
    machine = Machine(chip, trace)
    if before == "dirty":
        for level in machine.levels:
            if isinstance(level, Cache):
                level.fill_with(dirty=True)
    elif before != "cold":
        Kernel(machine, trace if before == "warm" else before, False).run()
        machine.forget()
    kernel = Kernel(machine, trace, intervals)
    time = kernel.run()
    counters = {f"{level.name}.{name}": count for level in machine.levels for name, count in level.counters().items()}
    counters |= {
        "core.programs": kernel.programs,
        "core.tiles": kernel.tiles,
        "core.macs": kernel.macs,
        "core.resident": machine.resident(trace),
    }
    return Result(
        chip=chip.name,
        workload=trace.name,
        time=time,
        counters=counters,
        breakdown=dict(kernel.spent),
        bounds=bounds(chip, trace, before not in ("cold", "dirty")),
        useful_bytes=trace.useful_bytes,
        macs=count_macs(trace),
        dram=chip.dram.name,
        dram_bandwidth=chip.dram.bandwidth,
        cache=chip.cache.name if chip.cache else None,
        intervals=tuple(kernel.intervals) if kernel.intervals is not None else None,
    )
