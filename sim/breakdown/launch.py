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
    return chip.launch_overhead if not further or chip.barrier is None else chip.barrier


def break_down(
    launch: int, trace: Trace, core: Core, launched: int, spent: Mapping[str, int], slots: int, end: int
) -> dict[str, int]:
    """Where the time went, in ps: `launch`, with the time that the kernel's code adds to it for `launched` programs;
    for each cause in `spent` the mean over all `slots`; and `idle`, the rest of `end`."""
    own, each = trace.launch_cycles
    busy = {what: time // slots for what, time in sorted(spent.items())}
    code = (own + each * launched) * PS // core.clock
    return {"launch": launch + code, **busy, "idle": end - sum(busy.values())}
