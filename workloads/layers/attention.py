"""The attention of a layer on one chip as a workload: the chip's share of heads and tokens, over pages of the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from memgrain.inputs.keys import validate
from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layers.matrices import said
from memgrain.workloads.layers.step import Shard, Step, cut
from memgrain.workloads.models.attention import (
    Attention,
    Blocks,
    Csa,
    Dsa,
    Full,
    Hca,
    ModelIndexer,
    Nsa,
    ShareAttention,
    WindowAttention,
)
from memgrain.workloads.models.model import Model
from memgrain.workloads.models.parts import CacheForm, Grouped, Latent
from memgrain.workloads.shape import DType
from memgrain.workloads.steps.sparse_attention import SparseAttentionStep
from memgrain.workloads.workload import Workload

STATE_BYTES = 4
"""Bytes of an element of a compressor's state (fp32)."""
Kernels = Literal["auto"]
"""Attention kernels: each chip's own (`memgrain.workloads.kernels.kernel.defaults`)."""
TILE, PASSES, SELECTORS = 128, 2, 1
"""Settings of the indexers: index rows of a tile; passes over the scores (a histogram, then those above its threshold);
programs that share the scores of a list. As in SGLang's kernel (sgl-kernel, topk.cu)."""


@dataclass(frozen=True)
class HeadShare:
    """One chip's share of a layer's heads."""

    q_heads: int
    """Query heads."""
    kv_heads: int
    """KV heads, at least one."""
    k: int
    """Elements of a row of Q and K."""
    v: int
    """Elements of a row of V."""
    latent: bool
    """Whether V is the beginning of K's row."""


def heads_on_chip(model: Model, shard: Shard) -> HeadShare:
    """The heads of one chip; latent heads as they are absorbed, with one row of the latent for all of them.

    Raises WorkloadError if the chips cannot share the query heads evenly.
    """
    heads, parts = model.heads, shard.head_groups
    q_heads = cut("heads.q_heads", said(model, "heads.q_heads", heads.q_heads), parts)
    if isinstance(heads, Grouped):
        kv_heads = cut("heads.kv_heads", heads.kv_heads, parts) if heads.kv_heads > parts else 1
        return HeadShare(q_heads, kv_heads, heads.head_dim, heads.head_dim_v or heads.head_dim, False)
    if not isinstance(heads, Latent):
        return HeadShare(q_heads, 1, heads.head_dim, heads.head_dim, True)
    return HeadShare(q_heads, 1, heads.kv_rank + heads.rope, heads.kv_rank, True)


