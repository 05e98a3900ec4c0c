"""A run from beginning to end: a chip and traces become a machine, an engine runs it, and its counts a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from memgrain.hwmodels.spec import Chip
from memgrain.sim.breakdown.bounds import bounds, work
from memgrain.sim.breakdown.causes import causes
from memgrain.sim.breakdown.census import BYTES, COMMANDS, FEWEST, Census
from memgrain.sim.breakdown.changes import KernelRun
from memgrain.sim.breakdown.limits import floors, limits
from memgrain.sim.cache.cache import Cache
from memgrain.sim.engine.engine import CompiledEngine
from memgrain.sim.engine_protocol import Engine
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.machine import WORKSPACE, Machine
from memgrain.sim.prefetch.engine import PrefetchEngine, prefetch_engines, watch
from memgrain.sim.prefetch.prefetched import COUNTS
from memgrain.sim.reference.engine import ReferenceEngine
from memgrain.sim.result import Result, together
from memgrain.workloads.steps.prefetch import Prefetch
from memgrain.workloads.trace import Trace

Before = Literal["cold", "dirty", "warm"]
BEFORE: tuple[Before, ...] = ("cold", "dirty", "warm")
Loops = Literal["compiled", "simpy"]
LOOPS: tuple[Loops, ...] = ("compiled", "simpy")
"""The engines: the compiled one, or the reference engine in SimPy, which is slower and gives the same results."""


@dataclass(frozen=True)
class _Options:
    """How kernels are run."""

    loop: Loops
    """The engine."""
    intervals: bool
    """Whether the result has the activities of all programs."""
    fast_paths: bool
    """Whether caches take their fast paths."""

    def __post_init__(self) -> None:
        """Raises SimulationError if there is no such engine."""
        if self.loop not in LOOPS:
            raise SimulationError(f"loop '{self.loop}' is none of {', '.join(LOOPS)}; name one of them")

    def engine(
        self, machine: Machine, trace: Trace, further: bool = False, at_work: Sequence[PrefetchEngine] = ()
    ) -> Engine:
        """An engine for a trace on a machine that is prepared for it, with prefetch engines `at_work` beside it."""
        if self.loop == "compiled":
            return CompiledEngine(machine, trace, further)
        return ReferenceEngine(machine, trace, self.intervals, further, at_work)


def simulate(
    chip: Chip,
    trace: Trace,
    before: Before | Trace = "cold",
    intervals: bool = False,
    loop: Loops = "compiled",
    *,
    fast_paths: bool = True,
) -> Result:
    """Run `trace` on `chip`; returns what happened.

    `before` is the state of the caches: "cold" (nothing of use in them), "dirty" (full of lines that have to be written
    back first), "warm" (the same trace ran just before), or a trace that ran just before. With `intervals`, the result
    says what each program did when. `loop` is one of LOOPS; "simpy" is the reference engine, which alone records
    intervals. With `fast_paths` off, caches look up every line by itself, which changes no count and no time, see
    `memgrain.sim.cache.fast`. Raises SimulationError if the trace does not fit the chip.
    """
    options = _Options("simpy" if intervals else loop, intervals, fast_paths)
    if isinstance(before, Trace):
        _check(chip, trace)
        machine = Machine(chip, trace, fast_paths=fast_paths)
        options.engine(machine, before).run()
        machine.forget()
        return _run(machine, trace, options, warm=True)
    return _begin(chip, [trace], before, options)[0]


def simulate_sequence(
    chip: Chip,
    traces: Sequence[Trace],
    before: Before = "cold",
    intervals: bool = False,
    name: str = "sequence",
    prefetch: Sequence[Prefetch] = (),
    following: bool = False,
    loop: Loops = "compiled",
    *,
    fast_paths: bool = True,
) -> Result:
    """Run kernels one after the other, as a graph of launches does; returns what happened in all and in each.

    Each begins when the one before has ended, costs the chip's `barrier` (where it has one) in place of a launch, and
    finds the caches as that left them, lines to be written back included. `traces` lie in one memory, as
    `workloads.in_one_memory` gives them; with `following`, other kernels ran before the first; "warm" means that the
    whole sequence ran just before, without prefetch. Each `prefetch` has an engine of its own, which works beside the
    kernels on the levels below the cores' ports (into scratchpads: through the ports); the result then counts what
    became of it as `prefetch.bytes` and so on, see `memgrain.sim.prefetch.prefetched.COUNTS`. `loop`
    and `fast_paths` are those of `simulate`; only the reference engine records intervals and simulates prefetch. Raises
    SimulationError if there is no trace, if their tensors differ, or if a trace or a prefetch does not fit the chip.
    """
    if not traces:
        raise SimulationError("no kernel to run in sequence; give one at least")
    if any(trace.tensors != traces[0].tensors for trace in traces):
        raise SimulationError("the kernels of a sequence have tensors of their own; pass what in_one_memory returns")
    options = _Options("simpy" if intervals or prefetch else loop, intervals, fast_paths)
    return together(name, _begin(chip, traces, before, options, prefetch, following))


def _begin(
    chip: Chip,
    traces: Sequence[Trace],
    before: Before,
    options: _Options,
    prefetch: Sequence[Prefetch] = (),
    following: bool = False,
) -> tuple[Result, ...]:
    """Run the traces on caches in the state `before`, the first behind other kernels if it is `following`."""
    if before not in BEFORE:
        raise SimulationError(f"before '{before}' is none of {', '.join(BEFORE)}; or pass a trace")
    for trace in traces:
        _check(chip, trace)
    machine = Machine(chip, traces[0], bool(prefetch), fast_paths=options.fast_paths)
    if before == "dirty":
        for level in machine.levels:
            if isinstance(level, Cache):
                level.fill_with(dirty=True)
    elif before == "warm":
        for trace in traces:
            machine.prepare(trace)
            options.engine(machine, trace).run()
            machine.forget()
    every = prefetch_engines(machine, traces, prefetch, _beside(chip, traces)) if prefetch else []
    found = []
    for number, trace in enumerate(traces):
        machine.prepare(trace)
        for engine in every:
            if engine.prefetch.kernel == number:
                watch(engine, machine, trace)
        at_work = [engine for engine in every if engine.concerns(number)]
        warm, further = before == "warm" or number > 0, following or number > 0
        result = _run(machine, trace, options, warm, further, at_work)
        found.append(replace(result, counters=result.counters | _prefetched(every)) if every else result)
        machine.forget()
    return tuple(found)


def _beside(chip: Chip, traces: Sequence[Trace]) -> int:
    """First address beyond all tensors and the workspaces for scores."""
    core = chip.matmul_core
    end = max((tensor.base + tensor.bytes for tensor in traces[0].tensors), default=0)
    return -(-end // WORKSPACE) * WORKSPACE + (core.count * (core.max_programs or 1) + 1) * WORKSPACE


def _prefetched(every: Sequence[PrefetchEngine]) -> dict[str, int]:
    """The sums of all engines' counters over a kernel; clears the counters."""
    found = {f"prefetch.{name}": sum(engine.counts[name] for engine in every) for name in COUNTS}
    for engine in every:
        engine.counts.clear()
    return found


