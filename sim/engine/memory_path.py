"""The way of a request through a chain of levels, from the core to the memory and back: what `serve` of
`memgrain.sim.levels.link`, `memgrain.sim.levels.scratchpad`, `memgrain.sim.cache.cache` and `memgrain.sim.dram.dram`
do, one level after the other, without a call of Python between them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.cache import lookup
from memgrain.sim.dram import bank_timing as bt
from memgrain.sim.levels.run_sizes import count_bytes, count_transfer
from memgrain.sim.levels.turns import wait_for_turns
from memgrain.sim.native.jit import inlined

PS = 10**12
NEVER = np.int64(-1)
LINK, PAD, CACHE, DRAM, WIRE = range(5)
(
    # what a level is: its kind, cores that share one, and what it takes of them
    KIND,
    SHARE,
    GATHERS,
    LATENCY,
    DELAY,
    READ_RATE,
    WRITE_RATE,
    # where in `free` the times begin until which its parts are booked: reads and writes, or DMA engines; banks
    READS_FREE,
    WRITES_FREE,
    BANKS_FREE,
    GRANULE,
    ROWS,
    STARTUP,
    # which cache it is, its line as bits, the time a read past it holds a line (-1: no turns)
    CACHE_NUMBER,
    LINE_BITS,
    TURN,
    # counts
    BYTES,
    MOVED,
    COMMANDS,
    WRITTEN,
    WRITE_COMMANDS,
    # of the request served last: the longest wait here, whether for a DMA engine; when what it fetched is there
    QUEUE,
    FOR_ENGINE,
    ARRIVED,
    # of the request on its way: until when the level is busy with it, its banks too, whether it writes, its wait
    UNTIL,
    BANKS_UNTIL,
    WRITES,
    WAITED,
    WAITS,
    FIELDS,
) = range(30)
END = -1
"""Closes the list of levels of a chain."""


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


class DramArrays(NamedTuple):
    """The arrays of the DRAM level, see `memgrain.sim.dram.dram.Dram`."""

    state: NDArray[np.int64]
    """Channels, banks and their rows."""
    book: NDArray[np.int64]
    """Geometry and counts."""
    moving: NDArray[np.int64]
    """Of the request served last: when its data are there, and what it waited for."""


class Levels(NamedTuple):
    """All levels of a machine as arrays."""

    table: NDArray[np.int64]
    """[level, FIELDS]."""
    free: NDArray[np.int64]
    """Times until which links, DMA engines and banks are booked."""
    chains: NDArray[np.int64]
    """[chain, place]: the levels from the core outward, END behind the last one."""
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
def enter_link(i, core, size, writes, now, table, free):
    """A request enters a link, which books its transfer."""
    at = table[i, WRITES_FREE if writes else READS_FREE] + core // table[i, SHARE]
    table[i, BYTES] += size
    table[i, WRITTEN] += size if writes else 0
    free[at] = max(now, free[at]) + duration(size, table[i, WRITE_RATE if writes else READ_RATE])
    table[i, UNTIL] = free[at]


@inlined
def enter_pad(i, core, size, runs, first, count, writes, now, table, free):
    """A request enters a scratchpad, which books a DMA engine and its banks."""
    moved, commands = count_transfer(runs, first, count, table[i, GRANULE], table[i, ROWS])
    table[i, BYTES] += size
    table[i, MOVED] += moved
    table[i, COMMANDS] += commands
    table[i, WRITE_COMMANDS] += commands if writes else 0
    engine = table[i, WRITES_FREE if writes else READS_FREE] + core // table[i, SHARE]
    banks = table[i, BANKS_FREE] + core // table[i, SHARE]
    free[engine] = max(now, free[engine]) + commands * table[i, STARTUP]
    free[banks] = max(now, free[banks]) + duration(moved, table[i, READ_RATE])
    table[i, UNTIL], table[i, BANKS_UNTIL] = free[engine], free[banks]


@inlined
def enter_cache(i, core, runs, indices, first, count, repeat, now, table, cache):
    """A request is looked up; returns the number of runs for below."""
    done, queue, out, waits = lookup.serve_runs(
        runs,
        indices,
        first,
        count,
        repeat,
        core,
        now,
        table[i, ARRIVED],
        cache.cores,
        cache.sets,
        cache.arrivals,
        cache.out,
        cache.records,
        cache.busy,
    )
    table[i, UNTIL], table[i, QUEUE], table[i, WAITS] = done, queue, waits
    return out


@inlined
def serve_dram(i, runs, indices, first, count, repeat, now, table, dram):
    """The request is at the memory; returns when the last and the first byte are there, and the bytes read."""
    bt.serve_runs(runs, indices, first, count, repeat, now, dram.state, dram.book, dram.moving)
    table[i, QUEUE] = dram.moving[bt.QUEUE]
    return dram.moving[bt.DONE], dram.moving[bt.FIRST], dram.moving[bt.CAME]


@inlined
def serve(chain, runs, indices, first, count, repeat, core, now, levels):
    """When (ps) the last byte of `count` runs from `first` on is at `core`, asked for at `now` along a chain; `NEVER`
    if a line lies beyond what a cache tells apart."""
    table, free, chains = levels.table, levels.free, levels.chains
    size, writes = count_bytes(runs, first, count), runs[first].op == 1
    uncached, depth = runs[first].op == 2, 0
    done, begins, came = now, np.int64(0), np.int64(0)
    for i in range(len(table)):
        table[i, QUEUE] = 0
    while chains[chain, depth] != END:
        i = chains[chain, depth]
        kind = table[i, KIND]
        table[i, WRITES] = writes
        depth += 1
        if kind == LINK:
            enter_link(i, core, size, writes, now, table, free)
            core //= table[i, GATHERS]
        elif kind == PAD:
            enter_pad(i, core, size, runs, first, count, writes, now, table, free)
        elif kind == DRAM:
            done, begins, came = serve_dram(i, runs, indices, first, count, repeat, now, table, levels.dram)
        elif kind == CACHE:
            cache = levels.caches[table[i, CACHE_NUMBER]]
            if uncached:
                wait = np.int64(0)
                if table[i, TURN] >= 0:
                    bits, turn = table[i, LINE_BITS], table[i, TURN]
                    wait = wait_for_turns(runs, indices, first, count, repeat, now, bits, turn, cache.free)
                table[i, WAITED] = wait
                continue
            out = enter_cache(i, core, runs, indices, first, count, repeat, now, table, cache)
            table[i, WAITED] = NEVER
            if out < 0:
                return NEVER
            if not out:
                break
            runs, first, count, repeat = cache.out, np.int64(0), out, np.int64(0)
            size, writes = count_bytes(runs, first, count), runs[0].op == 1
    return climb(chain, depth, done, begins, came, levels)


@inlined
def climb(chain, depth, done, begins, came, levels):
    """The way back up from the level before place `depth` of a chain."""
    table = levels.table
    for place in range(depth - 1, -1, -1):
        i = levels.chains[chain, place]
        kind, arrived = table[i, KIND], done
        if kind == LINK:
            arrived += table[i, DELAY]
            done = max(arrived, table[i, UNTIL] + table[i, LATENCY])
            begins += table[i, DELAY]
            if came and not table[i, WRITES]:
                done = max(done, begins + duration(came, table[i, READ_RATE]))
            table[i, QUEUE] = done - arrived
        elif kind == PAD:
            started = table[i, UNTIL] + table[i, LATENCY]
            done = max(arrived, started, table[i, BANKS_UNTIL])
            table[i, QUEUE], table[i, FOR_ENGINE] = done - arrived, table[i, STARTUP] > 0 and started == done
        elif kind == CACHE:
            if table[i, WAITED] >= 0:
                table[i, QUEUE] = table[i, WAITED]
                done += table[i, WAITED]
            elif table[i, WAITS] and place + 1 < depth:
                table[i, ARRIVED] = arrived
                done = max(table[i, UNTIL], arrived)
            else:
                done, came = table[i, UNTIL], np.int64(0)
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
