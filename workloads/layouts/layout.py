"""Addresses of each tensor: strides of heads and tokens, pages, and the bases of all tensors.

A row of K or V is stored as parts, and a part as one piece or, in NZ, as several. A slot describes the addresses of a
part; the addresses of every layout follow from its slots.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layouts.kinds import FRACTAL, NZ_BYTES, Contiguous, Layout, Paged, RowPart
from memgrain.workloads.shape import AttentionShape, DTypes, element_bytes

__all__ = ["ALIGNMENT", "Contiguous", "Grid", "Layout", "Paged", "Placement", "Slot", "StridedRows", "bases", "place"]

ALIGNMENT = 2 << 20
"""Alignment of every tensor, as an allocator of large pages gives it (2 MiB)."""

Grid = tuple[int, int]
"""Numbering of gathered pieces of tokens: difference of numbers between pages, and between pieces."""


@dataclass(frozen=True)
class StridedRows:
    """Strided pieces, relative to the first byte of a head: `count` pieces of `bytes` bytes, `stride` apart."""

    offset: int
    stride: int
    count: int
    bytes: int


@dataclass(frozen=True)
class Slot:
    """Addresses of one part of the rows of K or V: for token t of a page (of a sequence, without pages) and head h,
    piece i lies at `page * number + head * h + offset + stride * t + apart * i`."""

    name: str
    """Base of its runs: K, V, or a name of its own."""
    tensor: str
    """Tensor that holds it."""
    page: int
    """Bytes from a page (a sequence) to the next."""
    head: int
    """Bytes from a head to the next."""
    offset: int
    """Bytes from a head's first byte to the part of its first token."""
    stride: int
    """Bytes from a token to the next."""
    bytes: int
    """Bytes of a piece."""
    pieces: int
    """Pieces of the part: more than 1 only in NZ."""
    apart: int
    """Bytes from a piece to the next; 0 if there is one."""

    @property
    def adjacent(self) -> bool:
        """Whether pieces of neighbouring tokens are adjacent."""
        return self.stride == self.bytes

    def stretch(self, token: int, tokens: int) -> StridedRows:
        """The part's rows of `tokens` neighbouring tokens of a page or sequence."""
        offset, size = self.offset + token * self.stride, tokens * self.bytes
        if self.pieces > 1:
            return StridedRows(offset, self.apart, self.pieces, size) if size < self.apart else self._whole()
        if self.adjacent or tokens == 1:
            return StridedRows(offset, 0, 1, size)
        return StridedRows(offset, self.stride, tokens, self.bytes)

    def adjoining(self, tokens: int) -> Iterator[StridedRows]:
        """Contiguous ranges of the part's rows of `tokens` adjacent tokens: one; in NZ several, except for whole
        pages."""
        if self.pieces > 1 and tokens * self.bytes == self.apart:
            yield self._whole()
            return
        for piece in range(self.pieces):
            yield StridedRows(self.offset + piece * self.apart, 0, 1, tokens * self.bytes)

    def grid(self, piece: int, paged: bool) -> Grid:
        """The numbering of pieces of `piece` tokens."""
        unit = self.unit(piece, paged)
        return (self.page // unit if paged else 0), piece * self.stride // unit

    def unit(self, piece: int, paged: bool) -> int:
        """Bytes per number."""
        return math.gcd(self.page, piece * self.stride) if paged else piece * self.stride

    def _whole(self) -> StridedRows:
        return StridedRows(self.offset, 0, 1, self.pieces * self.apart)


@dataclass(frozen=True, eq=False)
class Placement:
    """Addresses of the rows of Q, K, V and O for one shape and layout."""

    layout: Contiguous | Paged
    shape: AttentionShape
    dtypes: DTypes
    table: NDArray[np.int32] | None
    """Physical page of each logical page, [contexts, pages of a context]; None without pages."""

    @property
    def contexts(self) -> int:
        """Sets of K and V: one for each batch entry, or one for all."""
        return 1 if self.layout.shared else self.shape.batch

    @property
    def paged(self) -> bool:
        """Whether K and V are found through a block table."""
        return isinstance(self.layout, Paged)

    def context(self, batch: int) -> int:
        """Index of the K and V that a batch entry reads."""
        return 0 if self.layout.shared else batch

    @cached_property
    def slots(self) -> dict[str, tuple[Slot, ...]]:
        """The slots of the rows of K and V."""
        return {name: tuple(self._slots(name)) for name in self.shape.kv_tensors}

    def tensor_bytes(self, name: str) -> dict[str, int]:
        """Bytes of each tensor that holds rows of Q, K, V or O, whole pages included."""
        if name in "QO":
            return {name: self.shape.batch * self.shape.q_heads * self.shape.q_len * self.row(name)}
        number = self.contexts * (-(-self.shape.kv_len // self._tokens) if self.paged else 1)
        return {slot.tensor: number * slot.page for slot in self.slots[name]}

    def bytes_of(self, name: str) -> int:
        """Bytes of Q, K, V or O in memory, all tensors of its parts and whole pages included."""
        return sum(self.tensor_bytes(name).values())

    def row(self, name: str) -> int:
        """Bytes of a row (one token, one head), all parts together."""
        return sum(part.bytes for part in self._parts(name))

    def row_bytes(self, name: str) -> dict[str, int]:
        """Bytes of a row of K or V in each of its tensors."""
        found: dict[str, int] = {}
        for slot in self.slots[name]:
            found[slot.tensor] = found.get(slot.tensor, 0) + slot.bytes * slot.pieces
        return found

    def origin(self, name: str, batch: int, head: int) -> int:
        """Offset of a head's first byte of Q or O."""
        heads, length = self.shape.q_heads, self.shape.q_len
        if self._heads_apart:
            return (batch * heads + head) * length * self.row(name)
        return (batch * length * heads + head) * self.row(name)

    def begin(self, slot: Slot, batch: int, head: int) -> int:
        """Offset of a head's first byte of K or V in the slot's tensor; with pages, relative to page 0."""
        return head * slot.head + (0 if self.paged else self.context(batch) * slot.page)

    def packed(self, name: str, first: int, last: int, heads: int) -> list[StridedRows]:
        """Packed rows [first, last) of `heads` neighbouring heads of Q or O. Row r belongs to token r // heads and head
        r % heads; adjacent ranges are joined."""
        found: list[StridedRows] = []
        while first < last:
            token, head = divmod(first, heads)
            whole = not head and last - first >= heads
            tokens, wide = ((last - first) // heads, heads) if whole else (1, min(heads - head, last - first))
            found.append(self._rectangle(name, token, tokens, head, wide))
            if len(found) > 1 and _adjoin(*found[-2:]):
                found[-2:] = [StridedRows(found[-2].offset, 0, 1, found[-2].bytes + found[-1].bytes)]
            first += tokens * wide
        return found

    def _rectangle(self, name: str, token: int, tokens: int, head: int, heads: int) -> StridedRows:
        """Rows of neighbouring tokens and heads of Q or O, relative to the first byte of head 0."""
        row, length, wide = self.row(name), self.shape.q_len, self.shape.q_heads
        if self._heads_apart:
            offset, stride, count, size = (head * length + token) * row, length * row, heads, tokens * row
        else:
            offset, stride, count, size = (token * wide + head) * row, wide * row, tokens, heads * row
        return (
            StridedRows(offset, 0, 1, count * size)
            if size == stride or count == 1
            else StridedRows(offset, stride, count, size)
        )

    def stored(self, name: str, batch: int, head: int, token: int) -> Iterator[tuple[str, int, int]]:
        """The tensor, the offset in it and the bytes of each piece of one row of K or V."""
        page, within = 0, token
        if self.table is not None:
            page, within = int(self.table[self.context(batch), token // self._tokens]), token % self._tokens
        for slot in self.slots[name]:
            begin = self.begin(slot, batch, head) + page * slot.page + slot.offset + within * slot.stride
            for piece in range(slot.pieces):
                yield slot.tensor, begin + piece * slot.apart, slot.bytes

    def piece(self, unit: int) -> int:
        """Tokens of a gathered piece if aligned units of `unit` tokens are gathered: as many as are adjacent in
        memory."""
        if not self.slots["K"][0].adjacent:
            return 1
        return self.block(unit)

    def block(self, unit: int) -> int:
        """Tokens of an aligned unit of `unit` tokens that lie in one page, so that their rows are at one distance."""
        return math.gcd(unit, self._tokens) if self.paged else unit

    def grids(self, piece: int) -> tuple[Grid, ...]:
        """The numberings of gathered pieces of `piece` tokens, each once: slots with one numbering share a list."""
        found = [slot.grid(piece, self.paged) for slots in self.slots.values() for slot in slots]
        return tuple(dict.fromkeys(found))

    def numbers(self, batch: int, tokens: NDArray[np.int32], piece: int, grid: Grid) -> NDArray[np.int32]:
        """Numbers, in the numbering `grid`, of the pieces that begin at `tokens` (multiples of `piece`)."""
        if self.table is None:
            return tokens // np.int32(piece) * np.int32(grid[1])
        pages, size = self.table[self.context(batch)], self._tokens
        first: NDArray[np.int32] = pages[tokens // size] * np.int32(grid[0])
        return first + tokens % size // np.int32(piece) * np.int32(grid[1])

    def check(self) -> None:
        """Raise WorkloadError for parts of V if there is no V, and for rows that are not whole pieces of NZ."""
        if self.shape.v_in_k and self.layout.v_parts is not None:
            raise WorkloadError("layout.v_parts is given and shape.v_in_k is true, so there is no V; leave v_parts out")
        for name in self.shape.kv_tensors if self._nz else "":
            for part in self._parts(name):
                if part.bytes % NZ_BYTES:
                    raise WorkloadError(
                        f"{part.bytes} B of a row of {name} in NZ, whose pieces are {NZ_BYTES} B (16 elements of two "
                        f"bytes, 32 of one); {self._mend(name, -(-part.bytes // NZ_BYTES) * NZ_BYTES)}"
                    )

    def _mend(self, name: str, size: int) -> str:
        """The mend that gives a part of a row of K or V `size` bytes."""
        layout, shape = self.layout, self.shape
        if (layout.k_parts if name == "K" else layout.v_parts) is not None:
            return f"set bytes in layout.{name.lower()}_parts to {size}"
        if name == "K" and layout.k_row_bytes is not None:
            return f"set layout.k_row_bytes to {size}"
        elements = size // element_bytes(self.dtypes.k if name == "K" else self.dtypes.v)
        return f"set shape.head_dim{'_v' if name == 'V' and shape.head_dim_v else ''} to {elements}"

    @property
    def _heads_apart(self) -> bool:
        """Whether Q and O are [batch, head, token, dim]."""
        return self.layout.kind in ("bnsd", "nz")

    @property
    def _nz(self) -> bool:
        return self.layout.kind == "nz" or (isinstance(self.layout, Paged) and self.layout.inner == "nz")

    @property
    def _tokens(self) -> int:
        """Tokens of a page; without pages, the padded tokens of a sequence."""
        if isinstance(self.layout, Paged):
            return self.layout.page
        return -(-self.shape.kv_len // FRACTAL) * FRACTAL if self._nz else self.shape.kv_len

    def _parts(self, name: str) -> tuple[RowPart, ...]:
        layout = self.layout
        stated = {"K": layout.k_parts, "V": layout.v_parts}.get(name)
        if stated is not None:
            return stated
        if name == "K" and layout.k_row_bytes is not None:
            return (RowPart(bytes=layout.k_row_bytes),)
        dim = self.shape.head_dim if name in "QK" else self.shape.value_dim
        types = {"Q": self.dtypes.q, "K": self.dtypes.k, "V": self.dtypes.v, "O": self.dtypes.o}
        return (RowPart(bytes=dim * element_bytes(types[name])),)

    def _slots(self, name: str) -> Iterator[Slot]:
        parts, tokens, heads = self._parts(name), self._tokens, self.shape.kv_heads
        inner = self.layout.inner if isinstance(self.layout, Paged) else self.layout.kind
        multiple = self.layout.page_multiple if isinstance(self.layout, Paged) else 1
        rows: dict[str, int] = {}
        for part in parts:
            rows[part.tensor or name] = rows.get(part.tensor or name, 0) + part.bytes
        before = dict.fromkeys(rows, 0)
        for number, part in enumerate(parts):
            tensor, size = part.tensor or name, part.bytes
            page = -(-tokens * heads * rows[tensor] // multiple) * multiple
            mine = f"{name}.{number}" if number else name
            offset, pieces = tokens * before[tensor], 1
            if self._nz:
                pieces, size = size // NZ_BYTES, NZ_BYTES
            if inner in ("nhd", "bsnd"):
                yield Slot(mine, tensor, page, size, offset * heads, size * heads, size, 1, 0)
            else:
                apart = tokens * size if pieces > 1 else 0
                yield Slot(mine, tensor, page, tokens * rows[tensor], offset, size, size, pieces, apart)
            before[tensor] += part.bytes


def _adjoin(one: StridedRows, other: StridedRows) -> bool:
    """Whether two single pieces are adjacent."""
    return one.count == other.count == 1 and one.offset + one.bytes == other.offset


def place(layout: Contiguous | Paged, shape: AttentionShape, dtypes: DTypes) -> Placement:
    """The placement of a shape; draws the block table of a paged layout.

    Raises WorkloadError if rows do not fit the layout, or if their numbers exceed 31 bits.
    """
    found = Placement(layout, shape, dtypes, None)
    found.check()
    if not isinstance(layout, Paged):
        return found
    pages = -(-shape.kv_len // layout.page)
    numbers = max(grid[0] for grid in found.grids(1))
    if found.contexts * pages * max(numbers, layout.page * shape.kv_heads) > 2**31 - 1:
        raise WorkloadError(
            f"{found.contexts * pages} pages of {layout.page} tokens and {shape.kv_heads} heads exceed "
            "2**31 - 1 pieces of rows; lower shape.batch or shape.kv_len"
        )
    physical = np.arange(found.contexts * pages, dtype=np.int32)
    if layout.placement == "shuffled":
        np.random.Generator(np.random.PCG64(layout.seed)).shuffle(physical)
    return Placement(layout, shape, dtypes, physical.reshape(found.contexts, pages))


def bases(sizes: dict[str, int]) -> dict[str, int]:
    """Base addresses of tensors of the given sizes: in order, aligned, not overlapping."""
    found, end = {}, 0
    for name, size in sizes.items():
        found[name] = end
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return found
