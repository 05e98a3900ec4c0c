"""What a kernel's launcher reckons with: how fast a chip's memory, DMA engines and units feed a program's tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

PS = 10**12
"""Picoseconds of a second."""
OPERATIONS = 4
"""Elementwise operations of a score beside its exponential (FlashAttention-2, algorithm 1)."""
KNEE = 4
"""Exponent of the norm that joins limits into one time: two limits that are equal make it a fifth longer than either,
as queues do where a closed network's two stations are balanced; one that is twice the other, 1.5 %."""


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


def cycle(pace: Pace, walk: Walk, cores: int, each: float, stages: int, tokens: int, memory: bool = True) -> float:
    """Time in ps in which each of `cores` cores goes through a tile of `tokens` tokens of each of its `each` programs,
    which have `stages` buffers.

    Limits are the memory's bandwidth (not with `memory` false, where programs share tiles through a cache), the core's
    port, its bytes in flight, the start of its DMA commands, its units, and a program's own round: a tile comes, is
    computed on and its scores go to the vector unit and back before its buffer is free.
    """
    tile = tokens * walk.row_bytes
    own = tile * PS / pace.port
    trip = max(pace.latency + own, pace.latency * tile / pace.in_flight)
    flying = max(1, min(stages * each, pace.in_flight // tile))
    work = tokens * walk.compute(pace)
    limits = (
        cores * each * tile * PS / pace.memory if memory else 0,
        each * own,
        each * trip / flying,
        each * walk.commands(pace, tokens),
        each * work,
        work + pace.turn,
        (trip + work + pace.turn) / stages,
    )
    largest = max(limits)
    joined = sum((limit / largest) ** KNEE for limit in (max(limits[0], limits[1]), *limits[2:5]))
    return max(largest, largest * float(joined) ** (1 / KNEE))


def duration(
    pace: Pace,
    walk: Walk,
    cores: int,
    resident: int,
    stages: int,
    programs: int,
    tokens: int,
    block: int,
    memory: bool = True,
) -> float:
    """Time in ps of `programs` programs that walk `tokens` tokens each in tiles of `block`, `resident` on a core: full
    waves, and a last one that is spread over the cores; `memory` as for `cycle`."""

    def wave(busy: int, each: float) -> float:
        size = min(block, tokens)
        first = 2 * pace.latency + size * walk.row_bytes * PS / pace.port + size * walk.compute(pace)
        return pace.start + first + tokens / size * cycle(pace, walk, busy, each, stages, size, memory)

    whole, rest = divmod(programs, cores * resident)
    full = whole * wave(cores, resident)
    if not rest:
        return full
    if rest <= cores:
        return full + wave(rest, 1)
    return full + wave(cores, ceil(rest / cores))
