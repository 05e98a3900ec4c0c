"""The changes: the overrides of chip or workload that each one sets, and the direction in which physics lets the time
move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from memgrain.hwmodels import Chip
from memgrain.hwmodels.spec import Scratchpad
from memgrain.inputs.quantities import format_bandwidth, format_bytes, format_duration, format_frequency
from memgrain.runs.task import Point, attention_of, budget
from memgrain.workloads import SparseAttentionStep, attention
from memgrain.workloads.attention import AttentionChunks

FASTER, SLOWER, EITHER = -1, 1, 0
"""Direction in which a change moves the time; EITHER if a gain comes with a cost."""


@dataclass(frozen=True)
class ChangeSettings:
    """Overrides of a change."""

    chip: dict[str, Any] = field(default_factory=dict)
    """Dotted overrides of the chip."""
    workload: dict[str, Any] = field(default_factory=dict)
    """Dotted overrides of the workload."""
    absent: str = ""
    """Reason why the change does not apply; empty if it does."""


@dataclass(frozen=True)
class Change:
    """One change."""

    name: str
    """Description of the change."""
    direction: int
    """FASTER, SLOWER or EITHER."""
    physics: str
    """One sentence on why the time moves in that direction, and when it does not."""
    settings: Callable[[Point], ChangeSettings]
    """Function from a point to the overrides."""


def _twice_bandwidth(point: Point) -> ChangeSettings:
    dram = point.chip.dram
    rate = format_bandwidth(2 * dram.bandwidth)
    return ChangeSettings({f"{dram.name}.bandwidth": rate, f"{dram.name}.channels": 2 * dram.channels})


def _half_cache(point: Point) -> ChangeSettings:
    cache = point.chip.cache
    if cache is None:
        return ChangeSettings(absent="the chip has no data cache")
    return ChangeSettings({f"{cache.name}.capacity": format_bytes(cache.capacity // 2)})


def _twice_cores(point: Point) -> ChangeSettings:
    return ChangeSettings({f"{core.name}.count": 2 * core.count for core in point.chip.cores})


def _twice_latency(point: Point) -> ChangeSettings:
    dram = point.chip.dram
    return ChangeSettings({f"{dram.name}.latency": format_duration(2 * dram.latency)})


def _twice_ways(point: Point) -> ChangeSettings:
    cache = point.chip.cache
    if cache is None:
        return ChangeSettings(absent="the chip has no data cache")
    return ChangeSettings({f"{cache.name}.ways": 2 * cache.ways})


def _half_clock(point: Point) -> ChangeSettings:
    """Halve everything on the core clock: units, scratchpads, and the port to the shared levels."""
    found: dict[str, Any] = {}
    for core in point.chip.cores:
        found[f"{core.name}.clock"] = format_frequency(core.clock / 2)
        found[f"{core.name}.bandwidth"] = format_bandwidth(core.bandwidth / 2)
        if core.write_bandwidth is not None:
            found[f"{core.name}.write_bandwidth"] = format_bandwidth(core.write_bandwidth / 2)
        for pad in core.near:
            if isinstance(pad, Scratchpad):
                found[f"{pad.name}.clock"] = format_frequency(pad.clock / 2)
    return ChangeSettings(found)


def _twice_startup(point: Point) -> ChangeSettings:
    found = {
        f"{pad.name}.dma_startup": format_duration(2 * pad.dma_startup)
        for pad in _scratchpads(point.chip)
        if pad.dma_startup is not None
    }
    return ChangeSettings(found) if found else ChangeSettings(absent="the cores issue their copies themselves")


def _larger_fill(point: Point) -> ChangeSettings:
    cache = point.chip.cache
    if cache is None:
        return ChangeSettings(absent="the chip has no data cache")
    found = {f"{cache.name}.fill_granule": format_bytes(2 * cache.fill_granule)}
    if cache.fill_granule == cache.line:
        found[f"{cache.name}.line"] = format_bytes(2 * cache.line)
    return ChangeSettings(found)


def _more_channels(point: Point) -> ChangeSettings:
    dram = point.chip.dram
    return ChangeSettings({f"{dram.name}.channels": 2 * dram.channels})


def _more_splits(point: Point) -> ChangeSettings:
    attended = attention_of(point.workload)
    if attended is None or attended.phase != "decode":
        return ChangeSettings(absent="only the context of a decode call is split")
    chunks = attention(attended, budget(point.chip)).make_chunks
    assert isinstance(chunks, AttentionChunks)
    prefix = "attention." if isinstance(point.workload, SparseAttentionStep) else ""
    return ChangeSettings(workload={f"{prefix}tiling.splits": 2 * chunks.fitted.splits})


def _scratchpads(chip: Chip) -> Iterator[Scratchpad]:
    """Scratchpads of all core types, and shared ones."""
    for level in [*(level for core in chip.cores for level in core.near), *chip.memory]:
        if isinstance(level, Scratchpad):
            yield level


CHANGES = (
    Change(
        "twice the memory bandwidth",
        FASTER,
        "Twice the channels at the same rate each: what waits for the DRAM's buses waits half as long, latency stays.",
        _twice_bandwidth,
    ),
    Change(
        "half the last cache",
        SLOWER,
        "Only data that are read again miss more; a stream that is read once loses nothing.",
        _half_cache,
    ),
    Change(
        "twice the cores",
        FASTER,
        "Twice the units, ports, DMA engines and bytes in flight; shared levels and the DRAM stay.",
        _twice_cores,
    ),
    Change(
        "twice the memory latency",
        SLOWER,
        "Hidden while enough bytes are in flight; it shows where loads depend on loads and at the ends of programs.",
        _twice_latency,
    ),
    Change(
        "twice the ways",
        EITHER,
        "Fewer conflicts at the same capacity; no effect where misses are compulsory or for lack of capacity.",
        _twice_ways,
    ),
    Change(
        "half the core clock",
        SLOWER,
        "Units, scratchpads and ports take twice as long; shared levels and the DRAM stay.",
        _half_clock,
    ),
    Change(
        "twice the DMA start-up",
        SLOWER,
        "Each command costs twice as long to issue: it shows where commands are small and many.",
        _twice_startup,
    ),
    Change(
        "twice the fill granule",
        EITHER,
        "Rows smaller than the new granule bring bytes that nobody asked for; a stream's rows do not.",
        _larger_fill,
    ),
    Change(
        "twice the channels, same bandwidth",
        EITHER,
        "More banks in parallel, each bus half as fast: random rows gain, streams do not.",
        _more_channels,
    ),
    Change(
        "twice the splits",
        EITHER,
        "More programs fill more cores and cost partial outputs: a gain where cores idle, a loss elsewhere.",
        _more_splits,
    ),
)
"""The ten changes, in the order of the table."""
