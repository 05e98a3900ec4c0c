"""Templates of programs: of a row (a batch entry and heads), or of a dealt part; chunks shift them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.kernels.deal import Segment
from memgrain.workloads.kernels.program import Geometry, ProgramWriter, Template, TokenRange, shares, tile_ranges
from memgrain.workloads.kernels.tiling import FittedTiling
from memgrain.workloads.layouts.layout import StridedRows
from memgrain.workloads.patterns import Range
from memgrain.workloads.workload import Workload


@dataclass(frozen=True, eq=False)
class Cut:
    """Which programs share the context of each sequence."""

    workload: Workload
    """The call, with its tiling."""
    dealt: tuple[tuple[Segment, ...], ...]
    """Segments of each program where tiles are dealt, without empty programs; empty: contexts are split evenly."""
    splits: tuple[int, ...]
    """Splits of each batch entry."""

    def partial(self, batch: int) -> bool:
        """Whether programs write partial outputs of a batch entry: its context is split, or another kernel merges."""
        combine = self.workload.tiling.combine
        return self.workload.phase == "decode" and (self.splits[batch] > 1 or not combine)

    @cached_property
    def before(self) -> NDArray[np.int64]:
        """Rows of partial outputs before those of each batch entry, and of all."""
        shape, entries = self.workload.shape, range(self.workload.shape.batch)
        rows = [self.splits[batch] * shape.q_heads * shape.q_len * self.partial(batch) for batch in entries]
        return np.cumsum([0, *rows], dtype=np.int64)

    @property
    def accumulator_bytes(self) -> int:
        """Bytes of all fp32 partial outputs."""
        return 4 * int(self.before[-1]) * self.workload.shape.value_dim


def queries_of(workload: Workload, fitted: FittedTiling, tile: int) -> Range:
    """First and last query of a q tile; in decode the only tile has all of them."""
    if workload.phase == "decode":
        return 0, workload.shape.q_len
    return tile * fitted.block_q, min((tile + 1) * fitted.block_q, workload.shape.q_len)


def _writer(workload: Workload, geometry: Geometry, parts: list[list[TokenRange]], tiles: range) -> ProgramWriter:
    """The writer for programs of q tiles `tiles`."""
    placed = geometry.place
    entries = [part for tile in tiles for part in parts[tile] if part.selected]
    listed, piece, paged = sum(part.tokens for part in entries), geometry.list_piece, geometry.page_piece
    pages_at = len(placed.grids(piece)) * (listed // piece)
    entries_at = pages_at + len(placed.grids(paged)) * ceil(workload.shape.kv_len / paged)
    return ProgramWriter(geometry, entries[0].start if entries else 0, listed, pages_at, entries_at)


def row_template(
    cut: Cut, fitted: FittedTiling, geometry: Geometry, parts: list[list[TokenRange]], tiles: range
) -> Template:
    """The programs of a row for q tiles `tiles`."""
    workload, heads = cut.workload, fitted.heads
    writer = _writer(workload, geometry, parts, tiles)
    for tile in reversed(tiles) if workload.tiling.longest_first else tiles:
        walks = list(shares(parts[tile], fitted.block_kv, fitted.splits, geometry.reverse))
        for rows in _blocks(workload, fitted, tile):
            for split, walked in enumerate(walks):
                writer.begin(rows.start % heads, tile % geometry.cluster)
                _walk(writer, cut, fitted, rows, walked, Segment(0, 0, 0, split))
    return writer.template(tiles)


def dealt_template(
    cut: Cut, fitted: FittedTiling, geometry: Geometry, parts: list[list[TokenRange]], segments: tuple[Segment, ...]
) -> Template:
    """The programs of a kv head that walk `segments`, one for each block of query rows."""
    writer = _writer(cut.workload, geometry, parts, range(1))
    for rows in _blocks(cut.workload, fitted, 0):
        writer.begin(rows.start % fitted.heads, 0)
        for segment in segments:
            walked = tile_ranges(parts[0], fitted.block_kv, segment.first, segment.last, geometry.reverse)
            _walk(writer, cut, fitted, rows, walked, segment)
    return writer.template(range(1))


def _blocks(workload: Workload, fitted: FittedTiling, tile: int) -> Iterator[range]:
    """Packed query rows of each program of a q tile."""
    first, last = (query * fitted.heads for query in queries_of(workload, fitted, tile))
    for begin in range(first, last, fitted.block_q):
        yield range(begin, min(begin + fitted.block_q, last))


def _walk(
    writer: ProgramWriter,
    cut: Cut,
    fitted: FittedTiling,
    rows: range,
    walked: list[tuple[TokenRange, int, int]],
    segment: Segment,
) -> None:
    """Write the program's steps for packed query rows `rows` of a segment: read them, process the tokens, write the
    output."""
    workload, shape, placed = cut.workload, cut.workload.shape, writer.geometry.place
    writer.query(placed.packed("Q", rows.start, rows.stop, fitted.heads), segment.sequence)
    for part, begin, end in walked:
        writer.walk(part, begin, end, fitted.block_q if workload.tiling.whole_rows else len(rows))
    if not cut.partial(segment.sequence):
        writer.end([("O", written) for written in placed.packed("O", rows.start, rows.stop, fitted.heads)])
        return
    before = segment.split * fitted.heads * shape.q_len + rows.start
    sums = StridedRows(4 * before * shape.value_dim, 0, 1, 4 * len(rows) * shape.value_dim)
    writer.end([("partial", sums), ("lse", StridedRows(4 * before, 0, 1, 4 * len(rows)))])
