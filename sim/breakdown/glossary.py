"""Names in a result and what they mean: parts of the time, bounds and limits, counters."""

from __future__ import annotations

from typing import NamedTuple

from memgrain.hwmodels.main_memory import Dram
from memgrain.hwmodels.spec import Cache, Chip, Core, Level, Link, Scratchpad
from memgrain.sim.breakdown.terms import TERMS
from memgrain.sim.levels.machine import PORT, SCORES


class Meaning(NamedTuple):
    """What a name in a result means."""

    sentence: str
    """What it is."""
    change: str = ""
    """What to change if it takes much time."""


CAUSE_MEANINGS = {
    "launch": Meaning(
        "From the launch until the first program runs: the chip's launch_overhead (with mixed_launch for a kernel on "
        "separate matrix and vector cores), or its barrier behind another kernel, and what the kernel's code adds.",
        "More work in a launch (shape.batch), or kernels joined into one sequence.",
    ),
    "start": Meaning(
        "Programs wait to be started: one after the other where the chip has `dispatch`, program_start after the one "
        "before in their slot otherwise.",
        "Fewer, longer programs: fewer splits (tiling.splits), larger tiles of queries (tiling.block_q).",
    ),
    "matmul": Meaning(
        "Products on the matrix unit, padding included. As a limit: multiply-accumulates executed at the unit's rate.",
        "Fuller tiles where `padding` is large; a faster dtype; fewer products.",
    ),
    "vector": Meaning(
        "Exponentials and elementwise operations of the softmax, as far as they are not beside the products.",
        "Fewer scores; a faster vector unit.",
    ),
    "code": Meaning(
        "Instructions of a step beside its products and exponentials, one after the other, as the kernel's step_cycles "
        "and once_cycles say.",
        "Fewer steps of more keys (tiling.block_kv), or more programs on a core (tiling.resident).",
    ),
    "issue": Meaning(
        "Issue slots of a core, which all of its programs share: the cycles that steps and programs take of them.",
        "Fewer steps of more keys (tiling.block_kv).",
    ),
    "compute": Meaning(
        "A step waits for units or issue slots that other programs of its core have booked; the bottleneck counts it "
        "with the unit that is booked most.",
        "Less work for that unit: see matmul, vector and issue.",
    ),
    "idle": Meaning(
        "Slots for programs have none: too few programs, a last wave that fills a part of them, programs of "
        "different lengths, splits that are being merged, stores at the end.",
        "A number of programs that fills whole waves of slots (tiling.splits); fewer splits if merging takes long.",
    ),
    "latency": Meaning(
        "A load is under way and no queue explains most of its time: it is the latency of memory or cache.",
        "More loads ahead (tiling.stages, tiling.resident) or larger tiles (tiling.block_kv).",
    ),
    "index": Meaning(
        "Rows wait for the index list or the block table that names them.",
        "Shorter lists (larger selection.unit or layout.page), more programs on a core (tiling.resident).",
    ),
    "in_flight": Meaning(
        "A core has as many bytes under way as it may (max_bytes_in_flight), and what it waits for is only latency. "
        "As a limit: bytes loaded x latency / bytes under way (Little's law).",
        "More bytes in flight on the chip; rows aligned to its DMA requests, which count whole; less latency.",
    ),
    "dma_commands": Meaning(
        "Loads or scores wait while a DMA engine starts the commands before them, one each dma_startup, and works off "
        "rows that take it dma_row, dma_merge or pieces of split_writes. As a limit: that time / engines.",
        "Fewer, larger commands: wider rows (selection.unit, layout.page, head dimension) or tiles (tiling.block_kv).",
    ),
    "store": Meaning(
        "A program whose copies are synchronous waits until its store is in the first level that keeps it: a "
        "write-back cache, or the memory where there is none.",
        "Stores that run beside the next loads; fewer bytes stored.",
    ),
    "exchange": Meaning(
        "A step waits until its scores have crossed from the matrix to the vector cores and probabilities have come "
        "back.",
        "Fewer steps of more keys (tiling.block_kv).",
    ),
    "barrier": Meaning(
        "Programs that merge splits wait until the last program before them has ended.",
        "Shares of one length, or no splits (tiling.splits=1).",
    ),
}
"""Causes that are no level, by name; `stall.` may stand before those that are waits."""

