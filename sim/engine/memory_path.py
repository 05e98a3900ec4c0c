"""A request's path through the levels of a machine, from the core to the memory and back up.

The same, level by level, as `serve` of `memgrain.sim.levels.link`, `memgrain.sim.levels.scratchpad`,
`memgrain.sim.cache.cache` and `memgrain.sim.dram.dram`, without a call of Python between them.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.cache import lookup
from memgrain.sim.dram import bank_timing
from memgrain.sim.dram.state import DramArrays
from memgrain.sim.levels.dma_requests import count_pieces
from memgrain.sim.levels.held_lines import hold_lines
from memgrain.sim.levels.run_sizes import count_bytes, count_slow_rows, count_transfer
from memgrain.sim.native.jit import inlined
from memgrain.sim.native.records import record_type

PS = 10**12
NEVER = np.int64(-1)
LINK, PAD, CACHE, DRAM, WIRE = range(5)
LEVEL = record_type(
    # what a level is: its kind, cores that share one, and vector cores that count as one core below
    "kind",
    "share",
    "gathers",
    "latency",
    "delay",
    "read_rate",
    "write_rate",
    # where in `free` the times begin until which its parts are booked: reads and writes, or DMA engines; banks
    "reads_free",
    "writes_free",
    "banks_free",
    # of a scratchpad: bytes that rows are rounded up to, rows of a command, and the times that a command, a row apart
    # and a row to be merged take, the last one if it is smaller than an access of the memory
    "granule",
    "rows",
    "startup",
    # of a scratchpad whose writes are split (0: they are not): see `SplitWrites` of `memgrain.hwmodels.spec`
    "split_piece",
    "split_interval",
    "row_time",
    "merge_time",
    "access",
    # of a cache: its number, its line as bits, and the time that a read past it holds a line (-1: it holds none)
    "cache",
    "line_bits",
    "hold_time",
    # counts
    "bytes",
    "moved",
    "commands",
    "written",
    "write_commands",
    "read_row_times",
    "write_row_times",
    # of the request served last: the longest wait here, whether for a DMA engine; when what it fetched is there
    "queue",
    "for_engine",
    "arrived",
    # of the request under way: until when the level and its banks are busy with it, whether it writes, what it waited
    # for lines read past the cache (-1: it was looked up), and how many of its lines wait for data
    "until",
    "banks_until",
    # how long it occupies a link, or starts commands of a scratchpad's engine; its time if nothing else occupied the
    # engine and the port, with its copies one after the other; where in `free` the time of the engine is
    "transfer",
    "alone",
    "engine",
    "writes",
    "waited",
    "waits",
)
"""A level of a machine. Rates are in bytes a second, times in ps."""
PATH_END = -1
"""Closes the list of levels of a memory path."""


class CacheArrays(NamedTuple):
    """The arrays of one cache level, see `memgrain.sim.cache.cache.Cache`."""

    sets: NDArray[np.int32]
    """[cache, entry]."""
    cores: NDArray[np.int64]
    """[core, 3]: its partition, the first of its slices, its cache."""
    arrivals: NDArray[np.int64]
    """Times at which fetched data arrive."""
    out: NDArray[np.void]
    """Runs for the level below."""
    records: NDArray[Any]
    """Configuration, state and queue, see `memgrain.sim.cache.state`; empty where there is no cache."""
    busy: NDArray[np.int64]
    """Time in ps until which each slice is reserved."""
    free: NDArray[np.int64]
    """Times until which lines read past the cache are held."""


class LevelTables(NamedTuple):
    """All levels of a machine as tables."""

    table: NDArray[np.void]
    """[level] of LEVEL."""
    free: NDArray[np.int64]
    """Times until which links, DMA engines and banks are booked."""
    paths: NDArray[np.int64]
    """[path, depth]: the levels from the core outward, PATH_END behind the last one."""
    caches: Any
    """A tuple of `CacheArrays`."""
    dram: DramArrays


@inlined
def duration(size, rate):
    """`size * PS // rate` where the product may not fit 64 bits: a thousandth at a time."""
    if size < 9_000_000:
        return size * PS // rate
    whole, rest = 0, size
    for _ in range(4):
        rest *= 1000
        whole = whole * 1000 + rest // rate
        rest %= rate
    return whole


@inlined
def enter_link(level, core, size, writes, now, free):
    """A request enters a link, which books its transfer."""
    at = (level.writes_free if writes else level.reads_free) + core // level.share
    level.bytes += size
    level.written += size if writes else 0
    level.transfer = duration(size, level.write_rate if writes else level.read_rate)
    free[at] = max(now, free[at]) + level.transfer
    level.until = free[at]


@inlined
def enter_pad(level, core, size, runs, indices, first, count, writes, now, free):
    """A request enters a scratchpad, which books a DMA engine and its banks."""
    moved, commands = count_transfer(runs, first, count, level.granule, level.rows)
    level.bytes += size
    level.moved += moved
    level.commands += commands
    level.write_commands += commands if writes else 0
    engine = (level.writes_free if writes else level.reads_free) + core // level.share
    banks = level.banks_free + core // level.share
    slow = np.int64(0)
    if level.row_time or level.merge_time:
        apart, partial = count_slow_rows(runs, first, count, level.rows, level.access)
        slow = apart * level.row_time + partial * level.merge_time
    if level.split_piece and writes:
        slow += count_pieces(runs, indices, first, count, level.split_piece) * level.split_interval
    if writes:
        level.write_row_times += slow
    else:
        level.read_row_times += slow
    level.transfer = commands * level.startup
    free[engine] = max(now, free[engine]) + level.transfer + slow
    free[banks] = max(now, free[banks]) + duration(moved, level.read_rate)
    level.until, level.banks_until, level.engine = free[engine], free[banks], engine


@inlined
def enter_cache(level, core, runs, indices, first, count, repeat, now, cache):
    """A request is looked up; returns the number of runs for below."""
    done, queue, out, waits = lookup.serve_runs(
        runs,
        indices,
        first,
        count,
        repeat,
        core,
        now,
        level.arrived,
        cache.cores,
        cache.sets,
        cache.arrivals,
        cache.out,
        cache.records,
        cache.busy,
    )
    level.until, level.queue, level.waits = done, queue, waits
    return out


@inlined
def pass_cache(level, runs, indices, first, count, repeat, now, cache):
    """A read goes past a cache, and waits for the lines that other such reads hold."""
    level.waited = np.int64(0)
    if level.hold_time >= 0:
        bits, time = level.line_bits, level.hold_time
        level.waited = hold_lines(runs, indices, first, count, repeat, now, bits, time, cache.free)


@inlined
def serve_dram(level, runs, indices, first, count, repeat, now, dram):
    """The request is at the memory; returns when the last and the first byte are there, and the bytes read."""
    lanes, entries, config, counts, tensors, answers = dram
    bank_timing.serve_runs(runs, indices, first, count, repeat, now, lanes, entries, config, counts, tensors, answers)
    answer = answers[0]
    level.queue = answer.queue
    return answer.done, answer.first, answer.came


@inlined
def serve(path, runs, indices, first, count, repeat, core, copies, now, levels):
    """When (ps) the last byte of `count` runs from `first` on is at `core`, requested at `now` along a memory path in
    so many copies; `NEVER` if a line number is too large for a cache."""
    table, free, paths = levels.table, levels.free, levels.paths
    size, writes = count_bytes(runs, first, count), runs[first]["op"] == 1
    uncached, depth = runs[first]["op"] == 2, 0
    done, begins, came = now, np.int64(0), np.int64(0)
    for i in range(len(table)):
        table[i].queue = 0
    while paths[path, depth] != PATH_END:
        level = table[paths[path, depth]]
        level.writes = writes
        depth += 1
        if level.kind == LINK:
            enter_link(level, core, size, writes, now, free)
            core //= level.gathers
        elif level.kind == PAD:
            enter_pad(level, core, size, runs, indices, first, count, writes, now, free)
        elif level.kind == DRAM:
            done, begins, came = serve_dram(level, runs, indices, first, count, repeat, now, levels.dram)
        elif level.kind == CACHE:
            cache = levels.caches[level.cache]
            if uncached:
                pass_cache(level, runs, indices, first, count, repeat, now, cache)
                continue
            out = enter_cache(level, core, runs, indices, first, count, repeat, now, cache)
            level.waited = NEVER
            if out < 0:
                return NEVER
            if not out:
                break
            runs, first, count, repeat = cache.out, np.int64(0), out, np.int64(0)
            size, writes = count_bytes(runs, first, count), runs[0]["op"] == 1
    return climb(path, depth, done, begins, came, copies, now, levels)


@inlined
def climb(path, depth, done, begins, came, copies, now, levels):
    """The way back up, from the last of `depth` levels of a memory path that the request reached."""
    alone = np.int64(-1)
    for height in range(depth - 1, -1, -1):
        level, arrived = levels.table[levels.paths[path, height]], done
        if level.kind == LINK:
            arrived += level.delay
            done = max(arrived, level.until + level.latency)
            alone = max(arrived - now, level.transfer + level.latency)
            begins += level.delay
            if came and not level.writes:
                last = begins + duration(came, level.read_rate)
                done, alone = max(done, last), max(alone, last - now)
            level.queue = done - arrived
        elif level.kind == PAD:
            if alone < 0:
                alone = arrived - now
            alone = max(alone, level.transfer + level.latency)
            alone += max(0, copies - 1) * (begins - now if came else level.latency)
            started = level.until + (alone - level.transfer if copies else level.latency)
            done = max(arrived, started, level.banks_until)
            if copies:
                levels.free[level.engine] = done
            level.alone, alone = alone, np.int64(-1)
            level.queue, level.for_engine = done - arrived, level.startup > 0 and started == done
        elif level.kind == CACHE:
            if level.waited >= 0:
                level.queue = level.waited
                done += level.waited
            elif level.waits and height + 1 < depth:
                level.arrived = arrived
                done = max(level.until, arrived)
            else:
                done, came = level.until, np.int64(0)
    return done


@inlined
def room_left(levels):
    """Entries that `arrivals` of the fullest cache has left."""
    least = np.int64(1 << 62)
    for number in range(len(levels.caches)):
        cache = levels.caches[number]
        if len(cache.records):
            least = min(least, len(cache.arrivals) - 1 - cache.records[0].state.next_wait)
    return least
