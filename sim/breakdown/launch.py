"""The cost of a kernel's launch, and the breakdown of a kernel's time."""

from __future__ import annotations

from collections.abc import Mapping

from memgrain.hwmodels.spec import Chip, Core
from memgrain.sim.levels.level import PS
from memgrain.workloads.trace import Trace


def launch_time(chip: Chip, trace: Trace, further: bool) -> int:
    """Time in ps to launch a kernel, without its own code. A `further` kernel of a sequence, or one that belongs to the
    kernel before it, costs the chip's barrier."""
    if trace.joined:
        return chip.barrier or 0
    if further and chip.barrier is not None:
        return chip.barrier
    return chip.launch_overhead + ((chip.mixed_launch or 0) if trace.mixed else 0)


def dispatch_time(chip: Chip, trace: Trace) -> int:
    """Time in ps between the starts of two programs; 0 for a kernel that belongs to the one before it, whose programs
    were started with that one."""
    return 0 if trace.joined else chip.dispatch or 0


def break_down(
    launch: int, trace: Trace, core: Core, launched: int, spent: Mapping[str, int], slots: int, end: int
) -> dict[str, int]:
    """Where the time went, in ps: `launch`, with the time that the kernel's code adds to it for `launched` programs;
    for each cause in `spent` the mean over all `slots`; and `idle`, the rest of `end`."""
    own, each = trace.launch_cycles
    busy = {what: time // slots for what, time in sorted(spent.items())}
    code = (own + each * launched) * PS // core.clock
    return {"launch": launch + code, **busy, "idle": end - sum(busy.values())}
