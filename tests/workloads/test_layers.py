"""Whole layers: parameters, bytes, shares of chips, experts and fusions against published figures and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgrain.workloads import (
    Budget,
    SparseAttentionStep,
    WorkloadError,
    attention,
    count_bytes,
    load_model,
    model_names,
)
from memgrain.workloads.layers.attention import attention_workload
from memgrain.workloads.layers.fusion import fuse
from memgrain.workloads.layers.matrices import head_matrix, layer_matrices, met_bytes, weight_bytes, weight_parameters
from memgrain.workloads.layers.routing import busiest, routed
from memgrain.workloads.layers.rowwise import rowwise
from memgrain.workloads.layers.stages import LayerStages
from memgrain.workloads.layers.step import Shard, Step
from memgrain.workloads.models.model import Model
from memgrain.workloads.trace import count_macs

BUDGET = Budget(132, 227 << 10, 32)
PUBLISHED = {
    "llama31_8b": 8.03e9,
    "llama31_70b": 70.6e9,
    "llama31_405b": 405.9e9,
    "yi_34b_200k": 34.4e9,
    "phi3_mini": 3.82e9,
    "qwen3_8b": 8.19e9,
    "qwen3_32b": 32.8e9,
    "qwen3_235b_a22b": 235e9,
    "gpt_oss_120b": 116.8e9,
    "deepseek_v3": 671e9,
    "deepseek_v32": 671e9,
    "deepseek_v4_flash": 284e9,
    "deepseek_v4_pro": 1.6e12,
    "kimi_k2": 1.03e12,
    "glm5": 744e9,
    "minimax_m3": 428e9,
}
"""Parameters as the makers' model cards and reports give them."""
WHOLE = sorted(set(model_names()) - {"article_v4", "nsa_27b"})
"""Models whose files say enough for whole layers."""


def step(model: Model, context: int = 65536, batch: int = 1, tokens: int = 1, phase: str = "decode") -> Step:
    weights = None if model.weights else "bf16"
    asked = {"phase": phase, "batch": batch, "context": context, "tokens": tokens, "weights": weights}
    return Step.model_validate(asked)


@pytest.mark.parametrize("name", PUBLISHED)
def test_matrices_have_the_parameters_that_the_makers_publish(name: str) -> None:
    model = load_model(name)
    assert weight_parameters(model, step(model)) == pytest.approx(PUBLISHED[name], rel=0.02)


@pytest.mark.parametrize("name", model_names())
def test_attention_reads_what_the_model_says_that_it_reads(name: str) -> None:
    """Against the tables of the research, which `Model.read` is held against; heads of Quest scan an index each."""
    model = load_model(name)
    if model.heads.q_heads is None:
        with pytest.raises(WorkloadError, match=r"has no heads\.q_heads"):
            attention_workload(model, "hierarchical", step(model), Shard())
        return
    for kind in model.attention:
        asked = attention_workload(model, kind, step(model), Shard(tensor=2), None)
        traces = asked.kernels(BUDGET) if isinstance(asked, SparseAttentionStep) else (attention(asked, BUDGET),)
        read = dict.fromkeys(("K", "V", "index"), 0)
        for trace in traces:
            for tensor, (size, _) in count_bytes(trace).items():
                if tensor in read:
                    read[tensor] += size
        parts = model.read(kind, 65536)
        cut = 2 if len(model.heads.elements) > 1 else 1
        rows = sum(part.bytes for part in parts if not part.component.startswith("index")) // cut
        keys = sum(part.bytes for part in parts if part.component.startswith("index")) // (cut if cut == 2 else 1)
        repeats = model.heads.q_heads // model.heads.kv_heads if "quest" in kind else 1
        assert read["K"] + read["V"] + read["index"] == pytest.approx(rows + keys * repeats, rel=2e-3)


@pytest.mark.parametrize("name", WHOLE)
def test_a_layer_reads_its_weights_once_and_multiplies_each_with_each_row(name: str) -> None:
    model = load_model(name)
    asked = step(model, 4096)
    for layer in dict.fromkeys(model.order):
        stages = LayerStages(model, asked, Shard(), BUDGET).layer(layer)
        experts = model.ffn[layer.ffn or ""].active
        matrices = layer_matrices(model, layer, asked)
        wanted = sum(m.bytes * (experts / m.count if m.name.startswith("experts") else 1) for m in matrices.values())
        elements = sum(
            m.parameters * (experts / m.count if m.name.startswith("experts") else 1) for m in matrices.values()
        )
        products = [stage for stage in stages if stage.name in matrices]
        assert {stage.name for stage in products} == set(matrices)
        read = sum(count_bytes(stage.trace)["W"][0] for stage in products if stage.trace)
        assert read == pytest.approx(wanted, rel=0.03)
        macs = sum(count_macs(stage.trace) for stage in products if stage.trace)
        assert macs == pytest.approx(elements, rel=0.02)


@pytest.mark.parametrize("name", WHOLE)
def test_chips_share_the_weights(name: str) -> None:
    model = load_model(name)
    asked, one = step(model), weight_bytes(model, step(model), Shard())
    for chips in (2, 4):
        many = any(ffn.routed for ffn in model.ffn.values())
        part = weight_bytes(model, asked, Shard(tensor=chips, expert=many))
        assert one / chips * 0.999 <= part <= one / chips * 1.35, "what all chips hold is small beside the rest"
    with pytest.raises(WorkloadError, match=r"cannot be shared evenly by 7 chips"):
        weight_bytes(model, asked, Shard(tensor=7))


