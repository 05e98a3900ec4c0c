"""Layouts as YAML writes them: the order of the axes, pages, and the parts of rows of K and V."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError

RowBytes = Annotated[int, Field(ge=1, le=2**20)]


class RowPart(BaseModel):
    """A part of a row of K or V that is stored separately, such as scales or the elements that carry the position."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: RowBytes
    """Bytes of the part."""
    tensor: str | None = Field(default=None, pattern="^[KV]_[a-z0-9_]+$")
    """A tensor of its own (K_rope), with K's layout; absent: a region of K, after those of the parts before."""


RowParts = Annotated[tuple[RowPart, ...], Field(max_length=16)]


class Contiguous(BaseModel):
    """Tensors without pages: bnsd is [batch, head, token, dim], bsnd is [batch, token, head, dim].

    nz is the fractal order of the Ascend, [batch, head, dim / 16, token, 16] for elements of two bytes, with tokens
    padded to a multiple of 16: a row lies in pieces of 32 bytes. It applies to K and V; Q and O are then bnsd.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["bnsd", "bsnd", "nz"]
    """Order of the axes."""
    k_row_bytes: RowBytes | None = None
    """Bytes of a row of K, if it holds more than its elements (scales, a part of another type); absent: the
    elements'."""
    k_parts: RowParts | None = None
    """Parts of a row of K, in order; absent: one part. The first lies in K."""
    v_parts: RowParts | None = None
    """Parts of a row of V."""
    shared: bool = False
    """Whether all batch entries read the same K and V, stored once: queries of a prompt's chunk that each read their
    own tokens, or samples of one prompt."""

    @model_validator(mode="after")
    def _agree(self) -> Contiguous:
        agree(self.k_row_bytes, self.k_parts, self.v_parts)
        return self


class Paged(BaseModel):
    """K and V in pages of tokens, found through a block table (int32, one entry a page); Q and O are bsnd."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["paged"]
    """Name of the layout."""
    page: int = Field(ge=1, le=2**20)
    """Tokens of a page."""
    inner: Literal["hnd", "nhd", "nz"]
    """Order within the pool: hnd is [page, kv_head, token, dim], nhd is [page, token, kv_head, dim], nz (PA_NZ of the
    Ascend) [page, kv_head, dim / 16, token, 16] for elements of two bytes, [.., dim / 32, token, 32] for one."""
    k_row_bytes: RowBytes | None = None
    """As in a layout without pages."""
    k_parts: RowParts | None = None
    """As in a layout without pages. Parts of one tensor are regions of each page, and in hnd of each head's range of
    the page: first the first parts of all tokens, then their second parts."""
    v_parts: RowParts | None = None
    """Parts of a row of V."""
    page_multiple: int = Field(default=1, ge=1, le=2**20)
    """Multiple, in bytes, to which pages are padded."""
    placement: Literal["shuffled", "contiguous"] = "shuffled"
    """Whether physical pages are in random order, as after long service, or consecutive, as after a fresh start."""
    seed: int = Field(default=0, ge=0)
    """Seed of the shuffle."""
    shared: bool = False
    """As in a layout without pages; the block table is also stored once."""

    @model_validator(mode="after")
    def _agree(self) -> Paged:
        agree(self.k_row_bytes, self.k_parts, self.v_parts)
        if self.inner == "nz" and self.page % FRACTAL:
            raise WorkloadError(
                f"pages of {self.page} tokens in NZ, which cuts tokens into blocks of {FRACTAL}; set layout.page to "
                f"{-(-self.page // FRACTAL) * FRACTAL}"
            )
        return self


Layout = Annotated[Contiguous | Paged, Field(discriminator="kind")]

FRACTAL = 16
"""Tokens of a fractal of NZ; its rows are NZ_BYTES wide."""
NZ_BYTES = 32
"""Bytes of a piece of a row in NZ: 16 elements of two bytes, 32 of one."""


def agree(k_row_bytes: int | None, k_parts: RowParts | None, v_parts: RowParts | None) -> None:
    """Raise WorkloadError for parts that contradict the row's bytes, or that name a tensor of another row."""
    if k_row_bytes is not None and k_parts is not None:
        total = sum(part.bytes for part in k_parts)
        raise WorkloadError(
            f"k_row_bytes {k_row_bytes} beside k_parts, which give {total} B a row; leave layout.k_row_bytes out"
        )
    for name, parts in (("K", k_parts), ("V", v_parts)):
        if parts is not None and not parts:
            raise WorkloadError(f"layout.{name.lower()}_parts is empty; name a part, or leave it out")
        for number, part in enumerate(parts or ()):
            if part.tensor is not None and (number == 0 or part.tensor[0] != name):
                rule = "must lie in {}; leave its tensor out" if not number else "must be named {0}_x; name it {0}_x"
                raise WorkloadError(f"part {number} of a row of {name} lies in {part.tensor}, {rule.format(name)}")
