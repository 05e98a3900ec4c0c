"""A kernel's launcher: it resolves the automatic values of a tiling for a chip."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.pace import PS, Pace, ProgramSlots, Spread, Walk, cycle, duration, fed
from memgrain.workloads.kernels.tiling import LARGEST_ROWS, WAVES, Budget, FittedTiling, Tiling, scratchpad_bytes
from memgrain.workloads.shape import AttentionShape, DTypes, Phase, element_bytes

MERGED = 8
"""Query rows, heads included, of a merge program, if the kernel does not say otherwise (FlashMLA's)."""
MOST_WAVES = 8
"""Most programs per slot of a core that the search for splits tries if the chip's pace is known."""
NEAR, FULL = 1.01, 1.02
"""Ratio of times that the launcher treats as equal. Among equal tiles it takes the smaller one; among equal splits,
those that best fill whole waves of slots, then the fewest. The estimate leaves out the time of a program's own code,
which only full slots hide: a measured kernel on an H200 takes 123 us with two programs a core, 151 with one, and 388
with one on 48 of 132 cores (measurements/h200_splits.csv); the estimate gives about the same time for all three. For
the tile that the kernel has by itself, this rule takes the splits that were measured fastest. In a short call every
split costs merging, so full slots may cost at most 2 %."""
SMALLEST_TILE = 16
"""Fewest rows and tokens of an automatic tile (the side of a matrix unit's tile)."""
DEFAULT_TILE = 64
"""Tokens of an automatic tile if the chip's pace is unknown, and of the smallest tile that is tried if it is known."""
TOGETHER = Spread()
"""Rows of a tile that lie one after the other."""


def fit_tiling(
    tiling: Tiling,
    shape: AttentionShape,
    dtypes: DTypes,
    phase: Phase,
    budget: Budget,
    tokens: int,
    own_lists: bool,
    spread: Spread = TOGETHER,
) -> FittedTiling:
    """Resolve every "auto" of `tiling` for a chip.

    `tokens` is the length of the token list that one row of programs reads in decode. `own_lists` says that each query
    head has its own selection, so that heads cannot be packed. `spread` says how rows lie in memory. Raises
    WorkloadError if nothing fits the scratchpad.
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
        block_kv, splits = sizes.launched(blocks, tokens, spread)
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
    """A tiling with known rows and stages, of which the chip's pace decides the rest."""

    tiling: Tiling
    shape: AttentionShape
    dtypes: DTypes
    budget: Budget
    block_q: int
    stages: int
    heads: int

    @property
    def packed(self) -> int:
        """Query rows that share programs: those of all tokens and of the packed heads."""
        return self.heads * self.shape.q_len

    @property
    def rows(self) -> int:
        """Rows of programs in decode."""
        return self.shape.batch * self.shape.q_heads // self.heads * ceil(self.packed / self.block_q)

    def walk(self, spread: Spread) -> Walk:
        """Work of a decode program per token."""
        return walk_of(self.shape, self.dtypes, min(self.block_q, self.packed), spread)

    def need(self, block_kv: int) -> int:
        """Bytes of scratchpad of a program."""
        return _need(self.tiling, self.shape, self.dtypes, self.block_q, block_kv, self.stages)

    def resident(self, block_kv: int) -> int:
        """Programs that a core has room for."""
        room = max(1, min(self.budget.max_programs, self.budget.scratchpad_bytes // self.need(block_kv)))
        return min(room, self.tiling.resident) if isinstance(self.tiling.resident, int) else room

    def blocks(self, smallest: int, tokens: int) -> list[int]:
        """Candidate tokens of a tile: doubled as long as tiles fit and do not exceed the context."""
        found = [smallest]
        while found[-1] < tokens and self.need(2 * found[-1]) <= self.budget.scratchpad_bytes:
            found.append(2 * found[-1])
        return found

    def steady(self, blocks: list[int]) -> int:
        """Tokens of a tile in prefill: the fewest with which a core's time per token is within the tolerance of the
        best."""
        pace, walk = self.budget.pace, walk_of(self.shape, self.dtypes, self.block_q, TOGETHER)
        assert pace is not None
        times = {
            block: cycle(pace, walk, self.budget.cores, self.resident(block), self.stages, block, not pace.cached)
            / (block * self.resident(block))
            for block in blocks
        }
        return next(block for block, time in times.items() if time <= NEAR * min(times.values()))

    def launched(self, blocks: list[int], tokens: int, spread: Spread) -> tuple[int, int]:
        """Tokens of a tile, one of `blocks`, and splits of a decode with the shortest estimated time."""
        rows, budget, pace = self.rows, self.budget, self.budget.pace
        if pace is None:
            wanted = ceil(min(WAVES, budget.max_programs) * budget.cores / rows)
            return blocks[0], max(1, min(wanted, ceil(tokens / blocks[0])))
        walk = self.walk(spread)
        times: dict[tuple[int, int], float] = {}
        for block in blocks:
            resident, tiles = self.resident(block), max(1, ceil(tokens / block))
            most = min(tiles, max(MOST_WAVES, ceil(MOST_WAVES * budget.cores * resident / rows)))
            given = self.tiling.splits
            for splits in [given] if isinstance(given, int) else range(1, most + 1):
                times[block, splits] = self.decode_time(pace, walk, tokens, block, splits)
        least = {block: min(time for (other, _), time in times.items() if other == block) for block in blocks}
        block = next(block for block, time in least.items() if time <= NEAR * min(least.values()))
        alike = [splits for (size, splits), time in times.items() if size == block and time <= FULL * least[block]]
        slots = budget.cores * self.resident(block)
        return block, min(alike, key=lambda splits: (-_filled(rows * splits, slots), splits))

    def decode_time(self, pace: Pace, walk: Walk, tokens: int, block: int, splits: int) -> float:
        """Estimated time of a decode in ps, without the launch."""
        cost = duration(pace, walk, self._slots(block), self.rows, (splits, max(1, tokens)), block)
        return cost + (self._merge(pace, splits) if splits > 1 else 0)

    def prefill_time(self, pace: Pace, block: int) -> float:
        """Estimated time of a prefill in ps, whose programs read the whole context."""
        walk, shape = walk_of(self.shape, self.dtypes, self.block_q, TOGETHER), self.shape
        programs = shape.batch * shape.q_heads * ceil(shape.q_len / self.block_q)
        return duration(pace, walk, self._slots(block), programs, (1, shape.kv_len), block, not pace.cached)

    def _slots(self, block: int) -> ProgramSlots:
        """Slots of its programs for tiles of `block` tokens."""
        return ProgramSlots(self.budget.cores, self.resident(block), self.stages)

    def _merge(self, pace: Pace, splits: int) -> float:
        """Time in ps to write partial outputs, and to merge them if that belongs to the kernel."""
        calls = self.shape.batch * self.shape.q_heads // self.heads
        partial = 4 * calls * splits * self.packed * self.shape.value_dim
        written = partial * PS / pace.memory
        if not self.tiling.combine:
            return written
        programs = calls * ceil(self.packed / MERGED)
        merging = min(programs, self.budget.cores)
        read = partial * PS / min(pace.memory, merging * pace.port)
        started = pace.start * ceil(programs / self.budget.cores) + pace.dispatch * merging
        return written + read + pace.barrier + started + 2 * pace.latency


def _filled(programs: int, slots: int) -> float:
    """Share of the slots of whole waves that programs fill, to a hundredth."""
    return round(programs / (slots * ceil(programs / slots)), 2)


def estimated_tiling_time(
    tiling: Tiling,
    fitted: FittedTiling,
    shape: AttentionShape,
    dtypes: DTypes,
    phase: Phase,
    budget: Budget,
    tokens: int,
    spread: Spread,
) -> float:
    """Estimated time of a tiling in ps, for comparing tilings; see `fit_tiling`.

    Raises WorkloadError for a chip without a known pace.
    """
    pace, block = budget.pace, fitted.block_kv
    if pace is None:
        raise WorkloadError("the chip's pace is unknown, so no tiling can be estimated; pass budget.pace")
    sizes = _Sizes(tiling, shape, dtypes, budget, fitted.block_q, fitted.stages, fitted.heads)
    if phase == "prefill":
        return sizes.prefill_time(pace, block)
    return sizes.decode_time(pace, sizes.walk(spread), tokens, block, fitted.splits)


def walk_of(shape: AttentionShape, dtypes: DTypes, rows: int, spread: Spread) -> Walk:
    """Work of a program of `rows` query rows per token of one KV head."""
    k_row, v_row = shape.head_dim * element_bytes(dtypes.k), shape.value_dim * element_bytes(dtypes.v)
    tensors = 1 if shape.v_in_k else 2
    size = k_row + (0 if shape.v_in_k else v_row)
    each = tuple(spread.adjacent * row for row in (k_row, v_row)[:tensors]) if spread.adjacent else ()
    macs, pieces = rows * (shape.head_dim + shape.value_dim), tensors * spread.pieces
    return Walk(size, macs, rows, dtypes.q, pieces, pieces > 0, tensors, each, spread.adjacent or 1)


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
    """Query rows of a program in prefill: LARGEST_ROWS, doubled until the units are busy, as long as every core gets a
    program."""
    rows, heads = LARGEST_ROWS, shape.batch * shape.q_heads
    while (
        budget.pace
        and not fed(budget.pace, walk_of(shape, dtypes, rows, TOGETHER), budget.cores)
        and 2 * rows <= shape.q_len
        and heads * ceil(shape.q_len / (2 * rows)) >= budget.cores
    ):
        rows *= 2
    return rows


def _need(tiling: Tiling, shape: AttentionShape, dtypes: DTypes, block_q: int, block_kv: int, stages: int) -> int:
    """Bytes of scratchpad of one program: as given, or computed from its tiles."""
    if tiling.scratchpad_bytes is not None:
        return tiling.scratchpad_bytes
    return scratchpad_bytes(shape, dtypes, tiling.pad_head_dim, block_q, block_kv, stages)


def _halvings(largest: int, least: int) -> list[int]:
    sizes = [largest]
    while sizes[-1] // 2 >= least:
        sizes.append(sizes[-1] // 2)
    return sizes
