"""Steps and runs of a program from the token ranges that it reads, relative to the first byte of each head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import gcd

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.layouts.layout import Paged, Placement, Slot, StridedRows
from memgrain.workloads.trace import JOINED, PROGRAM, READ, RUN, STEP, WRITE, Records

ORIGINS = ("Q", "K", "V", "O", "indices", "table", "partial", "lse")
"""Names of run bases; the chunk of a row of programs adds the addresses of its head. Further parts of rows of K and V
follow."""


@dataclass(frozen=True)
class TokenRange:
    """A range of the tokens that a program reads, cut into tiles of its own."""

    selected: bool
    """Whether tokens are gathered through an index list, or streamed."""
    start: int
    """First token if streamed; first entry of the row's index lists if selected."""
    tokens: int
    """Tokens of the stretch."""


@dataclass(frozen=True, eq=False)
class Template:
    """Programs of one row (batch entry and heads), which every row repeats with other origins."""

    programs: Records
    """PROGRAM records whose head is counted from the first head of the row."""
    steps: Records
    """STEP records."""
    runs: Records
    """RUN records whose base is relative to `origins`."""
    origins: NDArray[np.uint8]
    """For each run, what its base is relative to: a position in `Geometry.origins`."""
    sequences: NDArray[np.uint32]
    """For each run, the batch entry that it belongs to; 0 where the row decides."""
    tiles: range
    """The q tiles whose index lists the template's chunk holds."""


@dataclass(frozen=True)
class Geometry:
    """Properties that all tiles of a kernel share."""

    place: Placement
    block_kv: int
    """Tokens of a tile."""
    k_dim: int
    """Head dimension of the first product, padded."""
    v_dim: int
    """Head dimension of the second product, padded."""
    reverse: bool
    """Whether tiles are processed from last to first."""
    query_first: bool
    """Whether the query rows must arrive before anything else is requested."""
    cluster: int
    """Programs that each load a part of every tile that is not a gather; 1: each loads all."""
    list_piece: int
    """Tokens of a piece gathered through an index list."""
    page_piece: int
    """Tokens of a piece gathered through the block table."""
    list_block: int
    """Tokens of an aligned part of a gathered tile whose rows lie at one regular distance: of the selected units."""
    page_block: int
    """The same of a tile streamed through the block table: of the pages."""
    tensors: tuple[str, ...]
    """Tensor names in the order of the trace."""

    @cached_property
    def origins(self) -> tuple[str, ...]:
        """ORIGINS, and the names of further parts of rows."""
        return (*ORIGINS, *(slot.name for slots in self.place.slots.values() for slot in slots[1:]))


