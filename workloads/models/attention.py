"""Kinds of attention layers, with the cache rows that each keeps of a sequence and reads in a decode step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from memgrain.workloads.models.parts import CacheComponent, Count, ModelRecord, TokenRows


class ModelIndexer(ModelRecord):
    """A small attention that scores every key to select the best."""

    heads: Count
    """Its query heads; all read the same key."""
    dim: Count
    """Elements of a key."""
    top_k: Count
    """Rows that it selects for a token, for all heads of the layer together."""


class Full(ModelRecord):
    """Every token is kept and read; with latent heads: MLA."""

    kind: Literal["full"]
    """The kind of attention."""

    def kept(self, rows: TokenRows, length: int) -> tuple[CacheComponent, ...]:
        """Rows kept of a sequence of `length` tokens."""
        return rows.of("all", length)

    def read(self, rows: TokenRows, context: int) -> tuple[CacheComponent, ...]:
        """Rows read by a decode step with a context of `context` tokens, the new one included."""
        return rows.of("all", context)


class WindowAttention(ModelRecord):
    """Only the last tokens are kept and read."""

    kind: Literal["sliding_window"]
    """The kind of attention."""
    window: Count
    """Tokens of the window, the query's own included."""
    sink_logit: bool | None = None
    """Whether the softmax includes a learned logit without a row; absent where no source says."""

    def kept(self, rows: TokenRows, length: int) -> tuple[CacheComponent, ...]:
        """See `Full.kept`."""
        return rows.of("window", min(length, self.window))

    def read(self, rows: TokenRows, context: int) -> tuple[CacheComponent, ...]:
        """See `Full.read`."""
        return self.kept(rows, context)


class Dsa(ModelRecord):
    """DeepSeek sparse attention: an indexer scans a key of each token and selects single tokens; all are kept."""

    kind: Literal["dsa"]
    """The kind of attention."""
    indexer: ModelIndexer
    """What selects."""

    def kept(self, rows: TokenRows, length: int) -> tuple[CacheComponent, ...]:
        """See `Full.kept`."""
        return rows.of("all", length) + rows.index("index", length)

    def read(self, rows: TokenRows, context: int) -> tuple[CacheComponent, ...]:
        """See `Full.read`."""
        return rows.of("selected", min(self.indexer.top_k, context)) + rows.index("index scan", context)


class Csa(ModelRecord):
    """Compressed sparse attention (DeepSeek V4): entries of `ratio` tokens, an indexer that selects some, a window."""

    kind: Literal["csa"]
    """The kind of attention."""
    ratio: Count
    """Tokens to an entry."""
    pool: Count
    """Tokens that contribute to an entry, those of its neighbour included."""
    window: Count
    """Last tokens that are kept and read uncompressed."""
    sink_logit: bool
    """Whether the softmax includes a learned logit without a row."""
    indexer: ModelIndexer
    """What selects entries."""

    def kept(self, rows: TokenRows, length: int) -> tuple[CacheComponent, ...]:
        """See `Full.kept`; the compressor's state is not counted."""
        entries = length // self.ratio
        window = rows.of("window", min(length, self.window))
        return window + rows.of("compressed", entries) + rows.index("index", entries)

    def read(self, rows: TokenRows, context: int) -> tuple[CacheComponent, ...]:
        """See `Full.read`; scores, lists and the compressor's state are not counted."""
        entries = context // self.ratio
        window = rows.of("window", min(context, self.window))
        return window + rows.of("selected", min(self.indexer.top_k, entries)) + rows.index("index scan", entries)


