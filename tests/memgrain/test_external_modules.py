"""Rows of whole modules become the measured kernels, with the bytes that they must read."""

from __future__ import annotations

import math
from typing import Any

import pytest

from memgrain.hwmodels import load_chip
from memgrain.runs.task import budget
from memgrain.validation.external_modules import MODULES, attention_module, balanced, experts, index_scan
from memgrain.validation.module import AttentionModule, Experts, IndexScan, Module, module
from memgrain.validation.records import Record

CHIP = load_chip("h100_sxm")
ATTENTION: dict[str, Any] = {
    "framework": "VLLM",
    "device": "NVIDIA H100 80GB HBM3",
    "op": "dsa_generation_module",
    "op_name": "dsa_generation_module",
    "kernel_source": "FLASHMLA_SPARSE",
    "model": "deepseek-ai/DeepSeek-V3.2",
    "kv_cache_dtype": "fp8",
    "gemm_type": "fp8_block",
    "num_heads": 16,
    "batch_size": 2,
    "isl": 1,
    "step": 8192,
    "latency": 0.15,
}
"""A row in the form of the package, with an invented latency."""
FLASH = "sgl-project/DeepSeek-V4-Flash-FP8"
COMPRESSED = ATTENTION | {"op": "dsv4_csa_generation_module", "op_name": "dsv4_csa_generation_module", "model": FLASH}
SCAN = COMPRESSED | {"op": "dsv4_paged_mqa_logits_module", "batch_size": 8, "compress_ratio": 4}
EXPERTS: dict[str, Any] = {
    "framework": "VLLM",
    "device": "NVIDIA H100 80GB HBM3",
    "op": "moe",
    "kernel_source": "vllm_fp8moe_triton_tritonexperts",
    "moe_dtype": "fp8_block",
    "num_tokens": 4,
    "hidden_size": 1024,
    "inter_size": 512,
    "topk": 2,
    "num_experts": 16,
    "moe_tp_size": 2,
    "moe_ep_size": 2,
    "distribution": "balanced",
    "latency": 0.03,
}


def asked(row: dict[str, Any]) -> tuple[Module, int]:
    """The module of a row, and the bytes that it must read."""
    found, (useful, _) = module(Record("table", "0", MODULES[row["op"]](row, CHIP)), budget(CHIP))
    return found, useful


def names(found: Module) -> list[str]:
    return [stage.name for stage in found.part.stages(budget(CHIP))]


def test_a_module_begins_and_ends_with_a_projection() -> None:
    found, useful = asked(ATTENTION)
    assert isinstance(found.part, AttentionModule)
    assert (found.part.shard.tensor, found.part.step.context, found.part.kernels) == (8, 8192, "auto")
    kernels = names(found)
    assert kernels[:3] == ["convert for qkv_a", "qkv_a", "latent_norm"]
    assert kernels[-2:] == ["convert for o", "o"]
    assert not {"norm", "attention_sum"} & set(kernels), "the layer's norm and the sum over the group"
    assert [name for name in kernels if name in ("write", "scan", "select", "attend")] == [
        "write",
        "scan",
        "select",
        "attend",
    ]
    heads, latent = 16, 512
    in_fp8 = 7168 * (1536 + 576) + 1536 * heads * 192 + heads * 128 * 7168 + 1536 * 64 * 128 + 7168 * 128
    in_bf16 = 2 * heads * 128 * latent * 2 + 7168 * 64 * 2
    read = 2 * (8192 * 132 + 2048 * 656)
    assert useful == pytest.approx(in_fp8 + in_bf16 + read, rel=0.005), "scales of the weights apart"


def test_nothing_is_converted_for_weights_in_bf16() -> None:
    plain, scaled = asked(ATTENTION | {"gemm_type": "bfloat16"}), asked(ATTENTION)
    assert [name for name in names(scaled[0]) if not name.startswith("convert")] == names(plain[0])
    assert plain[1] > 1.3 * scaled[1]


def test_frameworks_count_the_new_token_in_their_own_ways() -> None:
    def context(row: dict[str, Any]) -> str:
        return attention_module(row, CHIP)["context"]

    assert context(ATTENTION) == "8192"
    assert context(ATTENTION | {"framework": "SGLang"}) == "8193"
    assert context(COMPRESSED) == context(COMPRESSED | {"framework": "SGLang"}) == "8193"


