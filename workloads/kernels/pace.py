"""The launcher's estimate: how fast a chip's memory, DMA engines and units process a program's tiles."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

PS = 10**12
"""Picoseconds of a second."""
OPERATIONS = 4
"""Elementwise operations per score besides its exponential (FlashAttention-2, algorithm 1)."""
KNEE = 4
"""Exponent of the norm that combines limits into one time. Two equal limits give a time one fifth longer than either,
as in a closed network of two balanced stations; if one is twice the other, 1.5 % longer. Of 2, 3, 4, 5, 6, 8 and 16 it
comes nearest to 846 simulated decodes on seven chips (DESIGN.md): their error is 16 % with 2, 11 % with 4 and 12 % with
16."""


FEW = 512
"""Most programs that the estimate assigns to slots one by one."""


@dataclass(frozen=True)
class Pace:
    """Rates, latencies and fixed costs of a chip; times in ps, rates a second."""

    memory: int
    """Bytes per second of the main memory."""
    port: int
    """Bytes per second that one core can receive."""
    latency: int
    """Latency of a read from the main memory on an idle chip."""
    in_flight: int
    """Most bytes of reads in flight of a core."""
    cached: bool
    """Whether a shared cache serves repeated reads of several cores."""
    command: int = 0
    """Start-up time of a DMA command; 0 where cores load without DMA."""
    command_rows: int = 1 << 31
    """Equidistant rows that one DMA command moves."""
    request: int = 0
    """Bytes in flight for which a request of a DMA engine counts, whatever it moves; 0 where bytes count."""
    exchange: int = 0
    """Time for a tile's scores to reach the vector unit and return; the program waits meanwhile."""
    start: int = 0
    """Time from the end of a program to the start of the next one in its slot."""
    dispatch: int = 0
    """Time between program starts, where programs start one by one."""
    barrier: int = 0
    """Time from the end of a kernel to the start of a dependent kernel."""
    macs: Mapping[str, float] = field(default_factory=dict)
    """Multiply-accumulates per second of a core's matrix unit, by element type."""
    exps: float = 0
    """Exponentials per second of a core's vector units."""
    ops: float = 0
    """Elementwise operations per second of a core's vector units."""


@dataclass(frozen=True)
class Spread:
    """How the rows of a tensor lie in memory."""

    pieces: float = 0
    """Parts of memory per token, whose rows one DMA command can move; 0 if a tile is one part."""
    adjacent: int = 0
    """Tokens whose rows are adjacent; 0: all of a tile."""


@dataclass(frozen=True)
class Walk:
    """Work of programs per token, and how many programs work at once."""

    row_bytes: int
    """Bytes of a token's K and V for one head."""
    macs: int
    """Multiply-accumulates for a token, all rows of the program."""
    scores: int
    """Scores of a token: rows of the program."""
    dtype: str
    """Element type of the products."""
    pieces: float
    """DMA commands per token, if tokens are not adjacent; 0 if a tile is one piece of each tensor."""
    listed: bool
    """Whether an index list or a page table gives their addresses."""
    tensors: int
    """Loaded tensors: 2, or 1 if V is the beginning of K."""
    rows: tuple[int, ...] = ()
    """Bytes of adjacent rows of each tensor; empty if all rows of a tile are adjacent."""
    adjacent: int = 1
    """Tokens whose rows these are."""

    def compute(self, pace: Pace) -> float:
        """Time of the units in ps per token; 0 if the chip does not specify it."""
        rate = pace.macs.get(self.dtype, 0)
        products = self.macs / rate if rate else 0
        softmax = self.scores / pace.exps if pace.exps else 0
        elementwise = OPERATIONS * self.scores / pace.ops if pace.ops else 0
        return (products + softmax + elementwise) * PS

    def in_flight(self, pace: Pace, tokens: int) -> float:
        """Bytes in flight for which a tile counts."""
        if not pace.request or not self.rows:
            return tokens * self.row_bytes
        return tokens * sum(ceil(row / pace.request) * pace.request for row in self.rows) / self.adjacent

    def commands(self, pace: Pace, tokens: int) -> float:
        """Time in ps to start the DMA commands of a tile."""
        plain = self.tensors * ceil(tokens / pace.command_rows)
        return pace.command * max(plain, self.pieces * tokens)


def fed(pace: Pace, walk: Walk, cores: int) -> bool:
    """Whether the units take at least twice as long for a token as its bytes: from the cache through the core's port,
    or as a share of the memory's bandwidth if there is no cache."""
    rate = pace.port if pace.cached else min(pace.port, pace.memory / cores)
    return walk.compute(pace) >= 2 * walk.row_bytes * PS / rate