class Hca(ModelRecord):
    """Heavily compressed attention (DeepSeek V4): entries of `ratio` tokens, all of them read, and a window."""

    kind: Literal["hca"]
    """The kind of attention."""
    ratio: Count
    """Tokens to an entry."""
    window: Count
    """Last tokens that are kept and read uncompressed."""
    sink_logit: bool
    """Whether the softmax includes a learned logit without a row."""

    def kept(self, rows: TokenRows, length: int) -> tuple[CacheComponent, ...]:
        """See `Full.kept`; the compressor's state is not counted."""
        return rows.of("window", min(length, self.window)) + rows.of("compressed", length // self.ratio)

    def read(self, rows: TokenRows, context: int) -> tuple[CacheComponent, ...]:
        """See `Full.read`."""
        return self.kept(rows, context)


class Nsa(ModelRecord):
    """Native sparse attention: all compressed rows are read, blocks that they select for a KV group, and a window.

    A step reads floor((s - l) / d) + n l' + w tokens (arXiv 2502.11089).
    """

    kind: Literal["nsa"]
    """The kind of attention."""
    compress: Count
    """Tokens that are compressed to a row (l)."""
    stride: Count
    """Tokens from one such row to the next (d)."""
    block: Count
    """Tokens of a selected block (l')."""
    blocks: Count
    """Blocks selected (n), the fixed ones included."""
    first: Count
    """First blocks, which are always selected."""
    local: Count
    """Last blocks, which are always selected."""
    window: Count
    """Last tokens that are always read as well (w)."""

    def kept(self, rows: TokenRows, length: int) -> tuple[CacheComponent, ...]:
        """See `Full.kept`."""
        return rows.of("all", length) + rows.of("compressed", self._compressed(length))

    def read(self, rows: TokenRows, context: int) -> tuple[CacheComponent, ...]:
        """See `Full.read`."""
        selected = rows.of("selected", min(self.blocks * self.block, context))
        window = rows.of("window", min(self.window, context))
        return rows.of("compressed", self._compressed(context)) + selected + window

    def _compressed(self, length: int) -> int:
        return max(0, (length - self.compress) // self.stride)


class Blocks(ModelRecord):
    """Whole blocks of tokens are selected by keys of the blocks; all tokens are kept (pages of Quest, blocks of
    MiniMax-M3)."""

    kind: Literal["blocks"]
    """The kind of attention."""
    block: Count
    """Tokens of a block."""
    blocks: Count
    """Blocks selected, the fixed ones included."""
    local: Annotated[int, Field(ge=0)] = 0
    """Last blocks, which are always selected."""
    share: Literal["group", "head"]
    """Heads that share a selection: those of a KV group, or none."""
    index_heads: Count | None = None
    """Heads of the index; absent if the queries themselves are multiplied with the blocks' keys."""
    index_dim: Count | None = None
    """Elements of an index head."""
    block_keys: Count | None = None
    """Rows of K's size per block and KV head, all of them scanned; absent: no source says, none is counted."""

    def kept(self, rows: TokenRows, length: int) -> tuple[CacheComponent, ...]:
        """See `Full.kept`."""
        return rows.of("all", length) + self._keys("index", rows, length)

    def read(self, rows: TokenRows, context: int) -> tuple[CacheComponent, ...]:
        """See `Full.read`; blocks that heads of a group select separately count for each head, keys once for a
        group."""
        lists = rows.group if self.share == "head" else 1
        selected = rows.of("selected", min(self.blocks * self.block, context), lists)
        return selected + self._keys("index scan", rows, context)

    def _keys(self, what: str, rows: TokenRows, length: int) -> tuple[CacheComponent, ...]:
        if self.block_keys is None:
            return ()
        return (CacheComponent(what, length // self.block * self.block_keys * rows.kv_heads, rows.streams[0][1]),)


class ShareAttention(ModelRecord):
    """A share of the distant tokens is selected, whatever their number, besides a window; all tokens are kept."""

    kind: Literal["share"]
    """The kind of attention."""
    ratio: Annotated[float, Field(gt=0, le=1)]
    """Share of the tokens outside the window that is read (rounded down, at least one token)."""
    window: Count | None = None
    """Last tokens that are always read; absent where no source says: then none is counted."""

    def kept(self, rows: TokenRows, length: int) -> tuple[CacheComponent, ...]:
        """See `Full.kept`."""
        return rows.of("all", length)

    def read(self, rows: TokenRows, context: int) -> tuple[CacheComponent, ...]:
        """See `Full.read`; the reads of the selection itself are not counted, since no source gives them."""
        near = min(context, self.window or 0)
        window = rows.of("window", near) if self.window else ()
        distant = context - near
        return window + rows.of("selected", min(distant, max(1, int(self.ratio * distant + 1e-9))))


Attention = Annotated[
    Full | WindowAttention | Dsa | Csa | Hca | Nsa | Blocks | ShareAttention, Field(discriminator="kind")
]
