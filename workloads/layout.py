"""Where each tensor lies in memory: strides of heads and tokens, pages, and the bases of all tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from workloads.errors import WorkloadError
from workloads.shape import AttentionShape, DTypes, element_bytes

ALIGNMENT = 2 << 20
"""Every tensor begins at a multiple of this, as an allocator of large pages gives it (2 MiB)."""


class Contiguous(BaseModel):
    """Tensors without pages: bnsd is [batch, head, token, dim], bsnd is [batch, token, head, dim]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["bnsd", "bsnd"]
    """Order of the axes."""
    k_row_bytes: int | None = Field(default=None, ge=1, le=2**20)
    """Bytes of a row of K that holds more than its elements (scales, a part of another type); absent: the elements'."""


class Paged(BaseModel):
    """K and V in pages of tokens, found through a block table (int32, one entry a page); Q and O are bsnd."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["paged"]
    """Name of the layout."""
    page: int = Field(ge=1, le=2**20)
    """Tokens of a page."""
    inner: Literal["hnd", "nhd"]
    """Order within the pool: hnd is [page, kv_head, token, dim], nhd is [page, token, kv_head, dim]."""
    k_row_bytes: int | None = Field(default=None, ge=1, le=2**20)
    """As in a layout without pages."""
    placement: Literal["shuffled", "contiguous"] = "shuffled"
    """Physical pages in random order, as after long service, or one after another, as after a fresh start."""
    seed: int = Field(default=0, ge=0)
    """Seed of the shuffle."""


Layout = Annotated[Contiguous | Paged, Field(discriminator="kind")]


@dataclass(frozen=True)
class Rows:
    """Strided pieces, counted from the first byte of a head: `count` of `bytes` bytes, `stride` apart."""

    offset: int
    stride: int
    count: int
    bytes: int


@dataclass(frozen=True, eq=False)
class Placement:
    """Addresses of the rows of Q, K, V and O for one shape and layout."""

    layout: Contiguous | Paged
    shape: AttentionShape
    dtypes: DTypes
    table: NDArray[np.int32] | None
    """Physical page of each logical page, [batch, pages of a sequence]; None without pages."""

    def bytes_of(self, name: str) -> int:
        """Bytes of tensor Q, K, V or O in memory, whole pages included."""
        shape = self.shape
        if name in "QO":
            return shape.batch * shape.q_heads * shape.q_len * self.row(name)
        tokens = shape.batch * shape.kv_len
        if isinstance(self.layout, Paged):
            tokens = shape.batch * -(-shape.kv_len // self.layout.page) * self.layout.page
        return tokens * shape.kv_heads * self.row(name)

    def row(self, name: str) -> int:
        """Bytes of a row (one token, one head)."""
        if name == "K" and self.layout.k_row_bytes is not None:
            return self.layout.k_row_bytes
        dim = self.shape.head_dim if name in "QK" else self.shape.value_dim
        types = {"Q": self.dtypes.q, "K": self.dtypes.k, "V": self.dtypes.v, "O": self.dtypes.o}
        return dim * element_bytes(types[name])

    def origin(self, name: str, batch: int, head: int) -> int:
        """Offset of a head's first byte in its tensor; a paged K or V counts from page 0, which is any sequence's."""
        heads, length = self._sizes(name)
        if isinstance(self.layout, Paged) and name in "KV":
            return head * self.row(name) * (self.layout.page if self.layout.inner == "hnd" else 1)
        if self.layout.kind == "bnsd":
            return (batch * heads + head) * length * self.row(name)
        return (batch * length * heads + head) * self.row(name)

    def token_stride(self, name: str) -> int:
        """Bytes from a token's row to the next of the same head (in a page, where there are pages)."""
        adjacent = self.layout.kind == "bnsd"
        if isinstance(self.layout, Paged) and name in "KV":
            adjacent = self.layout.inner == "hnd"
        return self.row(name) * (1 if adjacent else self._sizes(name)[0])

    def tokens(self, name: str, token: int, tokens: int) -> Rows:
        """Rows of a contiguous token range of one head; one piece where rows are adjacent. Not for paged K and V."""
        stride, row = self.token_stride(name), self.row(name)
        if stride == row or tokens == 1:
            return Rows(token * stride, 0, 1, tokens * row)
        return Rows(token * stride, stride, tokens, row)

    def heads(self, name: str, token: int, tokens: int, heads: int) -> Rows:
        """Rows of `heads` neighbouring heads of Q or O (of one head, or of all tokens)."""
        if self.layout.kind == "bnsd":
            return self.tokens(name, token, tokens * heads)
        row, stride = self.row(name) * heads, self.token_stride(name)
        if row == stride or tokens == 1:
            return Rows(token * stride, 0, 1, tokens * row)
        return Rows(token * stride, stride, tokens, row)

    def piece(self, unit: int) -> int:
        """Tokens of a gathered piece when aligned units of `unit` tokens are gathered: what is adjacent in memory."""
        if self.token_stride("K") != self.row("K"):
            return 1
        return math.gcd(unit, self.layout.page) if isinstance(self.layout, Paged) else unit

    def numbers(self, batch: int, tokens: NDArray[np.int32], piece: int) -> NDArray[np.int32]:
        """Indices of the pieces that begin at `tokens` (multiples of `piece`), in units of piece x token_stride."""
        if self.table is None or not isinstance(self.layout, Paged):
            return tokens // np.int32(piece)
        page = self.layout.page
        rows = page * (self.shape.kv_heads if self.layout.inner == "hnd" else 1) // piece
        first: NDArray[np.int32] = self.table[batch][tokens // page] * np.int32(rows)
        return first + tokens % page // np.int32(piece)

    def _sizes(self, name: str) -> tuple[int, int]:
        shape = self.shape
        return (shape.q_heads, shape.q_len) if name in "QO" else (shape.kv_heads, shape.kv_len)


def place(layout: Contiguous | Paged, shape: AttentionShape, dtypes: DTypes) -> Placement:
    """The placement of a shape; draws the block table of a paged layout."""
    if not isinstance(layout, Paged):
        return Placement(layout, shape, dtypes, None)
    pages = -(-shape.kv_len // layout.page)
    if shape.batch * pages * layout.page * shape.kv_heads > 2**31 - 1:
        raise WorkloadError(
            f"{shape.batch * pages} pages of {layout.page} tokens and {shape.kv_heads} heads exceed "
            "2**31 - 1 rows; lower shape.batch or shape.kv_len"
        )
    physical = np.arange(shape.batch * pages, dtype=np.int32)
    if layout.placement == "shuffled":
        np.random.Generator(np.random.PCG64(layout.seed)).shuffle(physical)
    return Placement(layout, shape, dtypes, physical.reshape(shape.batch, pages))


def bases(sizes: dict[str, int]) -> dict[str, int]:
    """Base addresses of tensors of the given sizes: in order, aligned, not overlapping."""
    found, end = {}, 0
    for name, size in sizes.items():
        found[name] = end
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return found