_KINDS: dict[type, Meaning] = {
    Dram: Meaning(
        "Waits for banks and buses of the memory. As a bound: bytes that must come from it at its peak; as a limit: "
        "bytes that came and went.",
        "Fewer bytes; whole granules; longer pieces where few accesses find their row open (dram_row_hit_rate).",
    ),
    Cache: Meaning(
        "Waits for slices of the cache. As a bound and as a limit: its bytes at the bandwidth of all slices.",
        "Larger tiles of queries (tiling.block_q), so that fewer programs read the same.",
    ),
    Link: Meaning(
        "Waits for a link that all traffic of a core, a cluster or the chip crosses. As a limit: bytes that crossed at "
        "the bandwidth of all links.",
        "Fewer bytes, or work spread over more cores.",
    ),
    Scratchpad: Meaning(
        "Waits for banks of the scratchpad, rows being rounded up to its alignment; the wait for its DMA engines is "
        "dma_commands. As a limit: rounded bytes at the bandwidth of all banks.",
        "Rows that are multiples of the alignment.",
    ),
}
_OF_CORE = {
    "programs": "Programs that ran, those that merge splits included.",
    "merging": "Programs behind a barrier: those that merge splits.",
    "merge_ps": "Time from the last barrier on, in ps.",
    "tiles": "Loads: tiles and index lists.",
    "macs": "Multiply-accumulates that the algorithm needs, whatever kernel computes it.",
    "exps": "Exponentials that the algorithm needs.",
    "issued_macs": "Multiply-accumulates executed: padding by kernel and chip included.",
    "issued_exps": "Exponentials executed: those of padded rows and tiles included.",
    "resident": "Programs that a core holds at a time.",
    "flight_bytes": "Bytes in flight for which loads counted: whole requests.",
    "flight_byte_ns": "Those bytes x nanoseconds from request to arrival; over time and cores: mean bytes in flight.",
    "oversize_bytes": "Those bytes that came in loads of more than a core may have under way.",
    "issue_ps": "Time of issue slots that the kernel's code took on all cores, in ps.",
}
_OF_LEVEL = {
    "accesses": "Bursts of the DRAM, read and written.",
    "activates": "Rows opened.",
    "row_hits": "Accesses that found their row open or pending.",
    "row_misses": "Accesses that found no row open in their bank.",
    "row_conflicts": "Accesses that found another row open in their bank.",
    "refreshes": "Refreshes of banks or ranks.",
    "hits": "Read requests that the cache answered.",
    "read_hits": "Read requests answered by the core's own partition.",
    "far_hits": "Read requests answered by another partition.",
    "misses": "Granules fetched from the level below.",
    "first_bytes": "Bytes that the cache fetched for the first time.",
    "repeated_bytes": "Bytes that it fetched again, having lost them.",
    "write_hits": "Writes to lines that were there.",
    "write_misses": "Writes to lines that were not there.",
    "writebacks": "Dirty granules written to the level below.",
    "evictions": "Lines that made room for others.",
    "sector_lookups": "Sectors looked up.",
    "sector_hits": "Sectors that were there.",
    "read_bytes": "Bytes read from the level.",
    "write_bytes": "Bytes written to the level.",
    "bytes": "Bytes that crossed the level.",
    "written_bytes": "Bytes that crossed the link towards the memory.",
    "moved_bytes": "Bytes moved with rows rounded up to the alignment.",
    "commands": "Transfers that are a command of their own to a DMA engine: rows at a regular distance, or a gathered "
    "row.",
    "write_commands": "Those of them that write to memory.",
    "command_bytes": "Bytes that the commands move.",
    "fewest_commands": "Commands that would do if the rows of each load lay at one regular distance.",
}


def meaning(name: str, chip: Chip) -> Meaning | None:
    """What a name in a result of a chip means: a part of the time, a bound, a limit, a level or a counter; or a term.
    None if the chip has none of that name."""
    plain = name
    for prefix in ("time.", "bound.", "limit."):
        if name.startswith(prefix):
            plain = name.removeprefix(prefix).removesuffix("_us")
    cause = plain.removeprefix("stall.")
    levels = _levels(chip)
    if cause in CAUSE_MEANINGS:
        return CAUSE_MEANINGS[cause]
    if name in TERMS:
        return Meaning(TERMS[name])
    if cause in levels:
        return _KINDS[levels[cause]]
    first, *rest = name.split(".")
    if first == "core" and len(rest) == 1 and rest[0] in _OF_CORE:
        return Meaning(_OF_CORE[rest[0]])
    if len(rest) == 3 and rest[1] == "evicted_by":
        return Meaning(f"Lines of tensor {rest[0]} that made room for {rest[2]}.")
    if first not in levels or not rest or rest[-1] not in _OF_LEVEL:
        return None
    sentence = _OF_LEVEL[rest[-1]]
    owner = "scores between matrix and vector cores" if rest[0] == SCORES else f"tensor {rest[0]}"
    return Meaning(sentence if len(rest) == 1 else f"{sentence} Of {owner}.")


def _levels(chip: Chip) -> dict[str, type]:
    """The kind of each level of a chip by name, ports of its cores included."""
    found: dict[str, type] = {}
    for core in chip.cores:
        found |= {level.name: type(level) for level in core.near}
        found[_port(chip, core)] = Link
    shared: list[Level] = list(chip.memory)
    return found | {level.name: type(level) for level in shared}


def _port(chip: Chip, core: Core) -> str:
    return PORT if core is chip.matmul_core else f"{core.name}_{PORT}"
