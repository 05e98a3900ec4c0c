"""For each cause of lost time: what it comes from in a kernel that has run, and what to change."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

from memgrain.sim.breakdown.census import COMMANDS, GATHERED, Census
from memgrain.sim.breakdown.limits import DMA_COMMANDS, commands_time, load_latency
from memgrain.sim.breakdown.words import many, rate, size, span
from memgrain.sim.cache.cache import Cache
from memgrain.sim.dram.dram import Dram
from memgrain.sim.levels.level import PS
from memgrain.sim.levels.link import Link
from memgrain.sim.levels.machine import Machine
from memgrain.sim.levels.scratchpad import Scratchpad
from memgrain.workloads.trace import Trace


class Advice(NamedTuple):
    """What a cause comes from and what to change."""

    facts: str
    """See `Cause`."""
    change: str
    """See `Cause`."""
    saves: int = 0
    """See `Cause`."""
    relieved: tuple[str, ...] = ()
    """Other limits that the change relieves by as much."""


@dataclass(frozen=True)
class KernelRun:
    """A finished kernel, with the data that its causes are derived from."""

    machine: Machine
    """What it ran on."""
    trace: Trace
    """What ran."""
    census: Census
    """Counts of its programs, DMA commands and score tiles."""
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
    def slots(self) -> int:
        """Slots for programs on all cores."""
        return self.counters["core.resident"] * self.machine.core.count

    @property
    def merge(self) -> int:
        """Time from the last barrier on, in ps, if fewer programs (those that merge splits) follow it than precede
        it."""
        merging = self.counters["core.merging"]
        return self.counters["core.merge_ps"] if merging < self.census.main else 0

    @property
    def merge_idle(self) -> int:
        """Mean idle time of a slot while splits are merged, in ps."""
        share = max(0, self.slots - self.counters["core.merging"]) / self.slots
        return min(self.breakdown["idle"], int(self.merge * share))

    def largest(self, relieved: Set[str]) -> str:
        """Name of the largest limit, without the launch and those in `relieved`."""
        others = {name: limit for name, limit in self.limits.items() if name not in {"launch", *relieved}}
        return max(others, key=lambda name: others[name], default=self.machine.chip.dram.name)

    def room(self, relieved: Set[str]) -> int:
        """Time between launch and merging beyond the largest limit that is not in `relieved`, in ps."""
        needed = self.limits.get(self.largest(relieved), 0)
        return max(0, self.time - self.breakdown["launch"] - self.merge - needed)

    def times(self, needed: int, relieved: Set[str]) -> int:
        """Factor for the tile size: the power of two from 2 to 16 that is at least the ratio of `needed` ps to the
        largest limit that is not in `relieved`, as far as the scratchpad holds such tiles."""
        factor, pad = needed / max(1, self.limits.get(self.largest(relieved), 0)), self.machine.scratchpad
        most = pad.capacity // self.trace.scratchpad_bytes if pad and self.trace.scratchpad_bytes else 16
        return next((power for power in (2, 4, 8) if power >= factor or 2 * power > most), 16)

    def share(self, name: str) -> str:
        """A limit as a share of the time."""
        return f"{self.limits.get(name, 0) / self.time:.0%}"


def change_for(run: KernelRun, name: str, spent: int) -> Advice:
    """Facts, change, and the change's largest saving, for one cause of a kernel's time."""
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


def _dram(run: KernelRun, spent: int) -> Advice:
    dram = run.machine.chip.dram
    read, useful = run.counters[f"{dram.name}.read_bytes"], run.trace.useful_bytes + run.trace.index_bytes
    written = run.counters[f"{dram.name}.write_bytes"]
    moved = read + written
    peak = moved * PS / (dram.bandwidth * run.time)
    facts = f"{size(moved)} at {peak:.0%} of the peak of {rate(dram.bandwidth)}"
    if 5 * written > moved:
        facts += f", {written / moved:.0%} of them written back"
    granule = run.machine.chip.cache.fill_granule if run.machine.chip.cache else dram.smallest_access
    if useful and read > 1.1 * useful:
        change = f"{read / useful:.3g} bytes come for each that is needed: whole granules of {granule} B, read once"
        return Advice(facts, change, int(run.limits.get(dram.name, 0) * (1 - useful / read)))
    hits = run.counters[f"{dram.name}.row_hits"] / max(1, run.counters[f"{dram.name}.accesses"])
    working = 1 - (run.breakdown["launch"] + run.breakdown["idle"]) / run.time
    if peak < 0.6 * working:
        facts += f" while programs wait for it, {hits:.0%} of the accesses with their row open"
        return Advice(facts, "longer pieces, spread over all channels")
    return Advice(facts, "fewer bytes: a smaller dtype, fewer key/value heads, fewer tokens read")


def _cache(run: KernelRun, level: Cache, spent: int) -> Advice:
    moved = run.counters[f"{level.name}.read_bytes"] + run.counters[f"{level.name}.write_bytes"]
    facts = f"{size(moved)} at {run.share(level.name)} of the {rate(level.spec.bandwidth * level.number)} of its slices"
    return Advice(facts, f"read it less often: {_shared(run)}", run.limits[level.name] // 2 if _clusters(run) else 0)


def _port(run: KernelRun, level: Link, spent: int) -> Advice:
    (bandwidth, links), _ = level.directions
    moved = run.counters[f"{level.name}.bytes"]
    facts = f"{size(moved)} through {many(len(links), 'link')} of {rate(bandwidth)}, {run.share(level.name)} busy"
    return Advice(facts, f"fewer bytes a core: {_shared(run)}, or more cores at work")


def _clusters(run: KernelRun) -> bool:
    """Whether one load could serve several cores; programs with splits do not load so."""
    return run.machine.core.multicast > 1 and run.census.splits > 1 and not run.counters["core.merging"]


def _shared(run: KernelRun) -> str:
    """How programs can share what they read."""
    if _clusters(run):
        return "one load for several cores (tiling.cluster=2)"
    fit = f" as far as {run.counters['core.resident']} of them fit a core" if run.counters["core.resident"] > 1 else ""
    return f"programs with more query rows (tiling.block_q){fit}"


def _banks(run: KernelRun, level: Scratchpad, spent: int) -> Advice:
    requested, moved = run.counters[f"{level.name}.bytes"], run.counters[f"{level.name}.moved_bytes"]
    facts = f"{size(moved)} into {many(len(level.banks_free), 'scratchpad')} of {rate(level.spec.bandwidth)}, "
    facts += f"{run.share(level.name)} busy"
    if moved > 1.1 * requested:
        saved = int(run.limits[level.name] * (1 - requested / moved))
        padded = f"{1 - requested / moved:.0%} of it pads rows to {level.granule} B"
        return Advice(facts, f"{padded}: rows that are multiples of that", saved)
    return Advice(facts, "fewer bytes into it")


def _dma(run: KernelRun, spent: int) -> Advice:
    pads = [level for level in run.machine.levels if isinstance(level, Scratchpad) and level.spec.dma_startup]
    pad = max(pads, key=commands_time)
    engines, start = len(pad.banks_free), pad.spec.dma_startup or 0
    reads, writes = pad.commands - pad.write_commands, pad.write_commands
    needed, table = commands_time(pad), run.census.commands
    entries = table if run.machine.scratchpad is not None and run.machine.scratchpad.name == pad.name else table[:0]
    alike = entries[entries[:, COMMANDS] == entries[:, COMMANDS].max(initial=0)]
    count, moved, gathered, fewest = (int(entry) for entry in alike.sum(axis=0))
    facts = f"commands of {span(start)} each on {many(engines, 'engine')} take {span(needed)} of {span(run.time)}"
    times = run.times(needed, {DMA_COMMANDS, "in_flight"})
    tiles = f"tiles of {times} times the size would take {1 / times:.0%} of that{_block(run, times)}"
    if not count or 2 * count < max(reads, writes):
        return Advice(f"{max(reads, writes):,} {pad.name} {facts}", tiles, int(needed * (1 - 1 / times)))
    facts = f"{count:,} of {max(reads, writes):,} {pad.name} commands move {size(round(moved / count))}; {facts}"
    share = count / max(reads, writes)
    if fewest < count:
        facts += f"; rows at one regular distance would need {fewest:,}"
    if 2 * gathered >= count:
        wider = f"rows of {size(2 * round(moved / count))} would halve them"
        return Advice(facts, f"{wider} (selection.unit, layout.page, wider heads)", int(needed * share / 2))
    return Advice(facts, tiles, int(needed * share * (1 - 1 / times)))


def _in_flight(run: KernelRun, spent: int) -> Advice:
    core, time = run.machine.core, load_latency(run.machine, run.counters)
    most = core.max_bytes_in_flight or 1
    all_of_them = most * core.count * PS // time
    facts = f"{size(most)} a core under way over {span(time)} give {rate(all_of_them)} on {many(core.count, 'core')}"
    pad = run.machine.scratchpad
    requested = run.counters[f"{pad.name}.bytes"] if pad is not None else 0
    counted = run.counters["core.flight_bytes"]
    if pad is not None and pad.requests is not None and counted > 1.2 * requested:
        whole = f"each request counts as {pad.requests.largest} B"
        less = 1 - requested / counted
        return Advice(facts, f"{whole}: rows aligned to that would need {less:.0%} less", int(spent * less))
    half = run.limits.get("in_flight", 0) // 2
    saves = max(half, spent - half)
    if run.machine.most_parts:
        saves = min(saves, run.room({"in_flight"}) // 2)  # loads go on while cores compute: another limit is near
    return Advice(facts, f"{core.name}.max_bytes_in_flight={size(2 * most)} would double that", saves)


def _latency(run: KernelRun, spent: int) -> Advice:
    core, loads = run.machine.core, max(1, run.counters["core.flight_bytes"])
    mean = run.counters["core.flight_byte_ns"] * 1000 // (run.time * core.count)
    took = run.counters["core.flight_byte_ns"] * 1000 // loads
    facts = f"a load takes {span(took)}, and a core has {size(mean)} of {size(core.max_bytes_in_flight or 1)} under way"
    commands = run.census.commands
    if run.census.columns and 2 * commands[:, GATHERED].sum() <= commands[:, COMMANDS].sum():
        times = run.times(run.time - run.breakdown["launch"], {"latency", "in_flight", DMA_COMMANDS})
        change = f"larger tiles{_block(run, times)}"
        return Advice(facts, change, int(spent * (1 - 1 / times)), (DMA_COMMANDS,))
    return Advice(
        facts, f"more loads ahead (tiling.stages={2 * run.trace.stages}) or programs a core (tiling.resident)"
    )


def _exchange(run: KernelRun, spent: int) -> Advice:
    through = run.machine.chip.memory[0].name if run.machine.chip.exchange == "memory" else "the vector cores' ports"
    facts = f"each step's tile of {run.census.columns} keys waits for its scores to cross {through} and come back"
    saves = spent // 2
    if run.machine.most_parts:  # loads go on meanwhile, and take most of the time where the memory is busy
        busy = run.time - run.breakdown["launch"]
        saves = int(saves * (1 - run.limits.get(run.largest({"exchange"}), 0) / busy))
    return Advice(facts, f"half as many steps{_block(run)}", saves)


def _store(run: KernelRun, spent: int) -> Advice:
    written = run.trace.written_bytes
    facts = f"each program waits for its stores, {size(written)} in all"
    return Advice(facts, "stores that run beside the next loads (more buffers), or fewer bytes stored", spent // 2)


def _idle(run: KernelRun, spent: int) -> Advice:
    census, slots = run.census, run.slots
    merging = max(0, run.merge - (run.machine.chip.barrier or 0))
    best, full, filled = _fill(run, spent, merging)
    if merging // 2 > filled and 10 * merging > run.time and census.splits > 1:
        facts = f"{run.counters['core.merging']:,} programs that merge splits run on {slots:,} slots for the last "
        return Advice(f"{facts}{span(run.merge)}", f"tiling.splits={census.splits // 2}", merging // 2)
    facts = f"{many(census.main, 'program')} on {slots:,} slots ({run.machine.core.count} cores x "
    facts += f"{run.counters['core.resident']})"
    if 50 * filled > run.time:
        return Advice(facts, f"tiling.splits={best} would fill {full:.0%} of whole waves", filled)
    if census.main < slots:
        return Advice(facts, "more programs at a time (shape.batch, tiling.splits)")
    facts += f", {census.main / slots:.3g} waves"
    return Advice(facts, "more work in a launch (shape.batch), of which the uneven end is a smaller part")


def _fill(run: KernelRun, spent: int, merging: int) -> tuple[int, float, int]:
    """The number of splits that fills whole waves of slots best, the share that it fills, and the time that it saves.

    The saving is idle time, less the cost of merging more splits. It is smaller where programs wait for a busy memory
    or cache: more programs at a time do not shorten that wait.
    """
    census = run.census
    if not census.columns or not (run.counters["core.merging"] or census.splits == 1):
        return census.splits, 1.0, 0
    best, full = _splits(len(census.heads), census.splits, run.slots)
    if best == census.splits:
        return best, full, 0
    busy = run.time - run.breakdown["launch"] - run.merge
    left = int(busy * (1 - full))
    shared = [level.name for level in run.machine.levels if isinstance(level, Cache | Dram)]
    waits = sum(run.breakdown.get(f"stall.{name}", 0) for name in shared) / max(1, busy + run.merge - spent)
    used = max(run.limits.get(name, 0) for name in shared) / max(1, busy)
    saves = min(spent - run.merge_idle - left, run.room({"idle"})) * (1 - min(1, waits * used))
    saves -= merging * (best / census.splits - 1)
    return best, full, max(0, int(saves))


def _splits(rows: int, splits: int, slots: int) -> tuple[int, float]:
    """The number of splits near `splits` with which `rows` rows of programs fill whole waves of `slots` best, and the
    share that it fills; `splits` itself unless another number fills a tenth more."""

    def full(number: int) -> float:
        waves = rows * number / slots
        return waves / -(-rows * number // slots)

    most = max(4 * splits, -(-slots // max(1, rows)))
    best = max(range(1, most + 1), key=lambda number: (round(full(number), 2), -abs(number - splits)))
    return (best, full(best)) if full(best) > full(splits) + 0.1 else (splits, full(splits))


def _launch(run: KernelRun, spent: int) -> Advice:
    facts = f"{span(spent)} of {span(run.time)} pass before the first program runs"
    return Advice(facts, "more work in a launch (shape.batch), or kernels joined")


def _start(run: KernelRun, spent: int) -> Advice:
    chip, core = run.machine.chip, run.machine.core
    facts = f"{many(run.counters['core.programs'], 'program')} on {run.slots:,} slots start "
    if chip.dispatch:
        facts += f"one by one, {span(chip.dispatch)} apart"
    else:
        facts += f"{span(core.program_start or 0)} after one another"
    return Advice(facts, "fewer, longer programs (tiling.splits, tiling.block_q)", spent // 2)


def _barrier(run: KernelRun, spent: int) -> Advice:
    merging = run.counters["core.merging"]
    facts = f"{many(merging, 'program')} wait until the last of {run.census.main:,} before them has ended"
    return Advice(facts, "shares of one length, or no splits (tiling.splits=1)")


def _index(run: KernelRun, spent: int) -> Advice:
    facts = f"rows are loaded when their index list is there, which is loaded {run.trace.lists_ahead} steps ahead"
    change = "shorter lists (a larger selection.unit or layout.page), or more programs a core (tiling.resident)"
    return Advice(facts, change)


def _matmul(run: KernelRun, spent: int) -> Advice:
    macs, tile = run.counters["core.issued_macs"], run.machine.units.tile
    peak = run.machine.units.macs_per_second * run.machine.chip.matmul_core.count
    facts = f"{macs / 1e9:,.3g} G multiply-accumulates at {run.share('matmul')} of the peak of {peak / 1e12:,.3g} T/s"
    if macs > 1.1 * run.macs:
        facts += f", {1 - run.macs / macs:.0%} of them padding to {tile.m} x {tile.n} x {tile.k}"
        change = "fuller tiles: more query rows a program (shape.q_len, query heads a key/value head)"
        return Advice(facts, change, int(spent * (1 - run.macs / macs)))
    return Advice(facts, "fewer products, or a faster type (dtype)")


def _vector(run: KernelRun, spent: int) -> Advice:
    facts = f"exponentials and elementwise operations keep the vector unit {run.share('vector')} busy"
    return Advice(facts, "a faster vector unit, or fewer scores: fewer tokens read, fewer query heads")


def _issue(run: KernelRun, spent: int) -> Advice:
    facts = f"the kernel's instructions take {run.share('issue')} of the issue slots"
    return Advice(facts, f"fewer steps of more keys{_block(run)}", spent // 2)


def _code(run: KernelRun, spent: int) -> Advice:
    facts = "instructions of a step beside its products and exponentials, one after the other"
    return Advice(
        facts, f"fewer steps of more keys{_block(run)}, or more programs a core (tiling.resident)", spent // 2
    )


def _block(run: KernelRun, times: int = 2) -> str:
    """The setting for tiles with `times` as many keys; empty if the kernel has no score tiles."""
    return f" (tiling.block_kv={times * run.census.columns})" if run.census.columns else ""


_TEXTS = {
    DMA_COMMANDS: _dma,
    "in_flight": _in_flight,
    "latency": _latency,
    "exchange": _exchange,
    "store": _store,
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
