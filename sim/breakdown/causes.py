"""The causes of a kernel's time, what they come from, and what to change: all from its counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from memgrain.sim.breakdown.changes import KernelRun, change_for
from memgrain.sim.breakdown.words import span

SHARED = "stall.compute"
"""The wait for units that other programs of the core have booked: it belongs to the unit that is booked most."""
UNITS = ("matmul", "vector", "issue")
FULL = 0.9
"""Share of the time before merging from which on a resource is busy nearly all of it."""
HIDDEN = ("in_flight", "index", "latency")
"""Waits that more outstanding loads would hide until another limit is reached; that limit gets the rest of the wait."""


@dataclass(frozen=True)
class Cause:
    """One thing that takes time."""

    time: int
    """Mean time of a slot that it takes, in ps."""
    gain: int
    """Most that the kernel would save, in ps, if it took no time: at most its own part, and the kernel's time stays at
    least the largest of the other limits."""
    facts: str
    """What it comes from."""
    change: str
    """What to change."""
    saves: int
    """Time that this change saves, in ps, unless another limit is reached; 0 where the counters give no figure."""

    def __str__(self) -> str:
        """As people read it."""
        saves = f" (saves about {span(self.saves)})" if self.saves else ""
        return f"{self.facts}; {self.change}{saves}"


def causes(run: KernelRun) -> dict[str, Cause]:
    """Causes by name, from the largest gain on. A resource that is busy nearly all the time comes first, even if
    another one is about as busy."""
    parts = Counter[str]()
    for part, spent in run.breakdown.items():
        name = part.removeprefix("stall.")
        if part == SHARED:
            name = max(UNITS, key=lambda unit: run.limits.get(unit, 0))
        hidden = min(spent, run.room({name})) if name in HIDDEN else spent
        parts[name] += hidden
        parts[run.largest({name})] += spent - hidden
    found = _ordered({name: _cause(run, name, spent) for name, spent in parts.items() if spent})
    full = run.largest(set())
    if run.limits.get(full, 0) >= FULL * (run.time - run.merge):
        return {full: found.get(full, _cause(run, full, 0)), **found}
    return found


def causes_together(kernels: Sequence[tuple[str, Mapping[str, Cause]]]) -> dict[str, Cause]:
    """The causes of kernels that ran one after the other: times add, sentences are those of the kernel where the cause
    has the largest gain."""
    found: dict[str, Cause] = {}
    for name in dict.fromkeys(name for _, those in kernels for name in those):
        parts = [(kernel, those[name]) for kernel, those in kernels if name in those]
        kernel, largest = max(parts, key=lambda part: part[1].gain)
        time, gain = sum(part.time for _, part in parts), sum(part.gain for _, part in parts)
        found[name] = replace(largest, time=time, gain=gain, facts=f"in {kernel}: {largest.facts}")
    return _ordered(found)


def _ordered(found: Mapping[str, Cause]) -> dict[str, Cause]:
    return dict(sorted(found.items(), key=lambda item: (-item[1].gain, item[0])))


def _cause(run: KernelRun, name: str, spent: int) -> Cause:
    facts, change, saves, relieved = change_for(run, name, spent)
    gain = spent if name == "launch" else min(spent, run.room({name, *relieved}))
    if name == "idle":
        gain = min(spent, run.merge_idle + min(spent - run.merge_idle, run.room({name})))
    return Cause(spent, gain, facts, change, min(gain, saves))