def attention_workload(
    model: Model, kind: str, step: Step, shard: Shard, kernels: Kernels | None = None
) -> Workload | SparseAttentionStep:
    """The attention of a layer of that kind on one chip, with its indexer if it has one.

    If each query of a prefill reads its own rows, queries become sequences that share one context. Raises WorkloadError
    for values that the model's file lacks, and if chips cannot share heads evenly.
    """
    layer, heads = model.attention[kind], heads_on_chip(model, shard)
    cache = model.cache_form(step.cache)
    parts = _Parts(layer, heads, cache, step, shard)
    if step.phase == "prefill" and isinstance(layer, Full | WindowAttention):
        return parts.prefill(model, kernels)
    if isinstance(layer, Dsa):
        attend = parts.attend(parts.share(step.context), {"kind": "dense"}, layer.indexer.top_k, kernels=kernels)
        return parts.indexed(attend, parts.index(layer.indexer, cache), 0)
    if isinstance(layer, Csa):
        entries, window = parts.share(step.context // layer.ratio), parts.share(min(layer.window, step.context))
        if not entries or (step.tokens > entries and entries <= layer.indexer.top_k):
            # A prompt's beginning: all entries are read, and the new tokens are more than they.
            return parts.attend(entries + window, {"kind": "dense"}, kernels=kernels)
        if step.tokens > entries:
            raise WorkloadError(
                f"{step.tokens} new tokens that each choose {layer.indexer.top_k} of {entries} entries, fewer "
                f"than they; lower tokens to {entries}"
            )
        pattern = {"kind": "hierarchical", "window": window}
        attend = parts.attend(entries + window, pattern, layer.indexer.top_k, kernels=kernels)
        state = parts.compressor(layer, window, 2, layer.indexer.dim)
        return parts.indexed(attend, parts.index(layer.indexer, cache), window, state)
    if isinstance(layer, Hca):
        entries, window = parts.share(step.context // layer.ratio), parts.share(min(layer.window, step.context))
        attend = parts.attend(entries + window, {"kind": "dense"}, kernels=kernels)
        state = parts.compressor(layer, window, 1, 0) if entries else None
        return parts.indexed(attend, None, 0, state) if state else attend
    if isinstance(layer, WindowAttention):
        window = min(layer.window, step.context)
        if not parts.drafts:
            return parts.attend(parts.share(window), {"kind": "dense"}, kernels=kernels)
        kept = min(window + step.tokens - 1, step.context)
        return parts.attend(kept, {"kind": "sliding_window", "window": window}, kernels=kernels)
    if isinstance(layer, Full):
        pattern = {"kind": "causal" if parts.drafts else "dense"}
        return parts.attend(parts.share(step.context), pattern, kernels=kernels)
    if isinstance(layer, Nsa):
        return parts.nsa(layer)
    return parts.blocks(layer) if isinstance(layer, Blocks) else parts.part(layer)


@dataclass(frozen=True)
class _Parts:
    """Common inputs of the workloads of a layer."""

    layer: Attention
    heads: HeadShare
    cache: CacheForm
    step: Step
    shard: Shard

    def share(self, tokens: int) -> int:
        """A chip's share of some tokens."""
        return ceil(tokens / self.shard.context)

    @property
    def drafts(self) -> bool:
        """Whether several new tokens in a context on one chip each see only those before them. Over several chips the
        newest tokens lie on any chip, and each new token is assumed to see all."""
        return self.step.tokens > 1 and self.step.phase == "decode" and self.shard.context == 1

    def apart(self, chosen: int | None) -> bool:
        """Whether the new tokens of a sequence are separate queries of the cache."""
        return self.step.tokens > 1 and (chosen is not None or self.step.phase == "prefill")

    def prefill(self, model: Model, kernels: Kernels | None) -> Workload:
        """A prefill chunk's queries in tiles over all tokens before them; latent heads each have their own K and V."""
        latent, step, heads = model.heads, self.step, self.heads
        kept = step.context
        pattern: dict[str, Any] = {"kind": "causal"}
        if isinstance(self.layer, WindowAttention):
            kept = min(step.context, self.layer.window + step.tokens)
            pattern = {"kind": "sliding_window", "window": self.layer.window}
        shape = {"q_heads": heads.q_heads, "kv_heads": heads.kv_heads, "head_dim": heads.k}
        if isinstance(latent, Latent):
            size = {"head_dim": latent.nope + latent.rope, "head_dim_v": latent.v}
            shape = {"q_heads": heads.q_heads, "kv_heads": heads.q_heads, **size}
        elif heads.latent:
            shape |= {"head_dim_v": heads.v, "v_in_k": True}
        elif heads.v != heads.k:
            shape |= {"head_dim_v": heads.v}
        apart = isinstance(latent, Latent)
        raw = {
            "kind": "attention",
            "name": "attend",
            "phase": "prefill",
            "shape": {"batch": step.batch, "q_len": step.tokens, "kv_len": kept, **shape},
            "dtype": "bf16" if apart else self._types(),
            "pattern": pattern,
            "layout": {"kind": "bsnd"} if apart else self._layout(),
            "kernel": kernels,
        }
        return _attention(raw)

    def attend(
        self,
        rows: int,
        pattern: Mapping[str, Any],
        chosen: int | None = None,
        unit: int = 1,
        share: str = "all",
        kernels: Kernels | None = None,
    ) -> Workload:
        """A decode over `rows` rows of the cache; `chosen` of the candidates of `pattern` are gathered."""
        heads, apart = self.heads, self.apart(chosen)
        shape = {"batch": self.step.rows if apart else self.step.batch, "q_len": 1 if apart else self.step.tokens}
        shape |= {"q_heads": heads.q_heads, "kv_heads": heads.kv_heads}
        shape |= {"kv_len": rows, "head_dim": heads.k, "head_dim_v": heads.v, "v_in_k": heads.latent}
        selection = None
        if chosen is not None:
            tokens = max(unit, self.share(chosen))
            selection = {"kind": "random", "tokens": tokens, "unit": unit, "share": share, "seed": self.step.seed}
        raw = {
            "kind": "attention",
            "name": "attend",
            "phase": "decode",
            "shape": shape,
            "dtype": self._types(),
            "pattern": pattern,
            "selection": selection,
            "layout": self._layout(apart),
            "kernel": kernels,
        }
        return _attention(raw)

    def nsa(self, layer: Nsa) -> Workload | SparseAttentionStep:
        """NSA: compressed rows are scored, the chosen blocks of a KV group are read, and a window."""
        rows, heads, first = self.share(self.step.context), self.heads, layer.first * layer.block
        if rows <= layer.window + first:
            return self.attend(rows, {"kind": "dense"})
        pattern = {"kind": "hierarchical", "window": layer.window, "sinks": first}
        attend = self.attend(rows, pattern, layer.blocks * layer.block - first, layer.block, "group")
        size = sum(width for _, width in self._streams())
        index = {"tokens": layer.stride, "row_bytes": size, "heads": heads.q_heads // heads.kv_heads, "block": 64}
        return self.indexed(attend, {**index, "dim": heads.k + heads.v, "dtype": "bf16"}, 0)

    def blocks(self, layer: Blocks) -> Workload | SparseAttentionStep:
        """Whole blocks chosen for each KV group or head, by keys of blocks if the file has such."""
        rows, heads, window = self.share(self.step.context), self.heads, layer.local * layer.block
        if rows <= layer.blocks * layer.block:
            return self.attend(rows, {"kind": "dense"})
        pattern = {"kind": "hierarchical", "window": window} if window else {"kind": "dense"}
        attend = self.attend(rows, pattern, layer.blocks * layer.block - window, layer.block, layer.share)
        if layer.block_keys is None:
            return attend
        queries = 1 if layer.share == "head" else heads.q_heads // heads.kv_heads
        size = layer.block_keys * self._streams()[0][1]
        index = {"tokens": layer.block, "row_bytes": size, "heads": queries, "block": 64}
        return self.indexed(attend, {**index, "dim": layer.block_keys * heads.k, "dtype": "bf16"}, 0)

    def part(self, layer: ShareAttention) -> Workload:
        """A window, and a share of the tokens before it, chosen for each KV group."""
        near = min(self.step.context - 1, layer.window or 0)
        pattern = {"kind": "hierarchical", "window": near} if near else {"kind": "dense"}
        chosen = max(1, int(layer.ratio * (self.step.context - near) + 1e-9))
        return self.attend(self.share(self.step.context), pattern, chosen, share="group")

    def index(self, indexer: ModelIndexer, cache: CacheForm) -> dict[str, Any]:
        """An index with one key a row and one list for all heads; the bytes of a row give the type of the products."""
        row = cache.index_row or 0
        dtype: DType = "bf16" if row >= 2 * indexer.dim else self.step.index_product
        found = {"tokens": 1, "row_bytes": row, "heads": indexer.heads, "dim": indexer.dim, "dtype": dtype}
        return {**found, "block": TILE}

    def compressor(self, layer: Csa | Hca, window: int, overlap: int, index_dim: int) -> dict[str, Any] | None:
        """The compressor's state: for each token a value and a weight in fp32 for each element of the entry and of its
        index key, once for each overlapping entry (inference/model.py of DeepSeek-V4). The new token is assumed in the
        middle of its entry, as most are; None for several new tokens."""
        if self.step.tokens > 1:
            return None
        token = max(1, layer.ratio // 2)
        row = 2 * overlap * (self.heads.k + index_dim) * STATE_BYTES
        state = {"state_row_bytes": row, "state_rows": overlap * layer.ratio}
        return {"tokens": layer.ratio, "token": token, "window": window, **state}

    def indexed(
        self,
        attend: Workload,
        index: Mapping[str, Any] | None,
        newest: int,
        compressor: Mapping[str, Any] | None = None,
    ) -> SparseAttentionStep:
        """The attention with the steps that choose and make its rows."""
        raw = {"kind": "indexed", "name": "step", "attention": attend.model_dump(mode="json", exclude_none=True)}
        if index is not None:
            raw["indexer"] = {**index, "newest": newest, "passes": PASSES, "selectors": SELECTORS}
        if compressor is not None:
            raw["compressor"] = compressor
        return validate(SparseAttentionStep, raw, "layer", WorkloadError)

    def _types(self) -> dict[str, str]:
        """Queries and outputs in bf16, K and V in the type of the cache."""
        kept = self.cache.element or "fp8"
        return {"q": "bf16", "k": kept, "v": kept, "o": "bf16"}

    def _layout(self, shared: bool = False) -> dict[str, Any]:
        layout = {"kind": "paged", "page": self.step.page, "inner": self.step.inner, "seed": self.step.seed}
        if shared:
            layout["shared"] = True
        return layout if self.cache.kv_row is None else {**layout, "k_row_bytes": self.cache.kv_row}

    def _streams(self) -> tuple[tuple[str, int], ...]:
        """Bytes of a row of each of the cache's tensors."""
        size = 1 if self.cache.element in ("fp8", "int8") else 2
        return ("K", self.heads.k * size), ("V", self.heads.v * size)


def _attention(raw: Mapping[str, Any]) -> Workload:
    return validate(Workload, {key: value for key, value in raw.items() if value is not None}, "layer", WorkloadError)