@dataclass
class ProgramWriter:
    """Collects the programs of a template; one method for each part of the kernel's loop."""

    geometry: Geometry
    first_entry: int
    """First entry of the index lists that the chunk holds; the chunk's indices begin with it."""
    entries: int
    """Entries of the index lists in the chunk, which holds one copy for each numbering of pieces."""
    pages_at: int
    """Position of the physical pages in the chunk's indices, for each numbering."""
    entries_at: int
    """Position in the chunk's indices of the block-table entries of tile parts, for tiles that are not whole pages."""
    _programs: list[tuple[int, ...]] = field(default_factory=list)
    _steps: list[tuple[int, ...]] = field(default_factory=list)
    _runs: list[tuple[int, ...]] = field(default_factory=list)
    _origins: list[int] = field(default_factory=list)
    _sequences: list[int] = field(default_factory=list)
    _member: int = 0
    _sequence: int = 0

    def begin(self, head: int, member: int) -> None:
        """Begin a program, number `member` of its cluster, whose first query row belongs to `head`, counted from the
        first head of the row of programs."""
        self._member = member
        self._programs.append((len(self._steps), 0, 0, head))

    def query(self, queries: list[StridedRows], sequence: int = 0) -> None:
        """Add a step that reads the query rows of a batch entry, whose tokens follow."""
        self._sequence = sequence
        first = len(self._runs)
        for rows in queries:
            self._run("Q", "Q", rows, READ)
        waited, beside = (len(queries), 0) if self.geometry.query_first else (0, len(queries))
        self._steps.append((first, waited, beside, 0, 1, 0, 0, 0, 0, 0, 0, 0))

    def walk(self, part: TokenRange, first: int, last: int, rows: int) -> None:
        """Add tiles [first, last) of `part` for `rows` query rows: one step repeated for full tiles, one for a cut
        tile."""
        size, reverse = self.geometry.block_kv, self.geometry.reverse
        full = min(last, part.tokens // size)
        steps = [(first if not reverse else full - 1, full - first, size)] if full > first else []
        if full < last:
            steps.insert(0 if reverse else len(steps), (full, 1, part.tokens - full * size))
        for tile, repeats, tokens in steps:
            first_run = len(self._runs)
            index_runs = self._index_runs(part, tile, tokens)
            for slots in self.geometry.place.slots.values():
                for slot in slots:
                    self._load_rows(slot, part, tile, tokens)
            loads = len(self._runs) - first_run - index_runs
            self._steps.append(
                (
                    first_run,
                    index_runs,
                    loads,
                    0,
                    repeats,
                    rows,
                    size,
                    self.geometry.k_dim,
                    rows,
                    self.geometry.v_dim,
                    size,
                    rows * size,
                )
            )

    def end(self, stores: list[tuple[str, StridedRows]]) -> None:
        """Add a step that writes `stores`: the last of the program so far."""
        first = len(self._runs)
        for origin, rows in stores:
            self._run(origin, "partial" if origin == "lse" else origin, rows, WRITE)
        self._steps.append((first, 0, 0, len(stores), 1, 0, 0, 0, 0, 0, 0, 0))
        begun, _, _, head = self._programs[-1]
        self._programs[-1] = (begun, len(self._steps) - begun, 0, head)

    def template(self, tiles: range) -> Template:
        """The collected programs as arrays."""
        return Template(
            np.array(self._programs, PROGRAM),
            np.array(self._steps, STEP),
            np.array(self._runs, RUN),
            np.array(self._origins, np.uint8),
            np.array(self._sequences, np.uint32),
            tiles,
        )

    def _run(
        self, origin: str, tensor: str, rows: StridedRows, op: int, index: int = -1, advance: int = 0, block: int = 1
    ) -> None:
        number = self.geometry.tensors.index(tensor)
        self._runs.append((rows.offset, rows.stride, rows.count, rows.bytes, index, advance, op, number, block))
        self._origins.append(self.geometry.origins.index(origin))
        self._sequences.append(self._sequence)

    def _index_runs(self, part: TokenRange, tile: int, tokens: int) -> int:
        """Add the read of the index list (4 B a token) or of the block table (4 B a page); returns the number of
        runs."""
        size, layout = self.geometry.block_kv, self.geometry.place.layout
        step = -1 if self.geometry.reverse else 1
        if part.selected:
            entry = StridedRows(4 * (part.start + tile * size), 0, 1, 4 * tokens)
            self._run("indices", "indices", entry, READ, advance=4 * step * size)
        elif not isinstance(layout, Paged):
            return 0
        elif size % layout.page == 0:
            page = (part.start + tile * size) // layout.page
            entries = StridedRows(4 * page, 0, 1, 4 * -(-tokens // layout.page))
            self._run("table", "table", entries, READ, advance=4 * step * (size // layout.page))
        else:
            grain = gcd(size, layout.page)
            at = self.entries_at + (part.start + tile * size) // grain
            entries = StridedRows(0, 4, -(-tokens // grain), 4)
            self._run("table", "table", entries, READ, index=at, advance=step * (size // grain))
        return 1

    def _load_rows(self, slot: Slot, part: TokenRange, tile: int, tokens: int) -> None:
        """Add the reads of a part of a tile's rows of K or V."""
        geometry, size, paged = self.geometry, self.geometry.block_kv, self.geometry.place.paged
        step = -1 if geometry.reverse else 1
        token = part.start + tile * size
        if not part.selected and not paged:
            first, last = (tokens * (self._member + i) // geometry.cluster for i in (0, 1))
            if first < last:
                own = slot.stretch(token + first, last - first)
                self._run(slot.name, slot.tensor, own, READ, advance=step * size * slot.stride)
            return
        piece = geometry.list_piece if part.selected else geometry.page_piece
        at, held = self.pages_at + token // piece, -(-geometry.place.shape.kv_len // piece)
        if part.selected:
            at, held = (token - self.first_entry) // piece, self.entries // piece
        at += held * geometry.place.grids(piece).index(slot.grid(piece, paged))
        unit, (whole, rest) = slot.unit(piece, paged), divmod(tokens, piece)
        block = (geometry.list_block if part.selected else geometry.page_block) // piece
        for i, one in enumerate(slot.adjoining(piece) if whole else ()):
            rows, on = StridedRows(one.offset, unit, whole, one.bytes), step * (size // piece)
            self._run(slot.name, slot.tensor, rows, READ, at, on, JOINED if i else block)
        for i, one in enumerate(slot.adjoining(rest) if rest else ()):
            end = StridedRows(one.offset, unit, 1, one.bytes)
            self._run(slot.name, slot.tensor, end, READ, at + whole, block=JOINED if i else 1)


def shares(
    parts: list[TokenRange], block_kv: int, splits: int, reverse: bool
) -> Iterator[list[tuple[TokenRange, int, int]]]:
    """For each split, the ranges that it reads: contiguous shares of whole tiles, in order."""
    share = -(-tiles_of(parts, block_kv) // splits)
    for split in range(splits):
        yield tile_ranges(parts, block_kv, split * share, (split + 1) * share, reverse)


def tiles_of(parts: list[TokenRange], block_kv: int) -> int:
    """Tiles of all parts."""
    return sum(-(-part.tokens // block_kv) for part in parts)


def tile_ranges(
    parts: list[TokenRange], block_kv: int, low: int, high: int, reverse: bool
) -> list[tuple[TokenRange, int, int]]:
    """The (part, first tile, last tile) of tiles [low, high) of all parts, in processing order."""
    found, begin = [], 0
    for part in parts:
        count = -(-part.tokens // block_kv)
        first, last = max(low - begin, 0), min(high - begin, count)
        if first < last:
            found.append((part, first, last))
        begin += count
    return found[::-1] if reverse else found