def _check(chip: Chip, trace: Trace) -> None:
    """Raise SimulationError if these are no chip and no trace, or the memory does not hold the tensors."""
    for given, kind, mend in ((chip, Chip, "load_chip(NAME)"), (trace, Trace, "traces(CHIP, WORKLOAD)")):
        if not isinstance(given, kind):
            raise SimulationError(
                f"simulate takes a {kind.__name__}, not a {type(given).__name__}; give memgrain.{mend}, or call "
                "memgrain.run(CHIP, WORKLOAD)"
            )
    footprint = sum(tensor.bytes for tensor in trace.tensors)
    if footprint > chip.dram.capacity:
        raise SimulationError(
            f"{trace.name} needs {footprint} bytes of memory, {chip.name} has {chip.dram.capacity} in "
            f"{chip.dram.name}; lower shape.kv_len or shape.batch, or use a smaller dtype"
        )


def _run(
    machine: Machine,
    trace: Trace,
    options: _Options,
    warm: bool,
    further: bool = False,
    at_work: Sequence[PrefetchEngine] = (),
) -> Result:
    """Run a trace on a machine that is prepared for it, with prefetch engines `at_work` beside it."""
    chip = machine.chip
    ran = options.engine(machine, trace, further, at_work).run()
    counters = {f"{level.name}.{name}": count for level in machine.levels for name, count in level.counters().items()}
    macs, exps = work(trace, ran.counts)
    counters |= {
        "core.programs": ran.programs,
        "core.tiles": ran.tiles,
        "core.macs": macs,
        "core.exps": exps,
        "core.issued_macs": ran.macs,
        "core.issued_exps": ran.counts.issued_exps,
        "core.flight_bytes": ran.flight_bytes,
        "core.flight_byte_ns": ran.flight_byte_ns,
        "core.oversize_bytes": ran.oversize_bytes,
        "core.issue_ps": ran.issue_time,
        "core.merging": ran.merging,
        "core.merge_ps": ran.merge_time,
        "core.resident": machine.resident(trace),
    }
    counters |= _commands(machine, trace, ran.census)
    found = limits(machine, trace, ran.counts, counters, ran.breakdown["launch"], ran.time)
    kernel = KernelRun(machine, trace, ran.census, macs, counters, ran.breakdown, found, ran.time)
    return Result(
        chip=chip.name,
        workload=trace.name,
        time=ran.time,
        counters=counters,
        breakdown=ran.breakdown,
        bounds=bounds(chip, trace, ran.counts, warm, floors(machine, trace, ran.launch)),
        limits=found,
        causes=causes(kernel),
        useful_bytes=trace.useful_bytes,
        macs=macs,
        dram=chip.dram.name,
        dram_bandwidth=chip.dram.bandwidth,
        cache=chip.cache.name if chip.cache else None,
        intervals=ran.intervals,
    )


def _commands(machine: Machine, trace: Trace, census: Census) -> dict[str, int]:
    """DMA commands of each tensor, the bytes that they move, and the commands that would do if the rows of a run lay
    at one distance, as counters of the scratchpad that they fill."""
    found, pad = dict[str, int](), machine.scratchpad
    for tensor, entries in zip(trace.tensors, census.commands.tolist(), strict=True):
        if pad is not None and entries[COMMANDS]:
            found[f"{pad.name}.{tensor.name}.commands"] = entries[COMMANDS]
            found[f"{pad.name}.{tensor.name}.command_bytes"] = entries[BYTES]
            found[f"{pad.name}.{tensor.name}.fewest_commands"] = entries[FEWEST]
    return found
