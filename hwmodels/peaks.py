"""Pairs of peaks of one chip in which the smaller one bounds the larger one, so that the larger one is never reached.

The loader does not refuse such a chip, since a wider port or a slower cache is a valid experiment. The lines name the
number that does not bind.
"""

from __future__ import annotations

from collections.abc import Iterator

from memgrain.hwmodels.spec import Cache, Chip, Core, DType, Level, Link, Scratchpad
from memgrain.inputs.quantities import format_bandwidth

_WIDTHS: dict[DType, int] = {"fp32": 4, "bf16": 2, "fp16": 2, "fp8": 1, "int8": 1}
"""Bytes of an element."""
ROUNDING = 1.005
"""Ratio up to which two published, rounded peaks count as equal."""


def contradictions(chip: Chip) -> list[str]:
    """One line for each pair of peaks of which one is never reached: both values, and which number to change."""
    return [*_of_ports(chip), *_of_shared(chip), *(line for core in chip.cores for line in _of_core(core))]


def _instances(scope: str, core: Core) -> int:
    """Number of levels of a scope that all cores of a kind have together."""
    return {"core": core.count, "cluster": core.count // core.cores_per_cluster, "chip": 1}[scope]


def _drawn(core: Core, writes: bool = False) -> tuple[int, str]:
    """Bytes per second that all cores of a kind read from the shared levels together, and the name of the number that
    bounds them; `writes` adds the bandwidth of a separate write port."""
    own = core.bandwidth + (core.write_bandwidth or 0 if writes else 0)
    links = [level for level in core.near if isinstance(level, Link)]
    bounds = [(_instances(level.scope, core) * level.bandwidth, f"{level.name}.bandwidth") for level in links]
    return min([(core.count * own, f"{core.name}.bandwidth"), *bounds])


def _carried(level: Level, core: Core) -> int:
    """Bytes per second of all instances of a shared level together."""
    assert isinstance(level, Cache | Link)
    return _instances(level.scope, core) * level.bandwidth


def _of_ports(chip: Chip) -> Iterator[str]:
    """Pairs of a port and a shared level: all ports take less than the DRAM gives, or less than a cache gives."""
    core = max(chip.cores, key=_drawn)
    most, knob = _drawn(core)
    if most < chip.dram.bandwidth:
        what = f"the ports of all {core.count} {core.name} draw"
        yield _line(what, most, f"{chip.dram.name}.bandwidth", chip.dram.bandwidth, knob)
    every = sum(_drawn(core, writes=True)[0] for core in chip.cores)
    for level in chip.memory:
        if isinstance(level, Cache) and _carried(level, chip.matmul_core) > every * ROUNDING:
            carried = _carried(level, chip.matmul_core)
            yield _line("the ports of all cores take", every, f"{level.name}.bandwidth", carried, knob)


def _of_shared(chip: Chip) -> Iterator[str]:
    """Shared levels slower than the DRAM behind them, and slices that give more than a line a cycle."""
    dram, clock = chip.dram, max(core.clock for core in chip.cores)
    for level in chip.memory:
        if not isinstance(level, Cache | Link):
            continue
        carried = _carried(level, chip.matmul_core)
        if carried < dram.bandwidth:
            what, knob = f"{level.name} carries", f"{level.name}.bandwidth"
            yield _line(what, carried, f"{dram.name}.bandwidth", dram.bandwidth, knob)
        if isinstance(level, Cache) and level.bandwidth > level.slices * level.line * clock:
            yield (
                f"{level.name}.bandwidth {format_bandwidth(level.bandwidth)} is more than a line of {level.line} B a "
                f"cycle and slice of {level.slices}, {format_bandwidth(level.slices * level.line * clock)}; lower "
                f"{level.name}.bandwidth or raise {level.name}.slices"
            )


def _of_core(core: Core) -> Iterator[str]:
    """A scratchpad slower than its core's port, and element types that are slower than wider ones."""
    for level in core.near:
        if (
            isinstance(level, Scratchpad)
            and _instances(level.scope, core) * level.bandwidth < core.count * core.bandwidth
        ):
            what = f"the banks of {level.name} take"
            yield _line(what, level.bandwidth, f"{core.name}.bandwidth", core.bandwidth, f"{level.name}.banks")
    rates = core.matmul.macs_per_cycle if core.matmul else {}
    for narrow, rate in rates.items():
        wider = [wide for wide in rates if _WIDTHS[wide] > _WIDTHS[narrow] and rates[wide] > rate]
        if wider:
            yield (
                f"{core.name}.matmul.macs_per_cycle has {rate:g} for {narrow}, but {rates[wider[0]]:g} for the wider "
                f"{wider[0]}; correct one"
            )


def _line(what: str, low: int, name: str, high: int, knob: str) -> str:
    """The line which says that `what` bounds the number `name`."""
    return (
        f"{what} {format_bandwidth(low)} at most, so {name} {format_bandwidth(high)} is never reached; raise {knob} or "
        f"lower {name}"
    )
