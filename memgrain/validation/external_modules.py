"""Attention modules of DeepSeek's models, the scan of their index, and experts, from third-party tables.

Content of a row, according to the collector of github ai-dynamo/aiconfigurator (collector/vllm/collect_mla_module.py
and collect_dsv4_attn.py, collector/sglang/collect_mla_module.py and collect_dsv4_attn.py,
collector/vllm/collect_moe.py; aiconfigurator_core/sdk/operations/dsa.py lists the same kernels):

- A module is the `forward` of one layer's attention (DeepseekV2MLAAttention, DeepseekV4Attention): from the first
  projection of the hidden state to the output projection, norms of the latents, rotation, writes into the caches, the
  whole indexer and the compressors in between. The layer's own norm and the sum over the chips of a group are not in
  it: the collectors make the sum do nothing, and build one chip's share.
- It is captured as one CUDA graph and replayed, so it follows itself; weights beyond the L2 are read from memory. It is
  not compiled: norms and rotations of the V3.2 module are probably PyTorch's own operators, several kernels each, in
  vLLM. They are not counted.
- `num_heads` are the query heads of that one chip. V4's kernels pad them to 64 or 128.
- `step`: of vLLM's MLA and DSA modules the tokens of a sequence, the new one included; elsewhere those before it.
- K and V lie in pages of 64 rows, one after the other. Caches hold zeros or a constant, so that all scores of an index
  are equal; vLLM's weights and hidden states are constants, too, and such products draw less power than others.
- `fp8_block` is DeepGEMM with an activation that is converted in a kernel of its own before each product.
- A row of dsv4_paged_mqa_logits_module is DeepGEMM's kernel alone: batch x isl queries with one context, whose pages
  all of them read; `step` tokens stand before the first.
- A row of moe is fused_experts for tokens whose experts are known: rows are sorted by expert, multiplied, activated,
  multiplied and added; no router, no exchange. With moe_ep_size chips, experts of others are left out. `balanced` deals
  tokens out evenly (collector/helper.py, balanced_logits); rows of drawn loads do not say what was drawn.

TensorRT-LLM's modules are omitted, because their source was not examined. Rows with a cache or experts that no model
here has (dense MLA over fp8 rows of 576 B, experts in 4 bits) are omitted too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

import numpy as np

from memgrain.hwmodels import Chip
from memgrain.validation.external_products import LAUNCH_CYCLES, REPLAY, multicasts

MODELS = {
    "deepseek-ai/DeepSeek-V3": ("deepseek_v3", 128),
    "deepseek-ai/DeepSeek-V3.2": ("deepseek_v32", 128),
    "zai-org/GLM-5": ("glm5", 64),
    "sgl-project/DeepSeek-V4-Flash-FP8": ("deepseek_v4_flash", 64),
    "sgl-project/DeepSeek-V4-Pro-FP8": ("deepseek_v4_pro", 128),
}
"""Our names for the tables' models, and their numbers of query heads."""
LAYERS = {
    "mla_generation_module": "mla",
    "dsa_generation_module": "dsa",
    "dsv4_csa_generation_module": "csa",
    "dsv4_hca_generation_module": "hca",
    "dsv4_paged_mqa_logits_module": "csa",
}
"""Layer of each operation, by its name in the model's file."""
READ = ("sglang", "vllm")
"""Frameworks whose modules are described."""
WEIGHTS = {"bfloat16": "bf16", "fp8_block": "fp8", "fp8": "fp8"}
"""Our names for the tables' element types of weights."""
CACHES = {"bfloat16": "bf16", "fp8": "fp8", "fp8_e4m3": "fp8"}
"""Cache formats in the files of our models; V4's index is in fp8 if K is."""
TOP_K = {"deepseek_v4_flash": 512, "deepseek_v4_pro": 1024}
"""Entries that V4's layers select; a shorter context needs no selection."""
HOPPER = ("h100_sxm", "h200_sxm")
"""Chips whose attention kernels are described."""
BATCH, CONTEXT, TOKENS = 16, 16384, 64
"""Upper limits of small rows: sequences, cached tokens and new tokens."""
QUERIES = 8192
"""Scans with more queries are omitted, because their simulation takes minutes."""
EQUAL = 131072
"""Number of cached tokens below which SGLang's selection of V4 takes 80 us for equal scores and 3 us for others (table
dsv4_csa_topk_calib_perf, score modes v2_flat and v2_top_last). The scores of these measurements are equal, because the
cache holds zeros."""
UNLIKE = ((7168, 2048, 256, 8), (2688, 1856, 128, 6), (2048, 5120, 512, 22), (1024, 2688, 512, 22))
"""Experts (hidden, inner, number, active) whose rows are omitted: they take less time than reading the stated bytes
from DRAM. DeepSeek-V3's router selects experts from only 4 of 8 groups (arXiv 2412.19437, 2.1.2), so its tokens are not
distributed evenly; Nemotron's experts have no gate."""
LARGEST = 2**39
"""Rows of experts with more multiply-accumulates are omitted, because their simulation takes minutes."""
SORTING = 2
"""Kernels that sort rows by expert before the first product (moe_align_block_size and its sort; vLLM's
csrc/moe/moe_align_sum_kernels.cu)."""
Cells = dict[str, str]


