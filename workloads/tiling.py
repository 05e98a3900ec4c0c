"""How a kernel cuts an attention call into programs and tiles, and the fit of a tiling to what a chip offers."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from workloads.engine import Engine
from workloads.errors import WorkloadError
from workloads.merge import Merge
from workloads.pace import PS, Pace, Places, Walk, cycle, duration, fed
from workloads.shape import AttentionShape, DTypes, Phase, element_bytes

Auto = Literal["auto"]
Positive = Annotated[int, Field(ge=1, le=2**20)]
PadRule = Literal["none", "pow2"] | Positive | tuple[Positive, ...]

WAVES = 4
"""Programs a core that splitting a decode aims at where the chip's pace is not known."""
MERGED = 8
"""Query rows, heads included, of a program that merges splits, where no kernel says otherwise (those of FlashMLA)."""
MOST_WAVES = 8
"""Programs a place on a core up to which a launcher that knows the chip's pace looks for the best splits."""
NEAR, FEWER = 1.01, 1.05
"""Times that count as equal where a launcher chooses: of tiles, where the smaller is taken; of splits, where fewer are,
as an estimate tells no less apart and fewer leave less to merge."""
SMALLEST_TILE = 16
"""Rows and tokens below which an automatic tile is not cut further (the side of a matrix unit's tile)."""
DEFAULT_TILE, LARGEST_ROWS = 64, 128


def ascending(rule: PadRule) -> PadRule:
    """`rule`, whose sizes, if it has any, must ascend; raises WorkloadError if they do not."""
    if isinstance(rule, tuple) and list(rule) != sorted(set(rule)):
        raise WorkloadError(
            f"pad_head_dim has the sizes {list(rule)}, each must be above the one before; order them so"
        )
    return rule


class Tiling(BaseModel):
    """Tile sizes and loop order of an attention kernel; what is "auto" is resolved by `fit_tiling`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_q: Positive | Auto = "auto"
    """Query rows of a program: in prefill 128, doubled while a tile's bytes come slower than the units take its tokens
    (`workloads.pace.fed`); in decode the packed rows, rounded up to 16, at most 128."""
    block_kv: Positive | Auto = "auto"
    """Tokens of a tile: 64, doubled while the tiles in flight do not cover the memory's latency
    (`workloads.pace.covers`), halved until they fit the scratchpad."""
    splits: Positive | Auto = "auto"
    """Programs that share the context of one row of programs in decode (split-KV), those that the launcher's estimate
    (`workloads.pace.duration`) finds quickest; 1 in prefill."""
    parts: Positive | None = None
    """Decode: programs (of each kv head and block of query rows) to which the tiles of all sequences are dealt in equal
    parts, see `workloads.deal`; absent: each context is split for itself, as `splits` says."""
    stages: Positive | Auto = "auto"
    """Tiles in flight: 3 (2 for wide heads), fewer if they do not fit the scratchpad."""
    resident: Positive | Auto = "auto"
    """Programs that run on a core at once: as many as the scratchpad holds, at most what the chip allows."""
    scratchpad_bytes: int | None = Field(default=None, ge=1, le=2**40)
    """Scratchpad of one program as its compiler reports it, in place of what the tiles are reckoned to need."""
    order: Literal["forward", "reverse"] = "forward"
    """Order in which a program walks its tiles; FlashAttention-2 and -3 walk from last to first."""
    aligned: bool = False
    """Decode: whether tiles begin at multiples of block_kv, as in prefill; else where what is read begins."""
    longest_first: bool = False
    """Prefill: the q tiles of a head from last to first, so that under a causal mask the longest begin."""
    pad_head_dim: PadRule = "none"
    """Padding of head dimensions in the scratchpad and the products: none, next power of two, a multiple, or the next
    of some sizes."""
    whole_rows: bool = False
    """Whether products and exponentials take all block_q rows of a program, queries or not."""
    cluster: Positive = 1
    """Prefill: programs of neighbouring q tiles that each load a part of every contiguous tile of K and V, and pass it
    on to one another (thread block cluster, multicast); used where it divides the q tiles."""
    pack_group: bool = True
    """Decode: the query rows of a group's heads (q_len x heads, token by token) are packed into programs of block_q
    rows, of which the last takes what is left; false: each head has programs of its own."""
    combine: bool = True
    """Decode with splits: a last set of programs merges the partial outputs; false leaves them, in fp32 and also where
    there is a single split, to another kernel."""
    step_cycles: tuple[int, int] = (0, 0)
    """Cycles that the kernel's code takes for a step, whatever its data: of a program alone on a core, and of the
    core's issue slots; (0, 0) leaves it to the units. See `workloads.kernel.Code`."""
    once_cycles: tuple[int, int] = (0, 0)
    """The same for a program's code outside its steps."""
    launch_cycles: tuple[int, int] = (0, 0)
    """Cycles that a launch takes once, beside its programs: of the launch, and for each program that begins with it."""
    merge: Merge | None = None
    """How partial outputs are merged; absent: a program for every 8 query rows, heads included."""
    query_first: bool = False
    """Whether a program waits for its query rows before it asks for K and V."""
    lists_ahead: int = Field(default=1, ge=0, le=1)
    """Tiles by which index lists are asked for ahead of the rows that they name; 0: when these have a buffer."""
    engine: Engine | None = None
    """How it feeds the units; absent: products at the unit's own rate, then the softmax, whatever the instruction."""

    _padding = field_validator("pad_head_dim")(ascending)


