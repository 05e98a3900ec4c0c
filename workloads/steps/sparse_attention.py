"""Sparse attention as a step of several kernels in one memory: token selection, cache update, and attention.

A decode step with an indexer has four kernels. The first writes the new token's rows. A scan multiplies all index rows
with the index queries and writes a score for each. A selection reads the scores and writes the list of the best.
Attention reads that list and gathers. DeepSeek's sparse attention scores every token (132 bytes of key and scale, one
list for all heads; github deepseek-ai/DeepSeek-V3.2-Exp, inference/model.py), Quest every page by its least and
greatest keys (arXiv 2406.10774), MoBA every block by its mean key (arXiv 2502.13189). DeepSeek V4's compressed
attention does the same on rows of 4 tokens each; the newest tokens, which its window reads uncompressed, follow these
rows in K, and another kernel updates the state of its compressors. NSA (arXiv 2502.11089) scores blocks by attention
over compressed rows: its index rows are these, K and V. A tree of index rows is searched instead of scanned. The tokens
of a prefill chunk are batch entries that share a context (`layout.shared`); tokens newer than a query are not excluded.

Without an indexer, a step updates the cache and attends; a cache of heavy hitters also updates the accumulated
attention of each token. A prompt whose heads are estimated first (MInference, arXiv 2407.02490) has three kernels:
estimate, selection, attention.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.attention import attention
from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.tiling import Budget
from memgrain.workloads.layouts.layout import Paged
from memgrain.workloads.patterns import HeavyHitters
from memgrain.workloads.steps.cache_update import Compressor, account, compress, write
from memgrain.workloads.steps.estimate import Estimate, estimate
from memgrain.workloads.steps.indexer import Indexer, IndexRows
from memgrain.workloads.steps.sequence import in_one_memory
from memgrain.workloads.steps.token_selection import scan, search, select
from memgrain.workloads.trace import Trace
from memgrain.workloads.workload import Workload


class SparseAttentionStep(BaseModel):
    """A sparse attention step; kind `indexed` in YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["indexed"]
    """Value of `kind` in the YAML."""
    name: str = Field(min_length=1)
    """Name in tables and figures."""
    attention: Workload
    """The attention; its selection gives the number of chosen tokens, their units, and the owners of lists."""
    indexer: Indexer | None = None
    """Decode: the index that chooses tokens; absent: nothing is scored, and a selection's list already exists."""
    compressor: Compressor | None = None
    """Decode: the compressor that makes rows of K of several tokens; absent: each token has its own row."""
    estimate: Estimate | None = None
    """Prefill: the estimation pass that chooses tokens."""

    @model_validator(mode="after")
    def _whole(self) -> SparseAttentionStep:
        attention = self.attention
        if self.estimate is not None:
            self._fits_prefill(self.estimate)
        elif attention.phase != "decode" or (self.indexer is not None and attention.selection is None):
            kind = f"{attention.phase} {'with' if attention.selection else 'without'} selection"
            raise WorkloadError(
                f"attention of {self.name} is a {kind}, must be a decode with one; set phase: decode and selection"
            )
        if self.indexer is not None:
            self._fits_index(self.indexer)
        if self.compressor is not None:
            self._fits_state(self.compressor)
        return self

    def _fits_index(self, indexer: Indexer) -> None:
        attention = self.attention
        if indexer.newest >= attention.shape.kv_len:
            raise WorkloadError(
                f"indexer.newest is {indexer.newest} of {attention.shape.kv_len} tokens, which leaves none to index; "
                "lower it"
            )
        if attention.unit % indexer.tokens:
            raise WorkloadError(
                f"selection in units of {attention.unit} tokens, index rows of {indexer.tokens}; the unit must be "
                "whole index rows: set selection.unit to a multiple of indexer.tokens"
            )
        if not attention.list_sizes(0, attention.shape.q_len)[1]:
            raise WorkloadError(
                f"pattern {attention.pattern.kind} reads all {attention.shape.kv_len} tokens of {self.name}, "
                "which leaves none to choose; lengthen shape.kv_len, or lower pattern.window"
            )
        page = attention.layout.page if isinstance(attention.layout, Paged) else 0
        if indexer.paged and (not page or page % indexer.tokens or indexer.block % (page // indexer.tokens)):
            raise WorkloadError(
                f"index rows of {indexer.tokens} tokens in tiles of {indexer.block} do not come out in pages of "
                f"{page} tokens; use a paged layout whose page is a multiple of indexer.tokens and divides a tile's"
            )
        shared, shape = attention.layout.shared, attention.shape
        if indexer.queries > 1 and not shared:
            raise WorkloadError(
                f"indexer.queries {indexer.queries} of batch entries with contexts of their own; set layout.shared: "
                "true or indexer.queries: 1"
            )
        if shared and shape.batch > shape.kv_len - indexer.newest:
            raise WorkloadError(
                f"batch {shape.batch} of tokens that share {shape.kv_len - indexer.newest} indexed ones; the context "
                "holds them too: lower shape.batch"
            )
        if indexer.paged and indexer.tree is not None:
            raise WorkloadError("indexer.paged is true beside a tree, whose rows are not in pages; leave one out")

    def _fits_state(self, compressor: Compressor) -> None:
        if self.estimate is not None or self.attention.layout.shared:
            raise WorkloadError(f"compressor of {self.name} with many new tokens is not modelled; leave it out")
        if compressor.token > compressor.tokens:
            raise WorkloadError(
                f"compressor.token {compressor.token} exceeds the {compressor.tokens} tokens of a row; lower it"
            )
        if compressor.window >= self.attention.shape.kv_len:
            raise WorkloadError(
                f"compressor.window {compressor.window} of {self.attention.shape.kv_len} rows leaves none that are "
                "compressed; lower it"
            )
        if self.indexer is not None and self.indexer.newest != compressor.window:
            raise WorkloadError(
                f"compressor.window {compressor.window} is not indexer.newest {self.indexer.newest}; set them alike"
            )

    def _fits_prefill(self, settings: Estimate) -> None:
        call = self.attention
        if call.phase != "prefill" or call.selection is None or call.selection.share != "head" or self.indexer:
            raise WorkloadError(
                f"estimate of {self.name} is for a prompt in which each head chooses for itself; set phase: prefill "
                "and selection.share: head, and leave indexer out"
            )
        if call.layout.kind not in ("bnsd", "bsnd"):
            raise WorkloadError(
                f"estimate of {self.name} over layout {call.layout.kind} is not modelled; use bnsd or bsnd"
            )
        if settings.queries > call.shape.q_len:
            raise WorkloadError(
                f"estimate.queries {settings.queries} exceeds the {call.shape.q_len} queries of the prompt; lower it"
            )

    def kernels(self, budget: Budget) -> tuple[Trace, ...]:
        """The kernels of a step in order, in one memory; raises WorkloadError if the attention does not fit."""
        main, call = replace(attention(self.attention, budget), name="attend"), self.attention
        if self.estimate is not None:
            settings = self.estimate
            lists, scores = call.shape.batch * call.shape.q_heads, settings.queries * call.shape.kv_len
            chosen = select(main, lists, scores, call.dtypes.q, settings.passes, settings.selectors)
            return in_one_memory((estimate(call, settings, budget), chosen, main))
        index = None if self.indexer is None else IndexRows(call, self.indexer)
        found = [write(call, index if self.compressor is None else None)]
        if self.compressor is not None:
            found.append(compress(call, self.compressor, index))
        if index is not None:
            own = index.indexer
            found.append(scan(index, budget) if own.tree is None else search(index))
            found.append(select(main, index.lists, index.scored, own.dtype, own.passes, own.selectors))
        found.append(main)
        if isinstance(call.pattern, HeavyHitters):
            found.append(account(call, budget))
        return in_one_memory(found)
