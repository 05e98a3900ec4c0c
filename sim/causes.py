"""What the time of a kernel went to, what that comes from, and what to change: all from its counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sim.cache import Cache
from sim.census import COMMANDS, Census
from sim.level import PS
from sim.limits import COMMANDS as DMA
from sim.limits import commands_time, latency
from sim.link import Link
from sim.machine import Machine
from sim.scratchpad import Scratchpad
from sim.words import many, rate, size, span
from workloads.trace import Trace

SHARED = "stall.compute"
"""The wait for units that other programs of the core have booked: it belongs to the unit that is booked most."""
UNITS = ("matmul", "vector", "issue")


@dataclass(frozen=True)
class Cause:
    """One thing that takes time."""

    time: int
    """What the mean place for programs spends on it, in ps."""
    gain: int
    """What the kernel would save, in ps, at most, if it took no time: no more than its part, and never below what the
    other limits need."""
    facts: str
    """What it comes from."""
    change: str
    """What to change."""
    saves: int
    """What that change saves at most, in ps; 0 where no figure follows from the counters."""

    def __str__(self) -> str:
        """As people read it."""
        saves = f" (saves up to {span(self.saves)})" if self.saves else ""
        return f"{self.facts}; {self.change}{saves}"


@dataclass(frozen=True)
class Run:
    """A kernel that has run, as far as causes follow from it."""

    machine: Machine
    """What it ran on."""
    trace: Trace
    """What ran."""
    census: Census
    """What its programs look like."""
    macs: int
    """Multiply-accumulates that the algorithm needs."""
    counters: Mapping[str, int]
    """See `Result`."""
    breakdown: Mapping[str, int]
    """See `Result`."""
    limits: Mapping[str, int]
    """See `Result`."""
    time: int
    """In ps."""

    @property
    def places(self) -> int:
        """Places for programs on all cores."""
        return self.counters["core.resident"] * self.machine.core.count

    def share(self, name: str) -> str:
        """A limit as a share of the time."""
        return f"{self.limits.get(name, 0) / self.time:.0%}"


def causes(run: Run) -> dict[str, Cause]:
    """Causes by name, those that would give back most first."""
    parts: dict[str, int] = {}
    for part, spent in run.breakdown.items():
        name = part.removeprefix("stall.")
        if part == SHARED:
            name = max(UNITS, key=lambda unit: run.limits.get(unit, 0))
        parts[name] = parts.get(name, 0) + spent
    found = {name: _cause(run, name, spent) for name, spent in parts.items() if spent}
    return _ordered(found)


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


def _cause(run: Run, name: str, spent: int) -> Cause:
    gain = spent
    if name != "launch":
        others = [limit for other, limit in run.limits.items() if other not in (name, "launch")]
        gain = max(0, min(spent, run.time - run.breakdown["launch"] - max(others, default=0)))
    facts, change, saves = _texts(run, name, spent)
    return Cause(spent, gain, facts, change, min(gain, saves))


def _texts(run: Run, name: str, spent: int) -> tuple[str, str, int]:
    """Facts, change, and what it saves at most."""
    write = _TEXTS.get(name)
    if write is not None:
        return write(run, spent)
    level = next(level for level in run.machine.levels if level.name == name)
    if name == run.machine.chip.dram.name:
        return _dram(run, spent)
    if isinstance(level, Cache):
        return _cache(run, level, spent)
    if isinstance(level, Link):
        return _port(run, level, spent)
    assert isinstance(level, Scratchpad)
    return _banks(run, level, spent)


def _dram(run: Run, spent: int) -> tuple[str, str, int]:
    dram = run.machine.chip.dram
    read, useful = run.counters[f"{dram.name}.read_bytes"], run.trace.useful_bytes + run.trace.index_bytes
    facts = f"{size(read)} read at {run.share(dram.name)} of the peak of {rate(dram.bandwidth)}"
    granule = run.machine.chip.cache.fill_granule if run.machine.chip.cache else dram.smallest_access
    if useful and read > 1.1 * useful:
        change = f"{read / useful:.3g} bytes come for each that is needed: whole granules of {granule} B, read once"
        return facts, change, int(run.limits.get(dram.name, 0) * (1 - useful / read))
    hits = run.counters[f"{dram.name}.row_hits"] / max(1, run.counters[f"{dram.name}.accesses"])
    if run.limits.get(dram.name, 0) < 0.6 * run.time and hits < 0.6:
        return facts, f"only {hits:.0%} of its accesses find their row open: longer pieces", 0
    return facts, "fewer bytes: a smaller dtype, fewer key/value heads, fewer tokens read", 0


def _cache(run: Run, level: Cache, spent: int) -> tuple[str, str, int]:
    moved = run.counters[f"{level.name}.read_bytes"] + run.counters[f"{level.name}.write_bytes"]
    facts = f"{size(moved)} at {run.share(level.name)} of the {rate(level.spec.bandwidth * level.number)} of its slices"
    return facts, "read it less often: larger tiles of queries (tiling.block_q), more shared by a core", 0


def _port(run: Run, level: Link, spent: int) -> tuple[str, str, int]:
    (bandwidth, ways), _ = level.ways
    moved = run.counters[f"{level.name}.bytes"]
    facts = f"{size(moved)} through {many(len(ways), 'link')} of {rate(bandwidth)}, {run.share(level.name)} busy"
    return facts, "fewer bytes a core: larger tiles of queries (tiling.block_q), or work spread over more cores", 0


def _banks(run: Run, level: Scratchpad, spent: int) -> tuple[str, str, int]:
    asked, moved = run.counters[f"{level.name}.bytes"], run.counters[f"{level.name}.moved_bytes"]
    facts = f"{size(moved)} into {many(len(level.banks_free), 'scratchpad')} of {rate(level.spec.bandwidth)}, "
    facts += f"{run.share(level.name)} busy"
    if moved > 1.1 * asked:
        saved = int(run.limits[level.name] * (1 - asked / moved))
        return facts, f"{1 - asked / moved:.0%} of it pads rows to {level.granule} B: rows that are multiples", saved
    return facts, "fewer bytes into it", 0


def _dma(run: Run, spent: int) -> tuple[str, str, int]:
    pads = [level for level in run.machine.levels if isinstance(level, Scratchpad) and level.spec.dma_startup]
    pad = max(pads, key=commands_time)
    engines, start = len(pad.banks_free), pad.spec.dma_startup or 0
    reads, writes = pad.commands - pad.write_commands, pad.write_commands
    needed, table = commands_time(pad), run.census.commands
    ours = run.machine.scratchpad is not None and run.machine.scratchpad.name == pad.name
    largest = table[table[:, COMMANDS] == table[:, COMMANDS].max()].sum(axis=0) if len(table) else table.sum(axis=0)
    count, moved, gathered = (int(entry) for entry in largest)
    if not ours or 2 * count < max(reads, writes):
        count, moved, gathered = max(reads, writes), 0, 0
    each = f" of {size(round(moved / count))}" if moved and count else ""
    facts = f"{count:,} commands{each} at {pad.name}, {span(start)} each on {many(engines, 'engine')} = {span(needed)}"
    if 2 * gathered >= count > 0:
        wider = size(2 * round(moved / count))
        change = f"rows of {wider} would halve them (selection.unit, layout.page, wider heads)"
    else:
        change = f"tiles of twice the size would halve them{_twice(run)}"
    return facts, change, needed // 2 * count // max(1, reads, writes)


def _in_flight(run: Run, spent: int) -> tuple[str, str, int]:
    core, time = run.machine.core, latency(run.machine, run.counters)
    most = core.max_bytes_in_flight or 1
    all_of_them = most * core.count * PS // time
    facts = f"{size(most)} a core under way over {span(time)} give {rate(all_of_them)} on {many(core.count, 'core')}"
    pad = run.machine.scratchpad
    asked = run.counters[f"{pad.name}.bytes"] if pad is not None else 0
    counted = run.counters["core.flight_bytes"]
    if pad is not None and pad.requests is not None and counted > 1.2 * asked:
        whole = f"each request counts as {pad.requests.largest} B"
        return (
            facts,
            f"{whole}: rows aligned to that would need {1 - asked / counted:.0%} less",
            int(spent * (1 - asked / counted)),
        )
    return facts, f"{core.name}.max_bytes_in_flight={size(2 * most)} would double that", spent // 2


def _latency(run: Run, spent: int) -> tuple[str, str, int]:
    core, loads = run.machine.core, max(1, run.counters["core.flight_bytes"])
    mean = run.counters["core.flight_byte_ns"] * 1000 // (run.time * core.count)
    took = run.counters["core.flight_byte_ns"] * 1000 // loads
    facts = f"a load takes {span(took)}, and a core has {size(mean)} of {size(core.max_bytes_in_flight or 1)} under way"
    return facts, f"more loads ahead (tiling.stages={2 * run.trace.stages}) or larger tiles (tiling.block_kv)", 0


def _exchange(run: Run, spent: int) -> tuple[str, str, int]:
    way = run.machine.chip.memory[0].name if run.machine.chip.exchange == "memory" else "the vector cores' ports"
    facts = f"each step's tile of {run.census.columns} keys waits for its scores to cross {way} and come back"
    return facts, f"half as many steps{_twice(run)}", spent // 2


def _idle(run: Run, spent: int) -> tuple[str, str, int]:
    main, places, merging = run.census.main, run.places, run.counters["core.merging"]
    merge = run.counters["core.merge_ps"] * max(0, places - merging) // places
    if 2 * merge > spent:
        alone = span(run.counters["core.merge_ps"])
        facts = f"{merging:,} programs that merge splits run on {places:,} places, {alone} at the end"
        return facts, f"fewer splits (tiling.splits={max(1, run.census.splits // 2)})", spent // 2
    waves = main / places
    facts = f"{many(main, 'program')} on {places:,} places ({run.machine.core.count} cores x "
    facts += f"{run.counters['core.resident']}) are {waves:.3g} waves"
    splits = run.census.splits
    best, full = _splits(len(run.census.heads), splits, places) if merging or splits == 1 else (splits, 0.0)
    if best != run.census.splits:
        ideal = spent - int((run.time - run.breakdown["launch"]) * (1 - full))
        return facts, f"tiling.splits={best} would fill {full:.0%} of them", max(0, ideal)
    return facts, "programs of one length, or more and shorter ones (tiling.splits, tiling.block_q)", 0


def _splits(rows: int, splits: int, places: int) -> tuple[int, float]:
    """Splits near `splits` at which `rows` rows of programs fill whole waves of `places` best, and how full; these
    themselves unless others fill a tenth more."""

    def full(number: int) -> float:
        waves = rows * number / places
        return waves / -(-rows * number // places)

    most = max(4 * splits, -(-places // max(1, rows)))
    best = max(range(1, most + 1), key=lambda number: (round(full(number), 2), -abs(number - splits)))
    return (best, full(best)) if full(best) > full(splits) + 0.1 else (splits, full(splits))


def _launch(run: Run, spent: int) -> tuple[str, str, int]:
    facts = f"{span(spent)} of {span(run.time)} pass before the first program runs"
    return facts, "more work in a launch (shape.batch), or kernels joined", 0


def _start(run: Run, spent: int) -> tuple[str, str, int]:
    chip, core = run.machine.chip, run.machine.core
    facts = f"{many(run.counters['core.programs'], 'program')} on {run.places:,} places start "
    if chip.dispatch:
        facts += f"one by one, {span(chip.dispatch)} apart"
    else:
        facts += f"{span(core.program_start or 0)} after one another"
    return facts, "fewer, longer programs (tiling.splits, tiling.block_q)", spent // 2


def _barrier(run: Run, spent: int) -> tuple[str, str, int]:
    merging = run.counters["core.merging"]
    facts = f"{many(merging, 'program')} wait until the last of {run.census.main:,} before them has ended"
    return facts, "shares of one length, or no splits (tiling.splits=1)", 0


def _index(run: Run, spent: int) -> tuple[str, str, int]:
    facts = f"rows are asked for when their index list is there, which is asked for {run.trace.lists_ahead} steps ahead"
    return facts, "shorter lists (a larger selection.unit or layout.page), or more programs a core (tiling.resident)", 0


def _matmul(run: Run, spent: int) -> tuple[str, str, int]:
    macs, tile = run.counters["core.macs"], run.machine.units.tile
    peak = run.machine.units.macs_per_second * run.machine.chip.matmul_core.count
    facts = f"{macs / 1e9:,.3g} G multiply-accumulates at {run.share('matmul')} of the peak of {peak / 1e12:,.3g} T/s"
    if macs > 1.1 * run.macs:
        facts += f", {1 - run.macs / macs:.0%} of them padding to {tile.m} x {tile.n} x {tile.k}"
        change = "fuller tiles: more query rows a program (shape.q_len, query heads a key/value head)"
        return facts, change, int(spent * (1 - run.macs / macs))
    return facts, "fewer products, or a faster type (dtype)", 0


def _vector(run: Run, spent: int) -> tuple[str, str, int]:
    facts = f"exponentials and elementwise operations keep the vector unit {run.share('vector')} busy"
    return facts, "a faster vector unit, or fewer scores: fewer tokens read, fewer query heads", 0


def _issue(run: Run, spent: int) -> tuple[str, str, int]:
    facts = f"the kernel's instructions take {run.share('issue')} of the issue slots"
    return facts, f"fewer steps of more keys{_twice(run)}", spent // 2


def _code(run: Run, spent: int) -> tuple[str, str, int]:
    facts = "instructions of a step beside its products and exponentials, one after the other"
    return facts, f"fewer steps of more keys{_twice(run)}, or more programs a core (tiling.resident)", spent // 2


def _twice(run: Run) -> str:
    """The key of a tile of twice the keys, where the kernel has score tiles."""
    return f" (tiling.block_kv={2 * run.census.columns})" if run.census.columns else ""


_TEXTS = {
    DMA: _dma,
    "in_flight": _in_flight,
    "latency": _latency,
    "exchange": _exchange,
    "idle": _idle,
    "launch": _launch,
    "start": _start,
    "barrier": _barrier,
    "index": _index,
    "matmul": _matmul,
    "vector": _vector,
    "issue": _issue,
    "code": _code,
}