@dataclass(frozen=True)
class Budget:
    """What a chip offers to a program."""

    cores: int
    """Cores that programs are dealt to."""
    scratchpad_bytes: int
    """On-chip memory of one core, shared by the programs resident there."""
    max_programs: int
    """Programs that may be resident on a core at once."""
    multicast: int = 1
    """Cores that one load of a matrix product's operands can serve; 1: none but its own."""
    request_bytes: int = 128
    """Bytes of a row that a copy should ask for at once: the width of a swizzled row of a GPU's scratchpad (CUTLASS,
    DeepGEMM), or the largest request of a DMA engine."""
    architecture: str | None = None
    """What its kernels are compiled for, such as sm90; empty: nothing that a kernel is described for; None: kernels
    are not held against it."""
    pace: Pace | None = None
    """How fast it feeds programs; None: tiles of 64 tokens, and WAVES programs a core in decode."""

    def __post_init__(self) -> None:
        for name in ("cores", "scratchpad_bytes", "max_programs", "multicast", "request_bytes"):
            if getattr(self, name) < 1:
                raise WorkloadError(f"budget {name} is {getattr(self, name)}, must be at least 1; pass the chip's")


@dataclass(frozen=True)
class FittedTiling:
    """A tiling in which every figure is known."""

    block_q: int
    """Query rows of a program."""
    block_kv: int
    """Tokens of a tile."""
    splits: int
    """Programs that share the context of one row of programs."""
    stages: int
    """Tiles in flight."""
    resident: int
    """Programs that run on a core at once."""
    heads: int
    """Query heads that share rows of programs: 1, or the group when packed."""
    scratchpad_bytes: int
    """What one program needs."""


