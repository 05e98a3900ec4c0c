"""A model's layer on one chip as kernels and exchanges in order, and the stages before and after all layers.

Work between products is one kernel each: norm with the residual sum, rotation with the write of the new rows,
activation. Inference engines fuse it so: vLLM's csrc/layernorm_kernels.cu (fused_add_rms_norm), activation_kernels.cu
(silu_and_mul) and cache kernels. Exchanges follow Megatron-LM (arXiv 1909.08053): a sum over the group after attention
and after the feed-forward network. If experts are dealt out over groups with other sequences, tokens are sent to them
and back (DeepEP, github deepseek-ai/DeepEP).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from memgrain.workloads.attention import attention
from memgrain.workloads.kernels.tiling import Budget
from memgrain.workloads.layers.attention import Kernels, attention_workload, heads_on_chip
from memgrain.workloads.layers.matrices import (
    WeightMatrix,
    attention_matrices,
    ffn_matrices,
    join_matrix,
    on_chip,
    padded_vocabulary,
    said,
)
from memgrain.workloads.layers.products import tiling
from memgrain.workloads.layers.routing import busiest, routed
from memgrain.workloads.layers.rowwise import rowwise
from memgrain.workloads.layers.step import WEIGHTS, Exchange, Shard, Stage, Step
from memgrain.workloads.models.attention import Csa, Dsa, Full, WindowAttention
from memgrain.workloads.models.model import Layer, Model
from memgrain.workloads.models.parts import Latent
from memgrain.workloads.shape import DType, element_bytes
from memgrain.workloads.steps.linear import Linear
from memgrain.workloads.steps.sparse_attention import SparseAttentionStep
from memgrain.workloads.workload import Workload

ACTIVATION = 2
"""Bytes of an element of hidden states and other activations (bf16)."""
CHOOSING = ("scan", "search", "select")
"""Kernels of an index."""
PARTIAL = 4
"""Bytes of an element of outputs that chips sum, and of a score (fp32)."""


class LayerStages:
    """Writes the stages of layers of one model for one step, shard and chip."""

    def __init__(self, model: Model, step: Step, shard: Shard, budget: Budget, kernels: Kernels | None = None) -> None:
        """`kernels`: whether the chip's own kernels run; None: tiles are chosen for `budget`.

        Raises WorkloadError for values that the model's file lacks.
        """
        self.model, self.step, self.shard, self.budget, self.kernels = model, step, shard, budget, kernels
        self.hidden = said(model, "hidden", model.hidden)
        self.rows = step.rows

    def layer(self, layer: Layer) -> tuple[Stage, ...]:
        """The stages of a layer in order; raises WorkloadError if the chips cannot share it evenly."""
        return (*self.attention(layer.attention), *self.ffn(layer))

    def head(self) -> tuple[Stage, ...]:
        """The stages after all layers: the last norm, the projection to the vocabulary and the choice of the next
        token; also the embedding rows. Decode chooses for every new token, since drafts are checked; prefill for the
        last token of a chunk."""
        step, shard, vocab = self.step, self.shard, padded_vocabulary(self.model, self.shard)
        width, rows = self.hidden * ACTIVATION, step.rows if step.phase == "decode" else step.batch
        found = [
            Stage("embed", "head", rowwise("embed", self.rows, {"embedding": width}, {"residual": width}, self.budget)),
            self._norm("last_norm", rows),
            self._product("head", vocab, rows, "x", "logits", dtype="bf16"),
        ]
        if shard.tensor > 1:
            size = rows * vocab.outputs * shard.tensor * ACTIVATION
            found.append(Stage("logits", "exchange", exchange=Exchange("all_gather", size, shard.tensor)))
        logits = vocab.outputs * shard.tensor * ACTIVATION
        sample = rowwise("sample", rows, {"logits": logits}, {"token": 4}, self.budget)
        return (*found, Stage("sample", "head", sample))

    def join(self) -> Stage:
        """The product that combines two hidden states into one, before a draft layer."""
        return self._product("join", join_matrix(self.model, self.step), self.rows, "x", "residual")

    def attention(self, kind: str) -> Iterator[Stage]:
        """Norm, projections, attention with its index, output projection and its sum over the group."""
        step, shard, heads = self.step, self.shard, heads_on_chip(self.model, self.shard)
        layer, rows = self.model.attention[kind], self.rows
        matrices = {name: on_chip(m, shard) for name, m in attention_matrices(self.model, kind, step).items()}
        yield self._norm("norm")
        absorbed = step.phase == "decode" or not isinstance(layer, Full | WindowAttention)
        yield from self._queries(matrices, absorbed)
        for name, target in (("entry_kv", "entries"), ("index_k", "index_key"), ("index_w", "index_weight")):
            if name in matrices:
                yield self._product(name, matrices[name], rows, "x", target, "bf16")
        if "index_q" in matrices:
            source = "latent" if isinstance(layer, Dsa | Csa) else "x"
            yield self._product("index_q", matrices["index_q"], rows, source, "index_q")
        new = sum(size for _, size in self.model.cache_form(step.cache).rows(self.model.heads).streams) * heads.kv_heads
        width = heads.q_heads * heads.k * ACTIVATION
        own = {"q": width // shard.context}
        workload = attention_workload(self.model, kind, step, shard, self.kernels)
        written = own if isinstance(workload, SparseAttentionStep) else {**own, "new": new}
        yield Stage("rotate", "attention", rowwise("rotate", rows, own, written, self.budget))
        if shard.context > 1:
            yield Stage("queries", "exchange", exchange=Exchange("all_gather", rows * width, shard.context))
        yield from self._attend(workload)
        if shard.context > 1:
            size = rows * heads.q_heads * (heads.v + 1) * PARTIAL
            yield Stage("outputs", "exchange", exchange=Exchange("reduce_scatter", size, shard.context))
        yield from self._outputs(matrices, absorbed)
        if shard.tensor > 1:
            yield self._sum("attention_sum")

    def ffn(self, layer: Layer) -> Iterator[Stage]:
        """Norm, shared network, router, the experts that tokens are sent to, and the sum over the group."""
        step, shard, rows = self.step, self.shard, self.rows
        ffn = self.model.ffn[said(self.model, "layers.ffn", layer.ffn)]
        matrices = {name: on_chip(m, shard) for name, m in ffn_matrices(self.model, layer, step).items()}
        yield self._norm("ffn_norm")
        if ffn.shared:
            inner = matrices["gate_up"].outputs // 2
            yield self._product("gate_up", matrices["gate_up"], rows, "x", "gate")
            yield self._activate("activate", rows, inner, "gate", "inner")
            yield self._product("down", matrices["down"], rows, "inner", "delta")
        if ffn.routed:
            yield self._product("router", matrices["router"], rows, "x", "scores_of_experts", dtype="bf16")
            yield from self._experts(ffn.routed, ffn.active, matrices)
        if shard.tensor > 1:
            yield self._sum("ffn_sum")

    def _queries(self, matrices: dict[str, WeightMatrix], absorbed: bool) -> Iterator[Stage]:
        """The projections of queries, keys and values; for latent heads, `absorbed` says whether K and V are absorbed
        or made from all cached rows."""
        rows, heads, step = self.rows, self.model.heads, self.step
        if "qkv" in matrices:
            yield self._product("qkv", matrices["qkv"], rows, "x", "q")
            return
        if "q" in matrices:
            yield self._product("q", matrices["q"], rows, "x", "q")
            yield self._product("kv_a", matrices["kv_a"], rows, "x", "latent")
        else:
            yield self._product("qkv_a", matrices["qkv_a"], rows, "x", "latent")
            width = matrices["qkv_a"].outputs * ACTIVATION
            norm = rowwise("latent_norm", rows, {"latent": width}, {"latent": width}, self.budget)
            yield Stage("latent_norm", "norm", norm)
            yield self._product("q_b", matrices["q_b"], rows, "latent", "q")
        if isinstance(heads, Latent):
            if absorbed:
                yield self._product("k_b", matrices["k_b"], rows, "q", "q_absorbed")
            else:
                each, wide = matrices["k_b"], heads.nope + heads.v
                both = WeightMatrix("kv_b", "projection", heads.kv_rank, wide * each.count, each.stored, "none")
                yield self._product("kv_b", both, step.batch * step.context, "kept", "K")

    def _attend(self, workload: Workload | SparseAttentionStep) -> Iterator[Stage]:
        """Attention, with the kernels of its index and its cache update."""
        if not isinstance(workload, SparseAttentionStep):
            yield Stage("attend", "attention", attention(workload, self.budget))
            return
        for trace in workload.kernels(self.budget):
            yield Stage(trace.name, "index" if trace.name in CHOOSING else "attention", trace)

    def _outputs(self, matrices: dict[str, WeightMatrix], absorbed: bool) -> Iterator[Stage]:
        """The projection of the heads' outputs to the hidden state."""
        rows = self.rows
        if "v_b" in matrices and absorbed:
            yield self._product("v_b", matrices["v_b"], rows, "O", "values")
            yield self._product("o", matrices["o"], rows, "values", "delta")
        elif "o_a" in matrices:
            yield self._product("o_a", matrices["o_a"], rows, "O", "values")
            yield self._product("o_b", matrices["o_b"], rows, "values", "delta")
        else:
            yield self._product("o", matrices["o"], rows, "O", "delta")

    def _experts(self, experts: int, active: int, matrices: dict[str, WeightMatrix]) -> Iterator[Stage]:
        """The experts of the busiest chip: tokens sent to it, its products, and its results sent back. It sums the
        experts' rows of its own tokens or, if nothing is sent, of all tokens."""
        shard, size = self.shard, element_bytes(self.step.product)
        apart = shard.expert and shard.data > 1
        tokens = self.rows * (shard.data if apart else 1)
        loads = routed(tokens, experts, active, self.step.seed)
        loads = busiest(loads, shard.chips) if shard.expert else loads
        rows = tuple(int(load) for load in loads if load)
        sent = ceil(self.rows / shard.tensor) * active * self.hidden
        if apart:
            yield Stage("dispatch", "exchange", exchange=Exchange("all_to_all", sent * size, shard.chips))
        if rows:
            gate_up, down = matrices["experts_gate_up"], matrices["experts_down"]
            width = self.hidden * size
            gather = rowwise("gather_rows", sum(rows), {"x": width}, {"routed": width}, self.budget)
            yield Stage("gather_rows", "ffn", gather)
            yield self._product("experts_gate_up", gate_up, rows, "routed", "expert_gate")
            yield self._activate("activate_experts", sum(rows), gate_up.outputs // 2, "expert_gate", "expert_inner")
            yield self._product("experts_down", down, rows, "expert_inner", "expert_out")
        if apart:
            yield Stage("combine", "exchange", exchange=Exchange("all_to_all", sent * ACTIVATION, shard.chips))
        width = self.hidden * ACTIVATION
        added = ceil(self.rows / shard.tensor) * active if apart else sum(rows)
        found = {"expert_out": -(-added * width // self.rows), "delta": width}
        yield Stage("add_experts", "ffn", rowwise("add_experts", self.rows, found, {"delta": width}, self.budget))

    def _norm(self, name: str, rows: int | None = None) -> Stage:
        """The sum of the residual and the last part's output, and its norm in the type of the products."""
        streams, width = self.model.residual_streams, self.hidden * ACTIVATION
        out = self.hidden * element_bytes(self.step.product)
        reads, writes = {"residual": streams * width, "delta": width}, {"residual": streams * width, "x": out}
        return Stage(name, "norm", rowwise(name, rows or self.rows, reads, writes, self.budget))

    def _activate(self, name: str, rows: int, inner: int, source: str, target: str) -> Stage:
        """The product of the activated gate and its input."""
        size = element_bytes(self.step.product)
        reads, writes = {source: 2 * inner * ACTIVATION}, {target: inner * size}
        return Stage(name, "ffn", rowwise(name, rows, reads, writes, self.budget))

    def _product(
        self,
        name: str,
        matrix: WeightMatrix,
        rows: int | tuple[int, ...],
        source: str,
        target: str,
        dtype: DType | None = None,
    ) -> Stage:
        """A product with weights: of `rows` rows with each matrix, or of each expert's rows."""
        lists = rows if isinstance(rows, tuple) else None
        product = Linear(
            kind="linear",
            name=name,
            tokens=sum(rows) if isinstance(rows, tuple) else rows,
            inputs=matrix.inputs,
            outputs=matrix.outputs,
            matrices=len(lists) if lists is not None else matrix.count,
            rows=lists,
            weights=matrix.stored,
            dtype=dtype or ("bf16" if matrix.stored == "bf16" else self.step.product),
            out_dtype="bf16",
            tiling=tiling(self.budget.architecture if self.kernels else None),
        )
        names = {"A": source, "W": f"{WEIGHTS}{name}", "C": target}
        return Stage(name, matrix.component, product.trace(self.budget), names)

    def _sum(self, name: str) -> Stage:
        """The sum over chips of their parts of the hidden state."""
        size = self.rows * self.hidden * ACTIVATION
        return Stage(name, "exchange", exchange=Exchange("all_reduce", size, self.shard.tensor))
