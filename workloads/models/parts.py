"""Parts of a model: heads, and the cache rows of a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.shape import DType, element_bytes

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


class ModelRecord(BaseModel):
    """Base record of all parts of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class CacheComponent:
    """Rows of one component of a layer's cache, for one sequence."""

    component: str
    """Name: `window KV`, `selected K`, `index`, ..."""
    rows: int
    """Number of rows, over all KV heads of the layer."""
    row_bytes: int
    """Bytes of a row."""

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.rows * self.row_bytes


@dataclass(frozen=True)
class TokenRows:
    """Cache rows of a token in a layer."""

    streams: tuple[tuple[str, int], ...]
    """Tensors of the cache by letter, with the bytes of a row of one head: K and V, or KV if a row is both."""
    kv_heads: int
    """Heads with rows of their own."""
    group: int
    """Query heads to a KV head."""
    index_bytes: int
    """Bytes of an indexer's key; 0 if the cache has none."""

    def of(self, what: str, tokens: int, lists: int = 1) -> tuple[CacheComponent, ...]:
        """The rows of `tokens` tokens in all heads, `lists` times for each head."""
        heads = self.kv_heads * lists
        return tuple(CacheComponent(f"{what} {stream}", tokens * heads, size) for stream, size in self.streams)

    def index(self, what: str, keys: int) -> tuple[CacheComponent, ...]:
        """`keys` keys of the indexer, which all heads share."""
        return (CacheComponent(what, keys, self.index_bytes),)


class Grouped(ModelRecord):
    """Query heads in groups, each with a K head and a V head (grouped-query; kv_heads = q_heads: multi-head)."""

    kind: Literal["grouped"]
    """The kind of heads."""
    q_heads: Count | None = None
    """Query heads; absent where no source says."""
    kv_heads: Count
    """K heads, and as many V heads."""
    head_dim: Count
    """Elements of a row of Q and K."""
    head_dim_v: Count | None = None
    """Elements of a row of V; head_dim where absent."""

    @model_validator(mode="after")
    def _fits(self) -> Grouped:
        if self.q_heads is not None and self.q_heads % self.kv_heads:
            raise WorkloadError(f"q_heads {self.q_heads} is no multiple of kv_heads {self.kv_heads}; correct one")
        return self

    @property
    def elements(self) -> tuple[tuple[str, int], ...]:
        """Tensors of the cache with the elements of a row of one head."""
        return ("K", self.head_dim), ("V", self.head_dim_v or self.head_dim)


class Latent(ModelRecord):
    """Multi-head latent attention: all heads share a row with the latent, of which K and V are made, and a rotated
    part."""

    kind: Literal["latent"]
    """The kind of heads."""
    q_heads: Count
    """Query heads."""
    kv_rank: Count
    """Elements of the latent."""
    rope: Count
    """Elements that carry the position, in the row and in each head."""
    nope: Count
    """Elements of a head of Q and K without position, before absorption."""
    v: Count
    """Elements of a head of V, before absorption."""
    q_rank: Count | None = None
    """Elements of the queries' latent; absent where no source says."""

    kv_heads: Literal[1] = 1
    """One row for all heads."""

    @property
    def elements(self) -> tuple[tuple[str, int], ...]:
        """Tensors of the cache with the elements of a row."""
        return (("KV", self.kv_rank + self.rope),)


class Shared(ModelRecord):
    """One row for all query heads that is K and V at once (DeepSeek V4)."""

    kind: Literal["shared"]
    """The kind of heads."""
    q_heads: Count
    """Query heads."""
    head_dim: Count
    """Elements of the row, rotated ones included."""
    rope: Count
    """Rotated elements among them."""
    q_rank: Count
    """Elements of the queries' latent."""
    o_groups: Count
    """Groups of heads in the output projection."""
    o_rank: Count
    """Elements of a group's latent in that projection."""

    kv_heads: Literal[1] = 1
    """One row for all heads."""

    @property
    def elements(self) -> tuple[tuple[str, int], ...]:
        """Tensors of the cache with the elements of a row."""
        return (("KV", self.head_dim),)


Heads = Annotated[Grouped | Latent | Shared, Field(discriminator="kind")]


class CacheForm(ModelRecord):
    """A form of the cache: all elements of one type, or rows of fixed bytes with scales and padding."""

    title: str = Field(min_length=1)
    """Content of a row, and the program that stores it so."""
    element: DType | None = None
    """Type of every element of a row."""
    kv_row: Count | None = None
    """Bytes of a row, if its elements have several types."""
    index_row: Count | None = None
    """Bytes of an indexer's key with its scale; absent if no layer scans an index."""

    def rows(self, heads: Grouped | Latent | Shared) -> TokenRows:
        """The rows of a token in this form; raises WorkloadError if their length is not given."""
        if (self.element is None) == (self.kv_row is None):
            raise WorkloadError("a cache has either element or kv_row; give one of them")
        if self.kv_row is not None and len(heads.elements) > 1:
            raise WorkloadError(f"kv_row {self.kv_row} for {heads.kind} heads, whose K and V are apart; give element")
        size = element_bytes(self.element) if self.element else 0
        streams = tuple((stream, self.kv_row or elements * size) for stream, elements in heads.elements)
        group = (heads.q_heads or heads.kv_heads) // heads.kv_heads
        return TokenRows(streams, heads.kv_heads, group, self.index_row or 0)