def padded(dim: int, rule: PadRule) -> int:
    """`dim` padded by `rule`: "none", "pow2", a multiple, or ascending sizes of which the next is taken."""
    if rule == "none":
        return dim
    if rule == "pow2":
        return 1 << (dim - 1).bit_length()
    if isinstance(rule, tuple):
        found = next((size for size in rule if size >= dim), None)
        if found is None:
            raise WorkloadError(f"head dimension {dim} exceeds {rule[-1]}, the largest of the kernel; lower it")
        return found
    return -(-dim // int(rule)) * int(rule)


def scratchpad_bytes(
    shape: AttentionShape,
    dtypes: DTypes,
    pad_head_dim: PadRule,
    block_q: int,
    block_kv: int,
    stages: int,
) -> int:
    """Bytes of scratchpad of one program: `stages` tiles of K and V and one of Q, padded; scores stay in registers."""
    k_row = padded(shape.head_dim, pad_head_dim)
    v_row = 0 if shape.v_in_k else padded(shape.value_dim, pad_head_dim)
    tile = block_kv * (k_row * element_bytes(dtypes.k) + v_row * element_bytes(dtypes.v))
    return stages * tile + block_q * k_row * element_bytes(dtypes.q)


def fit_tiling(
    tiling: Tiling,
    shape: AttentionShape,
    dtypes: DTypes,
    phase: Phase,
    budget: Budget,
    tokens: int,
    own_lists: bool,
    pieces: float = 0,
) -> FittedTiling:
    """Resolve every "auto" of `tiling` for a chip.

    `tokens` is the length of the token list that one row of programs walks in decode; `own_lists` says that each
    query head selects for itself, so that heads cannot be packed; `pieces` are the pieces of memory in which a token
    comes, 0 where a tile is one. Raises WorkloadError if nothing fits the scratchpad.
    """
    packs = phase == "decode" and tiling.pack_group and not own_lists
    block_q, block_kv, stages = _fit_tiles(tiling, shape, dtypes, phase, budget, tiling.pack_group and not own_lists)
    heads = shape.group if packs else 1
    if tiling.parts is not None and (phase == "prefill" or tiling.splits != 1):
        raise WorkloadError(
            f"tiling.parts is {tiling.parts} in {phase} with splits {tiling.splits}, must be in decode with splits 1; "
            "set tiling.splits: 1, or leave parts out"
        )
    if phase == "prefill" and tiling.splits not in ("auto", 1):
        raise WorkloadError(f"tiling.splits is {tiling.splits} in prefill, must be 1; use phase: decode to split")
    sizes = _Sizes(tiling, shape, dtypes, budget, block_q, stages, heads)
    blocks = [block_kv]
    if tiling.block_kv == "auto" and budget.pace:
        blocks = sizes.blocks(block_kv, tokens if phase == "decode" else shape.kv_len)
    splits = tiling.splits if isinstance(tiling.splits, int) else 1
    if phase == "decode" and (tiling.splits == "auto" or len(blocks) > 1):
        block_kv, splits = sizes.launched(blocks, tokens, pieces)
    elif len(blocks) > 1:
        block_kv = sizes.steady(blocks)
    need = sizes.need(block_kv)
    most = max(1, min(budget.max_programs, budget.scratchpad_bytes // need))
    resident: int = most if tiling.resident == "auto" else tiling.resident
    if resident > most:
        raise WorkloadError(
            f"{resident} resident programs of {need} B exceed a core of {budget.scratchpad_bytes} B "
            f"and {budget.max_programs} programs; lower tiling.resident to {most}"
        )
    return FittedTiling(block_q, block_kv, splits, stages, resident, heads, need)


@dataclass(frozen=True)
class _Sizes:
    """A tiling whose rows and stages are known: what is left to be chosen by the chip's pace."""

    tiling: Tiling
    shape: AttentionShape
    dtypes: DTypes
    budget: Budget
    block_q: int
    stages: int
    heads: int

    @property
    def packed(self) -> int:
        """Query rows that are packed into the same programs: those of all tokens and of the heads that share them."""
        return self.heads * self.shape.q_len

    @property
    def rows(self) -> int:
        """Rows of programs in decode."""
        return self.shape.batch * self.shape.q_heads // self.heads * ceil(self.packed / self.block_q)

    def walk(self, pieces: float) -> Walk:
        """What a program of a decode does for each token."""
        return walk_of(self.shape, self.dtypes, min(self.block_q, self.packed), pieces)

    def need(self, block_kv: int) -> int:
        """Bytes of scratchpad of a program."""
        return _need(self.tiling, self.shape, self.dtypes, self.block_q, block_kv, self.stages)

    def resident(self, block_kv: int) -> int:
        """Programs that a core has room for."""
        room = max(1, min(self.budget.max_programs, self.budget.scratchpad_bytes // self.need(block_kv)))
        return min(room, self.tiling.resident) if isinstance(self.tiling.resident, int) else room

    def blocks(self, smallest: int, tokens: int) -> list[int]:
        """Tokens of a tile, doubled as long as tiles fit and hold no more than the context."""
        found = [smallest]
        while found[-1] < tokens and self.need(2 * found[-1]) <= self.budget.scratchpad_bytes:
            found.append(2 * found[-1])
        return found

    def steady(self, blocks: list[int]) -> int:
        """Tokens of a tile in prefill: the fewest with which a core is about as quick for a token as with any."""
        pace, walk = self.budget.pace, walk_of(self.shape, self.dtypes, self.block_q, 0)
        assert pace is not None
        times = {
            block: cycle(pace, walk, self.budget.cores, self.resident(block), self.stages, block, not pace.cached)
            / (block * self.resident(block))
            for block in blocks
        }
        return next(block for block, time in times.items() if time <= NEAR * min(times.values()))

    def launched(self, blocks: list[int], tokens: int, pieces: float) -> tuple[int, int]:
        """Tokens of a tile, one of `blocks`, and splits of a decode that the launcher reckons to be quickest."""
        rows, budget, pace = self.rows, self.budget, self.budget.pace
        if pace is None:
            wanted = ceil(min(WAVES, budget.max_programs) * budget.cores / rows)
            return blocks[0], max(1, min(wanted, ceil(tokens / blocks[0])))
        walk = self.walk(pieces)
        times: dict[tuple[int, int], float] = {}
        for block in blocks:
            resident, tiles = self.resident(block), max(1, ceil(tokens / block))
            most = min(tiles, max(MOST_WAVES, ceil(MOST_WAVES * budget.cores * resident / rows)))
            given = self.tiling.splits
            for splits in [given] if isinstance(given, int) else range(1, most + 1):
                times[block, splits] = self.decode_time(pace, walk, tokens, block, splits)
        least = {block: min(time for (other, _), time in times.items() if other == block) for block in blocks}
        block = next(block for block, time in least.items() if time <= NEAR * min(least.values()))
        return next(chosen for chosen, time in times.items() if chosen[0] == block and time <= FEWER * least[block])

    def decode_time(self, pace: Pace, walk: Walk, tokens: int, block: int, splits: int) -> float:
        """Time in ps that a decode is reckoned to take, launch apart."""
        cost = duration(pace, walk, self._places(block), self.rows, (splits, max(1, tokens)), block)
        return cost + (self._merge(pace, splits) if splits > 1 else 0)

    def prefill_time(self, pace: Pace, block: int) -> float:
        """The same of a prefill, whose programs read all of the context."""
        walk, shape = walk_of(self.shape, self.dtypes, self.block_q, 0), self.shape
        programs = shape.batch * shape.q_heads * ceil(shape.q_len / self.block_q)
        return duration(pace, walk, self._places(block), programs, (1, shape.kv_len), block, not pace.cached)

    def _places(self, block: int) -> Places:
        """Where its programs run, with tiles of `block` tokens."""
        return Places(self.budget.cores, self.resident(block), self.stages)

    def _merge(self, pace: Pace, splits: int) -> float:
        """Time in ps to write partial outputs and, where it belongs to the kernel, to merge them."""
        calls = self.shape.batch * self.shape.q_heads // self.heads
        partial = 4 * calls * splits * self.packed * self.shape.value_dim
        written = partial * PS / pace.memory
        if not self.tiling.combine:
            return written
        programs = calls * ceil(self.packed / MERGED)
        started = pace.start * ceil(programs / self.budget.cores) + pace.dispatch * min(programs, self.budget.cores)
        return 2 * written + pace.barrier + started + 2 * pace.latency


def reckoned(
    tiling: Tiling,
    fitted: FittedTiling,
    shape: AttentionShape,
    dtypes: DTypes,
    phase: Phase,
    budget: Budget,
    tokens: int,
    pieces: float,
) -> float:
    """Time in ps that a launcher reckons a tiling to take, to tell likely tilings from others; see `fit_tiling`.

    Raises WorkloadError for a chip of which no pace is known.
    """
    pace, block = budget.pace, fitted.block_kv
    if pace is None:
        raise WorkloadError("the chip's pace is not known, so no tiling can be reckoned; pass budget.pace")
    sizes = _Sizes(tiling, shape, dtypes, budget, fitted.block_q, fitted.stages, fitted.heads)
    if phase == "prefill":
        return sizes.prefill_time(pace, block)
    return sizes.decode_time(pace, sizes.walk(pieces), tokens, block, fitted.splits)


def walk_of(shape: AttentionShape, dtypes: DTypes, rows: int, pieces: float) -> Walk:
    """What a program of `rows` query rows does for each token of one KV head."""
    k_row, v_row = shape.head_dim * element_bytes(dtypes.k), shape.value_dim * element_bytes(dtypes.v)
    tensors = 1 if shape.v_in_k else 2
    size = k_row + (0 if shape.v_in_k else v_row)
    return Walk(size, rows * (shape.head_dim + shape.value_dim), rows, dtypes.q, tensors * pieces, pieces > 0, tensors)


def _fit_tiles(
    tiling: Tiling,
    shape: AttentionShape,
    dtypes: DTypes,
    phase: Phase,
    budget: Budget,
    pack: bool,
) -> tuple[int, int, int]:
    """The first (block_q, block_kv, stages) that fits: fewer stages, then smaller tiles, then one stage, then rows."""
    block_qs, block_kvs, deep, shallow = [tiling.block_q], [tiling.block_kv], [tiling.stages], []
    if tiling.block_q == "auto":
        rows = LARGEST_ROWS if phase == "prefill" else shape.q_len * (shape.group if pack else 1)
        largest = min(LARGEST_ROWS, -(-rows // SMALLEST_TILE) * SMALLEST_TILE)
        if phase == "prefill":
            largest = _fed_rows(shape, dtypes, budget)
        block_qs = [*_halvings(largest, SMALLEST_TILE)]
    if tiling.block_kv == "auto":
        block_kvs = [*_halvings(DEFAULT_TILE, SMALLEST_TILE)]
    if tiling.stages == "auto":
        deep, shallow = ([3, 2] if shape.head_dim <= (64 if phase == "prefill" else 128) else [2]), [1]
    need = 0
    for block_q in block_qs:
        for depths in (deep, shallow):
            for block_kv in block_kvs:
                for stages in depths:
                    fit = int(block_q), int(block_kv), int(stages)
                    need = _need(tiling, shape, dtypes, *fit)
                    if need <= budget.scratchpad_bytes:
                        return fit
    if tiling.scratchpad_bytes is not None:
        raise WorkloadError(
            f"a program takes {need} B of scratchpad, the core has {budget.scratchpad_bytes} B; lower "
            "tiling.scratchpad_bytes, or leave it out"
        )
    raise WorkloadError(
        f"the smallest tile needs {need} B of scratchpad, the core has {budget.scratchpad_bytes} B; "
        'lower tiling.block_q, block_kv or stages, or leave them "auto", or lower shape.head_dim'
    )


def _fed_rows(shape: AttentionShape, dtypes: DTypes, budget: Budget) -> int:
    """Query rows of a program in prefill: LARGEST_ROWS, doubled while the units are not fed and every core still gets
    a program."""
    rows, heads = LARGEST_ROWS, shape.batch * shape.q_heads
    while (
        budget.pace
        and not fed(budget.pace, walk_of(shape, dtypes, rows, 0), budget.cores)
        and 2 * rows <= shape.q_len
        and heads * ceil(shape.q_len / (2 * rows)) >= budget.cores
    ):
        rows *= 2
    return rows


def _need(tiling: Tiling, shape: AttentionShape, dtypes: DTypes, block_q: int, block_kv: int, stages: int) -> int:
    """Bytes of scratchpad of one program: as given, or as its tiles need."""
    if tiling.scratchpad_bytes is not None:
        return tiling.scratchpad_bytes
    return scratchpad_bytes(shape, dtypes, tiling.pad_head_dim, block_q, block_kv, stages)


def _halvings(largest: int, least: int) -> list[int]:
    sizes = [largest]
    while sizes[-1] // 2 >= least:
        sizes.append(sizes[-1] // 2)
    return sizes
