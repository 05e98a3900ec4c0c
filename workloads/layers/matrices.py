"""The weight matrices of a model's layers: sizes, element types, and how chips share them.

Projections by kind of heads: grouped-query heads as in Llama (arXiv 2407.21783); latent heads as in DeepSeek-V2 (arXiv
2405.04434), absorbed in decode; DeepSeek V4's shared row, compressors and grouped output projection (technical report
arXiv 2606.19348, section 2.3; sizes of compressors: vLLM models/deepseek_v4/compressor.py, two matrices of hidden x c d
in bf16, where c is 2 if entries overlap). Indexers as in DeepSeek-V3.2 (github deepseek-ai/DeepSeek-V3.2-Exp,
inference/model.py): queries from the queries' latent, a key and a weight for each head from the hidden state.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal, TypeVar

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layers.step import Component, Shard, Step, Stored, cut
from memgrain.workloads.models.attention import Blocks, Csa, Dsa, Hca, WindowAttention
from memgrain.workloads.models.model import Layer, Model
from memgrain.workloads.models.parts import Grouped, Latent, Shared
from memgrain.workloads.steps.linear import STORAGE

T = TypeVar("T")
INTEGERS: dict[Stored, Stored] = {"fp8": "int8", "fp4": "int4"}
"""Integer types of the same width."""
Split = Literal["columns", "rows", "matrices", "none"]
"""How chips of a group share a matrix: columns, rows, whole matrices, or none (each chip has all)."""


@dataclass(frozen=True)
class WeightMatrix:
    """Matrices of one size side by side."""

    name: str
    """Name of the output."""
    component: Component
    """Component of the layer that uses it."""
    inputs: int
    """Elements of an input row."""
    outputs: int
    """Elements of an output row."""
    stored: Stored
    """Element type in memory."""
    split: Split
    """How chips share them."""
    count: int = 1
    """Number of matrices."""
    kv_heads: int = 0
    """KV heads among the outputs; a chip has one at least."""
    kv_outputs: int = 0
    """Elements of each KV head."""

    @property
    def parameters(self) -> int:
        """Elements of all of them."""
        return self.inputs * self.outputs * self.count

    @property
    def bytes(self) -> int:
        """Bytes of all of them, scales included."""
        form, (down, across) = STORAGE[self.stored], STORAGE[self.stored].group
        scales = ceil(self.outputs / down) * (ceil(self.inputs / across) if across else 1) if down else 0
        return self.parameters * form.bits // 8 + self.count * scales * form.scale_bytes

    def on_chip(self, chips: int) -> WeightMatrix:
        """One chip's share of the matrix; raises WorkloadError if it cannot be shared evenly."""
        inputs, outputs, count = self.inputs, self.outputs, self.count
        if self.split == "columns":
            own = cut(f"{self.name}: outputs", outputs - self.kv_heads * self.kv_outputs, chips)
            outputs = own + -(-self.kv_heads // chips) * self.kv_outputs
        elif self.split == "rows":
            inputs = cut(f"{self.name}: inputs", inputs, chips)
        elif self.split == "matrices":
            count = cut(f"{self.name}: matrices", count, chips)
        return WeightMatrix(self.name, self.component, inputs, outputs, self.stored, self.split, count)


def attention_matrices(model: Model, kind: str, step: Step) -> dict[str, WeightMatrix]:
    """The projections of an attention layer; raises WorkloadError for values that the model's file lacks."""
    heads, layer, stored = model.heads, model.attention[kind], stored_as(model, step)
    hidden = said(model, "hidden", model.hidden)

    def rest(name: str, inputs: int, outputs: int, split: Split, count: int = 1) -> WeightMatrix:
        return WeightMatrix(name, "projection", inputs, outputs, stored, split, count)

    found: list[WeightMatrix]
    if isinstance(heads, Grouped):
        q_heads = said(model, "heads.q_heads", heads.q_heads)
        wide = heads.head_dim_v or heads.head_dim
        outputs = q_heads * heads.head_dim + heads.kv_heads * (heads.head_dim + wide)
        each = heads.head_dim + wide
        qkv = WeightMatrix("qkv", "projection", hidden, outputs, stored, "columns", 1, heads.kv_heads, each)
        found = [qkv, rest("o", q_heads * wide, hidden, "rows")]
    elif isinstance(heads, Latent):
        latent, query = heads.kv_rank + heads.rope, heads.q_heads * (heads.nope + heads.rope)
        if heads.q_rank is None:
            found = [rest("q", hidden, query, "columns"), rest("kv_a", hidden, latent, "none")]
        else:
            found = [rest("qkv_a", hidden, heads.q_rank + latent, "none"), rest("q_b", heads.q_rank, query, "columns")]
        found += [
            rest("k_b", heads.nope, heads.kv_rank, "matrices", heads.q_heads),
            rest("v_b", heads.kv_rank, heads.v, "matrices", heads.q_heads),
            rest("o", heads.q_heads * heads.v, hidden, "rows"),
        ]
    else:
        found = [
            rest("qkv_a", hidden, heads.q_rank + heads.head_dim, "none"),
            rest("q_b", heads.q_rank, heads.q_heads * heads.head_dim, "columns"),
            rest("o_a", heads.q_heads // heads.o_groups * heads.head_dim, heads.o_rank, "matrices", heads.o_groups),
            rest("o_b", heads.o_groups * heads.o_rank, hidden, "rows"),
        ]
    if isinstance(layer, Csa | Hca):
        overlap = 2 if isinstance(layer, Csa) and layer.pool > layer.ratio else 1
        found.append(WeightMatrix("entry_kv", "projection", hidden, 2 * overlap * _row(model), "bf16", "none"))
    if isinstance(layer, Dsa | Csa):
        indexer, rank = layer.indexer, said(model, "heads.q_rank", getattr(heads, "q_rank", None))
        found += [
            WeightMatrix("index_q", "index", rank, indexer.heads * indexer.dim, stored, "none"),
            WeightMatrix("index_w", "index", hidden, indexer.heads, "bf16", "none"),
        ]
        keys = 2 * 2 * indexer.dim if isinstance(layer, Csa) else indexer.dim
        found.append(
            WeightMatrix("index_k", "index", hidden, keys, "bf16" if isinstance(layer, Csa) else stored, "none")
        )
    if isinstance(layer, Blocks) and layer.index_heads is not None and layer.index_dim is not None:
        found.append(WeightMatrix("index_q", "index", hidden, layer.index_heads * layer.index_dim, stored, "none"))
    return {matrix.name: matrix for matrix in found}


def ffn_matrices(model: Model, layer: Layer, step: Step) -> dict[str, WeightMatrix]:
    """The matrices of a layer's feed-forward network; errors as `attention_matrices`."""
    hidden, ffn = said(model, "hidden", model.hidden), model.ffn[said(model, "layers.ffn", layer.ffn)]
    stored, experts = stored_as(model, step), stored_as(model, step, experts=True)
    found = []
    if ffn.shared:
        size = ffn.size * ffn.shared
        found += [
            WeightMatrix("gate_up", "ffn", hidden, 2 * size, stored, "columns"),
            WeightMatrix("down", "ffn", size, hidden, stored, "rows"),
        ]
    if ffn.routed:
        found += [
            WeightMatrix("router", "ffn", hidden, ffn.routed, "bf16", "none"),
            WeightMatrix("experts_gate_up", "ffn", hidden, 2 * ffn.size, experts, "columns", ffn.routed),
            WeightMatrix("experts_down", "ffn", ffn.size, hidden, experts, "rows", ffn.routed),
        ]
    return {matrix.name: matrix for matrix in found}


def head_matrix(model: Model) -> WeightMatrix:
    """The projection to the vocabulary; the table of embeddings has as many elements."""
    hidden, vocab = said(model, "hidden", model.hidden), said(model, "vocab", model.vocab)
    return WeightMatrix("head", "head", hidden, vocab, "bf16", "columns")


def join_matrix(model: Model, step: Step) -> WeightMatrix:
    """The matrix that combines two hidden states into one, before a draft layer."""
    hidden = said(model, "hidden", model.hidden)
    return WeightMatrix("join", "projection", 2 * hidden, hidden, stored_as(model, step), "none")


def draft_layer(model: Model) -> Layer:
    """The draft layer, if no source says more: the model's last layer, with a window if the model has one."""
    last = model.order[-1]
    window = next((name for name, kind in model.attention.items() if isinstance(kind, WindowAttention)), last.attention)
    return last.model_copy(update={"attention": window})


def layer_matrices(model: Model, layer: Layer, step: Step) -> dict[str, WeightMatrix]:
    """All weight matrices of a layer by name."""
    return attention_matrices(model, layer.attention, step) | ffn_matrices(model, layer, step)


def weight_parameters(model: Model, step: Step) -> int:
    """Elements of all matrices of the model, embeddings included; without norms and biases."""
    layers = sum(matrix.parameters for layer in model.order for matrix in layer_matrices(model, layer, step).values())
    return layers + 2 * head_matrix(model).parameters


def weight_bytes(model: Model, step: Step, shard: Shard) -> int:
    """Bytes of weights that one chip holds, embeddings and scales included; without norms and biases.

    Raises WorkloadError if chips cannot share a matrix evenly.
    """
    total = 0
    for layer in dict.fromkeys(model.order):
        matrices = layer_matrices(model, layer, step).values()
        total += model.order.count(layer) * sum(on_chip(matrix, shard).bytes for matrix in matrices)
    return total + 2 * padded_vocabulary(model, shard).bytes


def met_bytes(model: Model, step: Step, sequences: int) -> tuple[int, int]:
    """Bytes of weights that the new tokens of `sequences` sequences read together, with the head and without
    embeddings: if all use the same experts, and if each uses any expert with equal chance (the expected number of
    experts)."""
    alike = apart = head_matrix(model).bytes
    for layer in dict.fromkeys(model.order):
        count, ffn = model.order.count(layer), model.ffn[layer.ffn] if layer.ffn else None
        for matrix in layer_matrices(model, layer, step).values():
            size = count * matrix.bytes
            if ffn is None or not matrix.name.startswith("experts"):
                alike, apart = alike + size, apart + size
                continue
            share = ffn.active / ffn.routed
            alike += round(size * share)
            apart += round(size * (1 - (1 - share) ** sequences))
    return alike, apart


def draft_bytes(model: Model, step: Step, shard: Shard) -> int:
    """Bytes of the draft layer on one chip, besides `weight_bytes`."""
    matrices = [*layer_matrices(model, draft_layer(model), step).values(), join_matrix(model, step)]
    return sum(on_chip(matrix, shard).bytes for matrix in matrices)


def on_chip(matrix: WeightMatrix, shard: Shard) -> WeightMatrix:
    """One chip's share of a matrix: its part in the group, or some of the experts if these are dealt out whole."""
    if not matrix.name.startswith("experts"):
        return matrix.on_chip(shard.tensor)
    if not shard.expert:
        return matrix.on_chip(shard.tensor)
    count = cut("routed experts", matrix.count, shard.chips)
    return WeightMatrix(matrix.name, matrix.component, matrix.inputs, matrix.outputs, matrix.stored, "none", count)


def padded_vocabulary(model: Model, shard: Shard) -> WeightMatrix:
    """One chip's part of the projection to the vocabulary, padded so that chips share it evenly."""
    head = head_matrix(model)
    return WeightMatrix(
        head.name, head.component, head.inputs, -(-head.outputs // shard.tensor), head.stored, head.split
    )


def stored_as(model: Model, step: Step, experts: bool = False) -> Stored:
    """Element type of the weights: the step's choice, or that of the release; raises WorkloadError if neither gives
    it."""
    if step.weights is not None:
        return step.weights
    if model.weights is None:
        raise WorkloadError(f"model {model.name} does not say the type of its weights; give one, such as bf16")
    released = model.weights.experts or model.weights.rest if experts else model.weights.rest
    return INTEGERS.get(released, released) if step.integers else released


def said(model: Model, key: str, value: T | None) -> T:
    """A value of the model's file; raises WorkloadError if it is missing."""
    if value is None:
        raise WorkloadError(f"model {model.name} has no {key}, which a whole layer needs; write a YAML that has it")
    return value


def _row(model: Model) -> int:
    """Elements of a row that a compressor makes."""
    assert isinstance(model.heads, Shared)
    return model.heads.head_dim