def attention_module(row: Mapping[str, Any], chip: Chip) -> Cells:
    """The cells of an attention module; empty if the measured module is not described."""
    model, backend, op = MODELS.get(row["model"]), row["framework"].lower(), row["op"]
    weights, cache = WEIGHTS.get(row["gemm_type"]), CACHES.get(row["kv_cache_dtype"])
    heads, batch, step = int(row["num_heads"]), int(row["batch_size"]), int(row["step"])
    if model is None or weights is None or cache is None or row["op_name"] != op or backend not in READ:
        return {}
    equal = backend == "sglang" and op == "dsv4_csa_generation_module" and step + 1 > 4 * TOP_K[model[0]]
    note = ", equal scores" if equal and step < EQUAL else ""
    if heads > model[1] or (op == "mla_generation_module" and cache != "bf16"):
        return {}
    included = backend == "vllm" and not op.startswith("dsv4")
    context = step if included else step + 1
    return _common(row, op, "attention", f"weights in {weights}, {_size(batch, step)}{note}") | {
        "model": model[0],
        "layer": LAYERS[op],
        "cache": cache,
        "weights": weights,
        "tensor": str(model[1] // heads),
        "batch": str(batch),
        "context": str(context),
        "kernels": "auto" if chip.name in HOPPER else "",
        "launch_cycles": str(LAUNCH_CYCLES if multicasts(chip) else 0),
        "other_kernels": str(REPLAY),
        "title": f"{model[0]} {weights} weights {cache} cache {heads} heads batch {batch} context {context} {backend}",
    }


def index_scan(row: Mapping[str, Any], chip: Chip) -> Cells:
    """The cells of a scan; empty if it has fewer index rows than queries, which does not occur in a model."""
    model, queries, step = MODELS.get(row["model"]), int(row["batch_size"] * row["isl"]), int(row["step"])
    context = step + queries
    if model is None or row["framework"].lower() not in READ or queries > QUERIES:
        return {}
    if context // int(row["compress_ratio"]) < queries + 1:
        return {}
    group = f"{'to' if queries <= TOKENS else 'over'} {TOKENS} queries, {_long(step)}"
    return _common(row, row["op"], "scan", group) | {
        "model": model[0],
        "layer": LAYERS[row["op"]],
        "cache": "fp8",
        "tokens": str(queries),
        "context": str(context),
        "other_kernels": str(REPLAY),
        "title": f"scan of {context // int(row['compress_ratio'])} rows by {queries} queries on {chip.name}",
    }


def experts(row: Mapping[str, Any], chip: Chip) -> Cells:
    """The cells of a mixture of experts; empty if the experts' load or kernel is unknown."""
    weights, tokens, chips = WEIGHTS.get(row["moe_dtype"]), int(row["num_tokens"]), int(row["moe_ep_size"])
    if row["framework"].lower() != "vllm" or weights is None or row["distribution"] != "balanced":
        return {}
    hidden, whole, count, active = (int(row[name]) for name in ("hidden_size", "inter_size", "num_experts", "topk"))
    if (hidden, whole, count, active) in UNLIKE:
        return {}
    inner, own = whole // int(row["moe_tp_size"]), balanced(tokens, count, active)[: count // chips]
    if not 0 < 3 * own.sum() * hidden * inner <= LARGEST:
        return {}
    size = f"{'to' if tokens <= TOKENS else 'over'} {TOKENS} tokens"
    kernel = "Triton" if "triton" in row["kernel_source"] else "CUTLASS"
    return _common(row, row["op"], "experts", f"{weights} by {kernel}, {size}") | {
        "weights": weights,
        "rows": " ".join(map(str, own)),
        "tokens": str(tokens),
        "hidden": str(hidden),
        "inner": str(inner),
        "other_kernels": str(REPLAY + SORTING),
        "title": f"{weights} {tokens} tokens, {(own > 0).sum()} experts of {hidden} x {inner} on {chip.name}",
    }


def balanced(tokens: int, count: int, active: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of each expert if tokens are distributed evenly (collector/helper.py, balanced_logits)."""
    stride, token, choice = ceil(count / active), np.arange(tokens)[:, None], np.arange(active)
    first = token if tokens >= stride else token * stride / tokens
    chosen = np.unique(token * count + ((first + choice * stride) % count).astype(np.int64)) % count
    return np.bincount(chosen, minlength=count)


def _common(row: Mapping[str, Any], op: str, part: str, group: str) -> Cells:
    """Cells common to all modules."""
    return {
        "device": row["device"],
        "family": "module",
        "operation": op,
        "part": part,
        "group": group,
        "l2_state": "warm",
        "kernel_time_us": str(1000 * row["latency"]),
    }


def _size(batch: int, step: int) -> str:
    return f"batch {'to' if batch <= BATCH else 'over'} {BATCH}, {_long(step)}"


def _long(step: int) -> str:
    return f"context {'to' if step <= CONTEXT else 'over'} {CONTEXT // 1024}K"


MODULES: dict[str, Callable[[Mapping[str, Any], Chip], Cells]] = {
    "mla_generation_module": attention_module,
    "dsa_generation_module": attention_module,
    "dsv4_csa_generation_module": attention_module,
    "dsv4_hca_generation_module": attention_module,
    "dsv4_paged_mqa_logits_module": index_scan,
    "moe": experts,
}
"""Operations with the function that converts a row to cells. No cells: the measured module is not described."""