def test_compressed_attention_keeps_state_and_scans_a_fourth() -> None:
    found, _ = asked(COMPRESSED | {"framework": "SGLang", "num_heads": 8})
    assert {"entry_kv", "index_k", "compress", "scan", "select", "o_a", "o_b"} <= set(names(found))
    heavy, _ = asked(COMPRESSED | {"op": "dsv4_hca_generation_module", "op_name": "dsv4_hca_generation_module"})
    assert "compress" in names(heavy)
    assert not {"scan", "select", "index_q"} & set(names(heavy))


def test_scores_that_are_equal_are_a_group_of_their_own() -> None:
    def group(row: dict[str, Any]) -> str:
        return attention_module(row, CHIP)["group"]

    measured = COMPRESSED | {"framework": "SGLang"}
    assert group(measured).endswith("equal scores")
    assert not group(measured | {"step": 2047}).endswith("equal scores"), "all entries are read"
    assert not group(measured | {"step": 131072}).endswith("equal scores"), "another kernel"
    assert not group(COMPRESSED).endswith("equal scores")


def test_a_scan_is_one_kernel_for_all_queries_of_a_context() -> None:
    found, useful = asked(SCAN)
    assert isinstance(found.part, IndexScan)
    assert names(found) == ["scan"]
    rows = (8192 + 8) // 4
    assert useful == rows * 132, "rows are shared"
    (stage,) = found.part.stages(budget(CHIP))
    assert stage.trace is not None
    scores = next(tensor for tensor in stage.trace.tensors if tensor.name == "scores")
    assert scores.bytes == 8 * rows * 4
    assert index_scan(SCAN | {"step": 8, "isl": 4}, CHIP) == {}, "fewer rows than queries"


@pytest.mark.parametrize(
    ("tokens", "count", "active"), [(1, 256, 8), (5, 16, 2), (8, 16, 2), (33, 60, 7), (300, 128, 6)]
)
def test_balanced_tokens_are_those_of_the_collector(tokens: int, count: int, active: int) -> None:
    loads, stride = [0] * count, math.ceil(count / active)
    for token in range(tokens):
        first = float(token) if tokens >= stride else token * stride / tokens
        for expert in {int((first + choice * stride) % count) for choice in range(active)}:
            loads[expert] += 1
    assert balanced(tokens, count, active).tolist() == loads


def test_experts_are_those_of_one_chip_and_only_such_with_tokens() -> None:
    found, useful = asked(EXPERTS)
    assert isinstance(found.part, Experts)
    loads = balanced(4, 16, 2)[:8]
    assert found.part.rows == tuple(loads)
    assert found.part.inner == 256
    assert names(found) == ["convert x", "gate_up", "activate", "convert inner", "down", "add"]
    assert useful == pytest.approx((loads > 0).sum() * 3 * 1024 * 256, rel=0.005), "scales apart"
    assert names(asked(EXPERTS | {"moe_dtype": "bfloat16"})[0]) == ["gate_up", "activate", "down", "add"]


def test_rows_of_what_is_not_described_are_left_out() -> None:
    assert attention_module(ATTENTION | {"framework": "TRTLLM"}, CHIP) == {}
    assert attention_module(ATTENTION | {"op_name": "dsa_generation_module_skip_indexer"}, CHIP) == {}
    dense = ATTENTION | {"op": "mla_generation_module", "op_name": "mla_generation_module"}
    assert attention_module(dense | {"model": "deepseek-ai/DeepSeek-V3"}, CHIP) == {}, "rows of 576 B"
    assert experts(EXPERTS | {"distribution": "power_law_1.2"}, CHIP) == {}
    assert experts(EXPERTS | {"moe_dtype": "int4_wo"}, CHIP) == {}
    assert experts(EXPERTS | {"hidden_size": 7168, "inter_size": 2048, "num_experts": 256, "topk": 8}, CHIP) == {}


def test_a_module_takes_longer_than_its_bytes_and_than_a_part_of_it() -> None:
    whole, useful = asked(ATTENTION)
    seconds, result, calls = whole.simulate(CHIP)
    assert (calls, len(result.kernels)) == (1, len(names(whole)))
    assert seconds > useful / CHIP.dram.bandwidth
    shorter, _ = asked(ATTENTION | {"step": 4096})
    assert shorter.simulate(CHIP)[0] < seconds
