"""What a kernel's launcher reckons with: how fast a chip's memory, DMA engines and units feed a program's tiles."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

PS = 10**12
"""Picoseconds of a second."""
OPERATIONS = 4
"""Elementwise operations of a score beside its exponential (FlashAttention-2, algorithm 1)."""
KNEE = 4
"""Exponent of the norm that joins limits into one time: two limits that are equal make it a fifth longer than either,
as queues do where a closed network's two stations are balanced; one that is twice the other, 1.5 %. Of 2, 3,
4, 5, 6, 8 and 16 it comes nearest to 846 simulated decodes on seven chips (DESIGN.md): they are off by 16 % with 2, by
11 % with 4, by 12 % with 16."""


FEW = 512
"""Programs up to which a launcher deals them out one by one, to find when the last ends."""


@dataclass(frozen=True)
class Pace:
    """Rates, latencies and fixed costs of a chip; times in ps, rates a second."""

    memory: int
    """Bytes that the main memory gives."""
    port: int
    """Bytes that one core can take."""
    latency: int
    """From a request to the main memory to its data, on an idle chip."""
    in_flight: int
    """Bytes of reads that a core can have under way."""
    cached: bool
    """Whether a cache serves reads that several cores share."""
    command: int = 0
    """Start of one DMA command; 0 where cores load without."""
    command_rows: int = 1 << 31
    """Rows at a regular distance that one DMA command moves."""
    turn: int = 0
    """Way of a tile's scores to the vector unit and back, during which the program does nothing else."""
    start: int = 0
    """From the end of a program to the start of the next in its place."""
    dispatch: int = 0
    """From the start of a program to that of the next one, where they start one by one."""
    barrier: int = 0
    """From the end of a kernel to the start of one that belongs to it."""
    macs: Mapping[str, float] = field(default_factory=dict)
    """Multiply-accumulates of a core's matrix unit, by element type."""
    exps: float = 0
    """Exponentials of a core's vector units."""
    ops: float = 0
    """Elementwise operations of a core's vector units."""


@dataclass(frozen=True)
class Walk:
    """What programs do for each token that they walk, and how many do so at once."""

    row_bytes: int
    """Bytes of a token's K and V for one head."""
    macs: int
    """Multiply-accumulates for a token, all rows of the program."""
    scores: int
    """Scores of a token: rows of the program."""
    dtype: str
    """Element type of the products."""
    pieces: float
    """DMA commands for a token, where tokens are not adjacent; 0 where a tile is one piece of each tensor."""
    listed: bool
    """Whether an index list or a page table says where they lie."""
    tensors: int
    """Tensors that are loaded: 2, or 1 where V is the beginning of K."""

    def compute(self, pace: Pace) -> float:
        """Time in ps that the units take for a token; 0 where the chip does not say."""
        rate = pace.macs.get(self.dtype, 0)
        products = self.macs / rate if rate else 0
        softmax = self.scores / pace.exps if pace.exps else 0
        elementwise = OPERATIONS * self.scores / pace.ops if pace.ops else 0
        return (products + softmax + elementwise) * PS

    def commands(self, pace: Pace, tokens: int) -> float:
        """Time in ps to start the DMA commands of a tile."""
        plain = self.tensors * ceil(tokens / pace.command_rows)
        return pace.command * max(plain, self.pieces * tokens)


def fed(pace: Pace, walk: Walk, cores: int) -> bool:
    """Whether a program's units take twice as long for a token as its bytes take to come: from the cache through the
    core's port, or as a share of the memory's bandwidth where there is none."""
    rate = pace.port if pace.cached else min(pace.port, pace.memory / cores)
    return walk.compute(pace) >= 2 * walk.row_bytes * PS / rate


def joined(*limits: float) -> float:
    """One time from limits that hold at once; see KNEE."""
    largest = max(limits)
    return largest * math.pow(sum((limit / largest) ** KNEE for limit in limits), 1 / KNEE) if largest else 0.0


def own_cycle(pace: Pace, walk: Walk, each: int, stages: int, tokens: int) -> float:
    """Time in ps in which a core goes through a tile of `tokens` tokens of each of its `each` programs, which have
    `stages` buffers, if it need not share the memory.

    Limits are the core's port, its bytes in flight, the start of its DMA commands, its units, and a program's own
    round: a tile comes, is computed on and its scores go to the vector unit and back before its buffer is free. An
    index list must have come before the rows that it names are asked for.
    """
    tile = tokens * walk.row_bytes
    own = tile * PS / pace.port
    trip = max(pace.latency + own, pace.latency * tile / pace.in_flight)
    flying = max(1, min(stages * each, pace.in_flight // tile))
    work = tokens * walk.compute(pace)
    round_ = max(work + pace.turn, (trip + work + pace.turn) / stages, pace.latency if walk.listed else 0)
    shared = joined(each * own, each * trip / flying, each * walk.commands(pace, tokens), each * work)
    return max(shared, round_)


def cycle(pace: Pace, walk: Walk, cores: int, each: int, stages: int, tokens: int, memory: bool = True) -> float:
    """The same for each of `cores` cores that share the memory; not with `memory` false, where programs share tiles
    through a cache."""
    moved = cores * each * tokens * walk.row_bytes * PS / pace.memory if memory else 0.0
    return joined(own_cycle(pace, walk, each, stages, tokens), moved)


@dataclass(frozen=True)
class ProgramSlots:
    """Where programs run."""

    cores: int
    """Cores."""
    resident: int
    """Programs on a core at once."""
    stages: int
    """Tiles in flight of a program."""


def duration(
    pace: Pace,
    walk: Walk,
    places: ProgramSlots,
    programs: int,
    tokens: tuple[int, int],
    block: int,
    memory: bool = True,
) -> float:
    """Time in ps of `programs` rows of programs that each walk `tokens` in tiles of `block`, of which the last of a row
    may walk less: (how many of a row, tokens of a row); `memory` as for `cycle`.

    Programs run in waves, the last of which is spread over the cores; where a row ends with a short program, a place
    that has had one takes the next sooner. While the first wave waits for its first data the memory is idle, whose time
    comes on top; programs of later waves wait while it serves those before them.
    """
    splits, whole = tokens
    tiles = ceil(whole / block)
    share = min(whole, ceil(tiles / splits) * block)
    size, total = min(block, share), programs * splits
    room = places.cores * places.resident

    quiet = pace.start + (3 if walk.listed else 2) * pace.latency  # lists, rows, outputs
    fill = max(size * walk.row_bytes * PS / pace.port, walk.commands(pace, size)) + size * walk.compute(pace)

    used = whole / (share * splits)  # of what programs would read if all of them walked as much

    def program(count: int, own: int, reads: float, first: bool = False) -> float:
        apart, each = (quiet if first else 0.0), ceil(count / places.cores)
        alone = quiet + fill + (own / size - 1) * own_cycle(pace, walk, each, places.stages, size)
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


def _dealt(times: list[float], places: int) -> float:
    """When the last of programs ends that are dealt out in order, each to the place that is free first."""
    free = [0.0] * places
    for time in times:
        heapq.heapreplace(free, free[0] + time)
    return max(free)