def joined(*limits: float) -> float:
    """Combine simultaneous limits into one time; see KNEE."""
    largest = max(limits)
    return largest * math.pow(sum((limit / largest) ** KNEE for limit in limits), 1 / KNEE) if largest else 0.0


def own_cycle(pace: Pace, walk: Walk, each: int, stages: int, tokens: int) -> float:
    """Time in ps in which a core processes a tile of `tokens` tokens of each of its `each` programs with `stages`
    buffers, without contention for memory.

    Limits are the core's port, its bytes in flight, the start of its DMA commands, its units, and a program's round
    trip: a buffer is free when its tile has arrived, was computed on, and its scores went to the vector unit and back.
    An index list must arrive before the rows that it names are requested.
    """
    tile = tokens * walk.row_bytes
    own = tile * PS / pace.port
    flown = walk.in_flight(pace, tokens)
    trip = max(pace.latency + own, pace.latency * flown / pace.in_flight)
    flying = max(1, min(stages * each, pace.in_flight // flown))
    work = tokens * walk.compute(pace)
    round_ = max(work + pace.exchange, (trip + work + pace.exchange) / stages, pace.latency if walk.listed else 0)
    shared = joined(each * own, each * trip / flying, each * walk.commands(pace, tokens), each * work)
    return max(shared, round_)


def cycle(pace: Pace, walk: Walk, cores: int, each: int, stages: int, tokens: int, memory: bool = True) -> float:
    """The same with contention of `cores` cores for the memory; `memory` false: without, where programs share tiles
    through a cache."""
    moved = cores * each * tokens * walk.row_bytes * PS / pace.memory if memory else 0.0
    return joined(own_cycle(pace, walk, each, stages, tokens), moved)


@dataclass(frozen=True)
class ProgramSlots:
    """Program slots of a chip."""

    cores: int
    """Cores."""
    resident: int
    """Programs on a core at once."""
    stages: int
    """Tiles in flight of a program."""


def duration(
    pace: Pace,
    walk: Walk,
    slots: ProgramSlots,
    programs: int,
    tokens: tuple[int, int],
    block: int,
    memory: bool = True,
) -> float:
    """Time in ps of `programs` rows of programs. `tokens` is (programs of a row, tokens of a row); the last program of
    a row may have fewer. `memory` as for `cycle`.

    Programs run in waves, and the last wave spreads over the cores. If a row ends with a short program, its slot takes
    the next program sooner. During the first wave's latencies the memory is idle, so they add to its time; the
    latencies of later waves overlap with transfers of the wave before.
    """
    splits, whole = tokens
    tiles = ceil(whole / block)
    share = min(whole, ceil(tiles / splits) * block)
    size, total = min(block, share), programs * splits
    room = slots.cores * slots.resident

    quiet = pace.start + (3 if walk.listed else 2) * pace.latency  # latencies of lists, rows and outputs
    fill = max(size * walk.row_bytes * PS / pace.port, walk.commands(pace, size)) + size * walk.compute(pace)

    used = whole / (share * splits)  # share of the bytes that all programs would read if each had a full walk

    def program(count: int, own: int, reads: float, first: bool = False) -> float:
        apart, each = (quiet if first else 0.0), ceil(count / slots.cores)
        alone = quiet + fill + (own / size - 1) * own_cycle(pace, walk, each, slots.stages, size)
        moved = count * reads * walk.row_bytes * PS / pace.memory if memory else 0.0
        return apart + joined(alone - apart, moved)

    full, rest = divmod(total, room)
    wave = program(room, share, share * used)
    begin = program(room, share, share * used, first=True) - wave
    time = begin + full * wave if full else 0.0
    if rest:
        time += program(rest, share, share * used, first=not full)
    filled = ceil(whole / share)
    if full and share * splits > whole and total <= FEW:
        lengths = [share] * (filled - 1) + [whole - share * (filled - 1)] + [0] * (splits - filled)
        once = {own: program(room, own, own) if own else pace.start for own in set(lengths)}
        time = min(time, begin + _dealt([once[own] for own in lengths] * programs, room))
    return time + pace.dispatch * min(total, room)


def _dealt(times: list[float], slots: int) -> float:
    """End of the last program if programs are assigned in order, each to the slot that is free first."""
    free = [0.0] * slots
    for time in times:
        heapq.heapreplace(free, free[0] + time)
    return max(free)
