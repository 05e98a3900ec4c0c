"""The tiled attention loop as a trace: programs, steps and runs in the kernel's order.

In decode, splits vary fastest, then blocks of packed query rows, then heads, then batch entries (FlashDecoding). In
prefill, q tiles vary fastest, then query heads, then batch entries (FlashAttention-2). A row of programs shares one
batch entry and KV head. All rows differ only in their origins and index lists, so one template is written and every
chunk shifts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.distinct import distinct_tokens, pages_read
from memgrain.workloads.kernels.deal import deal, splits_of
from memgrain.workloads.kernels.kernel import tiled
from memgrain.workloads.kernels.launcher import MERGED, estimated_tiling_time, fit_tiling
from memgrain.workloads.kernels.pace import Spread
from memgrain.workloads.kernels.pairs import pairs_of_head
from memgrain.workloads.kernels.program import ORIGINS, Geometry, Template, TokenRange, tiles_of
from memgrain.workloads.kernels.templates import Cut, dealt_template, queries_of, row_template
from memgrain.workloads.kernels.tiling import Budget, FittedTiling, padded
from memgrain.workloads.layouts.layout import Paged, Placement, bases, place
from memgrain.workloads.patterns import Range, merged
from memgrain.workloads.selection import list_of, lists_of
from memgrain.workloads.steps.merge import Merge
from memgrain.workloads.trace import PROGRAM, READ, RUN, STEP, WRITE, Chunk, Tensor, Trace
from memgrain.workloads.workload import Workload

LARGEST_LISTS = 1 << 22
"""Most selected tokens of a chunk, before its q tiles are spread over several chunks (16 MiB of indices)."""
LINE = 512
"""Alignment, in bytes, of the log-sum-exps that follow the partial accumulators."""


@dataclass(frozen=True, eq=False)
class AttentionChunks:
    """The chunk stream of an attention call: one chunk for each row of programs and range of q tiles."""

    workload: Workload
    fitted: FittedTiling
    geometry: Geometry
    cut: Cut
    """Which programs share each context."""
    templates: tuple[Template, ...]
    """Templates of the programs of a row, one for each range of q tiles; where tiles are dealt, of a KV head, one for
    each part."""
    bases: dict[str, int]
    """Base address of each tensor."""
    list_tokens: int
    """Entries of the index lists of a row, for all q tiles together."""
    streams: bool
    """Whether any token is read without an index list."""

    def __call__(self) -> Iterator[Chunk]:
        """The chunks in launch order."""
        yield from self._dealt() if self.cut.dealt else self._rows()
        merge = self.workload.tiling.merge
        if "O" in self.bases and ("partial" in self.bases or (merge is not None and merge.always)):
            yield self._merge()

    def _rows(self) -> Iterator[Chunk]:
        """The chunks of each row and range of q tiles."""
        shape = self.workload.shape
        for batch in range(shape.batch):
            paged = self._page_numbers(batch)
            held: tuple[int, range, NDArray[np.int32]] | None = None
            for head, template in product(range(0, shape.q_heads, self.fitted.heads), self.templates):
                selection, indices = self.workload.selection, paged
                if selection is not None:
                    number = list_of(selection.share, shape, head)
                    if held is None or held[:2] != (number, template.tiles):
                        lists = self._lists(batch, number, template.tiles)
                        held = number, template.tiles, np.concatenate([*lists, paged])
                    indices = held[2]
                programs, runs = template.programs.copy(), template.runs.copy()
                programs["batch"] = batch
                programs["head"] += head
                runs["base"] += self._origins(batch, head)[template.origins]
                yield Chunk(programs, template.steps, runs, indices)

    def _dealt(self) -> Iterator[Chunk]:
        """The chunks of each part and KV head; segments belong to neighbouring batch entries."""
        shape, selection = self.workload.shape, self.workload.selection
        for segments, template in zip(self.cut.dealt, self.templates, strict=True):
            first, last = segments[0].sequence, segments[-1].sequence
            for head in range(0, shape.q_heads, self.fitted.heads):
                number = 0 if selection is None else list_of(selection.share, shape, head)
                found = [
                    np.concatenate([*self._lists(batch, number, template.tiles), self._page_numbers(batch)])
                    for batch in range(first, last + 1)
                ]
                origins = np.stack([self._origins(batch, head) for batch in range(first, last + 1)])
                programs, runs, place = template.programs.copy(), template.runs.copy(), template.sequences - first
                programs["batch"] = first
                programs["head"] += head
                runs["base"] += origins[place, template.origins]
                runs["index"] += (runs["index"] >= 0) * place.astype(np.int64) * len(found[0])
                yield Chunk(programs, template.steps, runs, np.concatenate(found))

    def _lists(self, batch: int, number: int, tiles: range) -> list[NDArray[np.int32]]:
        """Numbers of the gathered pieces of q tiles `tiles`, once for each numbering."""
        selection, unit, piece = self.workload.selection, self.workload.unit, self.geometry.list_piece
        placed, found = self.geometry.place, []
        for tile in tiles if selection is not None else ():
            assert selection is not None
            candidates = self.workload.visits(*queries_of(self.workload, self.fitted, tile)).candidates
            if candidates[0] < candidates[1]:
                first = selection.choose(batch, number, tile, candidates, unit)
                within = np.arange(0, unit, piece, dtype=np.int32)
                tokens: NDArray[np.int32] = first if piece == unit else (first[:, None] + within).ravel()
                found.append(tokens)
        return [placed.numbers(batch, tokens, piece, grid) for grid in placed.grids(piece) for tokens in found]

    def _page_numbers(self, batch: int) -> NDArray[np.int32]:
        """Numbers of all page pieces of a sequence, once for each numbering; where tiles are not whole pages, also the
        block-table entry of each part of a tile within one page."""
        layout, size, tokens = self.workload.layout, self.geometry.block_kv, self.workload.shape.kv_len
        if not isinstance(layout, Paged) or not self.streams:
            return np.zeros(0, np.int32)
        piece, placed = self.geometry.page_piece, self.geometry.place
        begin = np.arange(0, tokens, piece, dtype=np.int32)
        found = [placed.numbers(batch, begin, piece, grid) for grid in placed.grids(piece)]
        if size % layout.page:
            grain = gcd(size, layout.page)
            found.append(np.arange(0, tokens, grain, dtype=np.int32) // np.int32(layout.page))
        return np.concatenate(found)

    def _origins(self, batch: int, head: int) -> NDArray[np.uint64]:
        """Base addresses of the runs of a row, in the order of `Geometry.origins`."""
        shape, placed = self.workload.shape, self.geometry.place
        found = dict.fromkeys(ORIGINS, 0) | self.bases
        for name in "QO":
            found[name] += placed.origin(name, batch, head)
        for slot in (slot for slots in placed.slots.values() for slot in slots):
            found[slot.name] = self.bases[slot.tensor] + placed.begin(slot, batch, head // shape.group)
        if self.workload.selection is not None:
            share = self.workload.selection.share
            number = batch * lists_of(share, shape) + list_of(share, shape, head)
            found["indices"] += 4 * number * self.list_tokens
        if isinstance(self.workload.layout, Paged):
            found["table"] += 4 * placed.context(batch) * -(-shape.kv_len // self.workload.layout.page)
        if "partial" in self.bases:
            before = int(self.cut.before[batch]) + head * shape.q_len * self.cut.splits[batch]
            accumulators = self.cut.accumulator_bytes
            found["lse"] = found["partial"] + -(-accumulators // LINE) * LINE + 4 * before
            found["partial"] += 4 * before * shape.value_dim
        return np.array([found[name] for name in self.geometry.origins], np.uint64)

    def _merge(self) -> Chunk:
        """The programs that merge the partial outputs of each row's splits, or end at once where nothing is split."""
        shape, fitted = self.workload.shape, self.fitted
        plain = Merge(rows=MERGED, columns=shape.value_dim, ahead=max(self.cut.splits))
        merge = self.workload.tiling.merge or plain
        lines, stretches = fitted.heads * shape.q_len, ceil(shape.value_dim / merge.columns)
        programs: list[tuple[int, ...]] = []
        steps: list[tuple[int, ...]] = []
        runs: list[tuple[int, ...]] = []
        for batch in range(shape.batch):
            for head in range(0, shape.q_heads, fitted.heads):
                origins = dict(zip(self.geometry.origins, self._origins(batch, head).tolist(), strict=True))
                for first, stretch in product(range(0, lines, merge.rows), range(stretches)):
                    own = range(first, min(first + merge.rows, lines))
                    begun = len(steps)
                    for loads, stores, exps in self._merged(origins, batch, own, (stretch, stretches), merge):
                        steps.append((len(runs), 0, len(loads), len(stores), 1, 0, 0, 0, 0, 0, 0, exps))
                        runs += loads + stores
                    programs.append((begun, len(steps) - begun, batch, head + first % fitted.heads))
            for _ in range(merge.spare * stretches):
                programs.append((len(steps), 1, batch, 0))
                steps.append((len(runs), *[0] * 3, 1, *[0] * 7))
        arrays = np.array(programs, PROGRAM), np.array(steps, STEP), np.array(runs, RUN)
        return Chunk(*arrays, np.zeros(0, np.int32), barrier=True, once_cycles=merge.cycles)

    def _merged(
        self, origins: dict[str, int], batch: int, own: range, part: tuple[int, int], merge: Merge
    ) -> Iterator[tuple[list[tuple[int, ...]], list[tuple[int, ...]], int]]:
        """Reads, writes and exponentials of each step of a program that merges packed rows `own` of a row of programs;
        `part` is (number, count) of the part of their outputs."""
        shape, splits, heads, ahead = self.workload.shape, self.cut.splits[batch], self.fitted.heads, merge.ahead
        if not self.cut.partial(batch):
            yield [], [], 0
            return
        partial, output = (self.geometry.tensors.index(name) for name in ("partial", "O"))
        lines, mine = heads * shape.q_len, len(own)

        def rows(name: str, first: int, count: int, wide: int, whole: bool) -> tuple[int, ...]:
            stride, size = 4 * lines * wide, 4 * mine * wide
            begin, end = (0, size) if whole else (size * (part[0] + i) // part[1] for i in (0, 1))
            base = origins[name] + first * stride + 4 * own.start * wide + begin
            joined = (0, 1, count * stride) if end - begin == stride else (stride, count, end - begin)
            return base, *joined, -1, 0, READ, partial, 1

        stores: list[tuple[int, ...]] = []
        for written in self.geometry.place.packed("O", own.start, own.stop, heads):
            begin, end = (written.bytes * (part[0] + i) // part[1] for i in (0, 1))
            base = origins["O"] + written.offset + begin
            stores.append((base, written.stride, written.count, end - begin, -1, 0, WRITE, output, 1))
        for split in range(0, splits, ahead):
            count = min(ahead, splits - split)
            loads = [rows("partial", split, count, shape.value_dim, False)]
            if not split:
                loads.append(rows("lse", 0, splits, 1, True))
            yield loads, stores if split + ahead >= splits else [], count * mine


def attention(workload: Workload, budget: Budget) -> Trace:
    """The trace of an attention call on a chip with `budget`.

    Steps count the products of the kernel: whole tiles of block_kv tokens, head dimensions padded by
    `tiling.pad_head_dim`, and query rows as they are or padded to the tile (`tiling.whole_rows`). `Trace.macs` and
    `Trace.exps` count the algorithm's own work: pairs of a query and a token that it attends to. Raises WorkloadError
    if the tiling does not fit or the kernel is unknown.
    """
    workload = tiled(workload, budget)
    shape = workload.shape
    placed = place(workload.layout, shape, workload.dtypes)
    fitted = fit(workload, budget)
    parts, list_tokens = _all_parts(workload, fitted)
    streams = any(not part.selected for tile in parts for part in tile)
    tiles, wanted = tiles_of(parts[0], fitted.block_kv), workload.tiling.parts
    dealt = tuple(own for own in deal(shape.batch, tiles, wanted) if own) if wanted else ()
    cut = Cut(workload, dealt, splits_of(dealt) if wanted else (fitted.splits,) * shape.batch)
    sizes = _sizes(cut, placed, list_tokens, streams)
    pad = workload.tiling.pad_head_dim
    geometry = Geometry(
        placed,
        fitted.block_kv,
        padded(shape.head_dim, pad),
        padded(shape.value_dim, pad),
        workload.tiling.order == "reverse",
        workload.tiling.query_first,
        workload.tiling.cluster if len(parts) % workload.tiling.cluster == 0 else 1,
        placed.piece(gcd(workload.unit, fitted.block_kv)),
        placed.piece(fitted.block_kv),
        placed.block(gcd(workload.unit, fitted.block_kv)),
        placed.block(fitted.block_kv),
        tuple(sizes),
    )
    if dealt:
        templates = [dealt_template(cut, fitted, geometry, parts, segments) for segments in dealt]
    else:
        stretches = _stretches(parts)
        ordered = stretches[::-1] if workload.tiling.longest_first else stretches
        templates = [row_template(cut, fitted, geometry, parts, tiles) for tiles in ordered]
    chunks = AttentionChunks(workload, fitted, geometry, cut, tuple(templates), bases(sizes), list_tokens, streams)
    queries = [queries_of(workload, fitted, tile) for tile in range(len(parts))]
    useful = sizes | dict.fromkeys(sizes.keys() & {"partial"}, 0) | _needed_entries(workload, sizes, queries)
    read = distinct_tokens(workload, queries)
    pairs = shape.batch * shape.q_heads * pairs_of_head(workload)
    rows = [placed.row_bytes(name) for name in shape.kv_tensors]
    useful |= {tensor: read * size for row in rows for tensor, size in row.items()}
    return Trace(
        workload.name,
        tuple(Tensor(name, chunks.bases[name], sizes[name], useful[name]) for name in sizes),
        workload.dtypes.q,
        fitted.scratchpad_bytes,
        fitted.stages,
        fitted.resident,
        useful["Q"] + read * sum(sum(row.values()) for row in rows),
        useful.get("indices", 0) + useful.get("table", 0),
        placed.bytes_of("O"),
        chunks,
        workload.tiling.step_cycles,
        workload.tiling.once_cycles,
        workload.tiling.launch_cycles,
        workload.tiling.lists_ahead,
        workload.tiling.engine.plain() if workload.tiling.engine else None,
        mixed=True,
        macs=pairs * (shape.head_dim + shape.value_dim),
        exps=pairs,
    )


def fit(workload: Workload, budget: Budget) -> FittedTiling:
    """The tiling of a call without a named kernel, with every "auto" resolved; see `fit_tiling`."""
    own_lists = workload.selection is not None and workload.selection.share == "head"
    open_ends = budget, walked(workload), own_lists, _spread(workload)
    return fit_tiling(workload.tiling, workload.shape, workload.dtypes, workload.phase, *open_ends)


def estimated_time(workload: Workload, budget: Budget) -> float:
    """Estimated time in ps of a call without a named kernel, without the launch; see `estimated_tiling_time`."""
    call = workload.shape, workload.dtypes, workload.phase, budget, walked(workload), _spread(workload)
    return estimated_tiling_time(workload.tiling, fit(workload, budget), *call)


def walked(workload: Workload) -> int:
    """Tokens that a row of programs reads in decode; 0 in prefill."""
    return sum(workload.list_sizes(0, workload.shape.q_len)) if workload.phase == "decode" else 0


def _spread(workload: Workload) -> Spread:
    """How the rows that a program reads lie in memory: in selected units, pages, or a range of tokens."""
    placed, layout = Placement(workload.layout, workload.shape, workload.dtypes, None), workload.layout
    if workload.selection is not None:
        return Spread(1 / placed.block(workload.unit), placed.piece(workload.unit))
    if isinstance(layout, Paged):
        return Spread(1 / layout.page, placed.piece(layout.page))
    return Spread(0, 0 if placed.slots["K"][0].adjacent else 1)


def _all_parts(workload: Workload, fitted: FittedTiling) -> tuple[list[list[TokenRange]], int]:
    """The token ranges of every q tile in token order, and the entries of all index lists of a row."""
    tiles = 1 if workload.phase == "decode" else -(-workload.shape.q_len // fitted.block_q)
    found, entries, size, tokens = [], 0, fitted.block_kv, workload.shape.kv_len
    for tile in range(tiles):
        queries = queries_of(workload, fitted, tile)
        visits, (_, chosen) = workload.visits(*queries), workload.list_sizes(*queries)
        ranges = list(visits.ranges)
        if workload.phase == "prefill" or workload.tiling.aligned:
            ranges = [(a // size * size, min(-(-b // size) * size, tokens)) for a, b in ranges]
        elif isinstance(workload.layout, Paged):
            grain = gcd(workload.layout.page, size)
            ranges = [(a // grain * grain, b) for a, b in ranges]
        keyed = [(a, TokenRange(False, a, b - a)) for a, b in merged(ranges)]
        if chosen:
            keyed.append((visits.candidates[0], TokenRange(True, entries, chosen)))
            entries += chosen
        found.append([part for _, part in sorted(keyed, key=lambda item: item[0])])
    return found, entries


def _stretches(parts: list[list[TokenRange]]) -> list[range]:
    """Ranges of q tiles whose index lists together stay below LARGEST_LISTS entries."""
    found, first, held = [], 0, 0
    for tile, own in enumerate(parts):
        entries = sum(part.tokens for part in own if part.selected)
        if held and held + entries > LARGEST_LISTS:
            found.append(range(first, tile))
            first, held = tile, 0
        held += entries
    return [*found, range(first, len(parts))]


def _sizes(cut: Cut, placed: Placement, list_tokens: int, streams: bool) -> dict[str, int]:
    """Bytes of each tensor that the kernel touches, in memory order."""
    workload, shape, accumulators = cut.workload, cut.workload.shape, cut.accumulator_bytes
    sizes: dict[str, int] = {}
    for name in f"Q{shape.kv_tensors}{'O' if workload.tiling.combine or not accumulators else ''}":
        sizes |= placed.tensor_bytes(name)
    if workload.selection is not None and list_tokens:
        sizes["indices"] = 4 * shape.batch * lists_of(workload.selection.share, shape) * list_tokens
    if placed.table is not None and streams:
        sizes["table"] = placed.table.nbytes
    if accumulators:
        sizes["partial"] = ceil(accumulators / LINE) * LINE + accumulators // shape.value_dim
    return sizes


def _needed_entries(workload: Workload, sizes: dict[str, int], queries: list[Range]) -> dict[str, int]:
    """Bytes of index lists and block table that any kernel must read: 4 bytes for each unit of a list in decode and for
    each page that is streamed. Lists of a prefill are not counted: their number depends on the q tiles."""
    found = {}
    if "indices" in sizes:
        found["indices"] = sizes["indices"] // workload.unit if workload.phase == "decode" else 0
    if "table" in sizes and isinstance(workload.layout, Paged):
        found["table"] = 4 * pages_read(workload, workload.layout.page, queries)
    return found