@pytest.mark.parametrize("name", WHOLE)
def test_sequences_read_all_experts_at_last(name: str) -> None:
    """One token meets the same either way; as many as there may be meet all there is but the table of embeddings."""
    model = load_model(name)
    asked = step(model)
    alone, alike = met_bytes(model, asked, 1)
    assert alone == pytest.approx(alike, rel=1e-9)
    few, all_of_it = met_bytes(model, asked, 10**6)
    assert few == alone
    assert all_of_it == pytest.approx(weight_bytes(model, asked, Shard()) - head_matrix(model).bytes, rel=1e-9)
    if model.parameters is not None and model.parameters.active is not None:
        elements = alone / {"bf16": 2, "fp8": 1, "fp4": 0.5}[model.weights.rest] if model.weights else alone / 2
        assert elements == pytest.approx(model.parameters.active, rel=0.35), "experts may have fewer bits than the rest"
    assert (alone == all_of_it) == (not any(ffn.routed for ffn in model.ffn.values()))


def test_a_chip_has_one_kv_head_at_least() -> None:
    model = load_model("llama31_8b")
    for chips in (8, 16, 32):
        stages = LayerStages(model, step(model), Shard(tensor=chips), BUDGET).layer(model.order[0])
        qkv = next(stage for stage in stages if stage.name == "qkv")
        assert qkv.trace is not None
        assert count_macs(qkv.trace) == pytest.approx(4096 * (4096 // chips + 2 * 128), rel=0.01)


def test_exchanges_are_those_of_the_papers() -> None:
    model = load_model("deepseek_v32")
    rows, hidden = 4, 7168
    found = {
        stage.name: stage.exchange
        for stage in LayerStages(model, step(model, batch=rows), Shard(tensor=4, data=2, expert=True), BUDGET).layer(
            model.order[-1]
        )
        if stage.exchange is not None
    }
    assert {name: (e.op, e.chips) for name, e in found.items()} == {
        "attention_sum": ("all_reduce", 4),
        "dispatch": ("all_to_all", 8),
        "combine": ("all_to_all", 8),
        "ffn_sum": ("all_reduce", 4),
    }
    assert found["attention_sum"].bytes == rows * hidden * 2
    assert found["combine"].bytes == rows // 4 * 8 * hidden * 2


@given(
    tokens=st.integers(1, 400),
    experts=st.sampled_from([8, 64]),
    active=st.integers(1, 8),
    chips=st.sampled_from([1, 2, 8]),
)
def test_every_token_goes_to_as_many_experts(tokens: int, experts: int, active: int, chips: int) -> None:
    loads = routed(tokens, experts, active, seed=3)
    assert loads.sum() == tokens * active
    assert loads.max() <= tokens, "no expert twice for a token"
    worst = busiest(loads, chips)
    assert len(worst) == experts // chips
    assert (worst > 0).sum() == max((part > 0).sum() for part in np.split(loads, chips))


@given(rows=st.integers(1, 300), wide=st.integers(1, 60000), out=st.integers(1, 2000))
def test_rowwise_kernels_move_every_row_once(rows: int, wide: int, out: int) -> None:
    trace = rowwise("norm", rows, {"x": wide, "y": 7}, {"x": wide, "z": out}, BUDGET)
    assert count_bytes(trace) == {"x": (rows * wide, rows * wide), "y": (rows * 7, 0), "z": (0, rows * out)}


@pytest.mark.parametrize(
    ("name", "what"), [("llama31_8b", "ffn"), ("llama31_8b", "attention"), ("llama31_8b", "layer")]
)
def test_fusions_drop_what_passes_between_kernels_and_nothing_else(name: str, what: str) -> None:
    model = load_model(name)
    stages = LayerStages(model, step(model, 8192), Shard(), BUDGET).layer(model.order[0])
    fused, changes = fuse(stages, what, BUDGET)  # type: ignore[arg-type]
    moved, left = (
        sum(sum(sum(pair) for pair in count_bytes(stage.trace).values()) for stage in some if stage.trace)
        for some in (stages, fused)
    )
    assert moved - left == sum(change.saved_bytes for change in changes) > 0
    for kept in ("K", "V", "residual", *(f"weights of {m}" for m in ("qkv", "o", "gate_up", "down"))):
        before, after = (
            sum(
                sum(count_bytes(stage.trace)[tensor.name])
                for stage in some
                if stage.trace
                for tensor in stage.trace.tensors
                if stage.names.get(tensor.name, tensor.name) == kept
            )
            for some in (stages, fused)
        )
        assert before == after, kept
    joined = [stage.trace.joined for stage in fused if stage.trace]
    assert sum(joined) == len(joined) - 1 if what == "layer" else any(joined)
    if what == "ffn":
        assert "activate" not in [stage.name for stage in fused]
        assert changes[0].kept_bytes == -(-3 * 14336 * 2 // BUDGET.cores), "gate and up, and what comes of them"


def test_a_fusion_that_does_not_fit_is_refused() -> None:
    model = load_model("llama31_8b")
    stages = LayerStages(model, step(model, 8192, tokens=8192, phase="prefill"), Shard(), BUDGET).layer(model.order[0])
    with pytest.raises(WorkloadError, match=r"fusing gate_up to down keeps \d+ B on the chip, .* a core has 232448 B"):
        fuse(stages, "ffn", BUDGET)
