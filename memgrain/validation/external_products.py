"""Products with weights from third-party tables; each row becomes a record.

The collector of github ai-dynamo/aiconfigurator (collector/helper.py, collector/*/collect_gemm.py) shows how they were
measured: a graph of several layers, each with its own weights, is captured and replayed 6 times between two events;
`latency` is the time of a replay divided by the number of layers. vLLM and SGLang use 6 layers, TensorRT-LLM as many as
reach the size of the L2, at most 5. So weights are in the L2 only if those of all layers fit. SGLang's layers also have
their own inputs. If A is fp8, the time includes a kernel that converts it from bf16.

- bf16 is torch.nn.functional.linear with all three, so cuBLAS's choice among its kernels.
- vLLM's weights of bf16 are not filled with random numbers; the others' are. Power depends on that: under long products
  of random numbers an H100 of 700 W ran at 1.1 to 1.47 GHz, with weights of zero at 1.6 to 1.7 (nvidia-smi).
- Rows of fp8 in blocks by vLLM were timed without a graph, so that the host's launches are in them, and TensorRT-LLM
  runs further kernels with fp8 (12 us for the smallest product): they are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memgrain.hwmodels import Chip
from memgrain.workloads.layers.products import tiling

REPLAY = 1
"""Time of a graph replay in addition to its kernels, in empty kernels (measurements/h100_replay.csv)."""
LAYERS = 6
"""Number of layers in the graph of vLLM and SGLang."""
FEW_TOKENS, MANY_TOKENS = 64, 2048
"""Products with at most the first number of rows of A count as decode, from the second on as prefill."""
LARGEST = 2**39
"""Rows with more multiply-accumulates (8192 x 8192 x 8192) are omitted, because their simulation takes minutes."""
LAUNCH_CYCLES = tiling("sm90").launch_cycles[0]
"""Cycles of such a kernel's code in addition to loads, products and stores."""
TYPES = {"bfloat16": "bf16", "float16": "fp16", "fp8": "fp8", "fp8_block": "fp8"}
"""Our names for the element types of A and of the weights."""


def multicasts(chip: Chip) -> bool:
    """Whether kernels load W for clusters of two cores by multicast (cuBLAS's kernel names show it: nvjet .. 2x1)."""
    return chip.matmul_core.multicast > 1


def product_cells(row: Mapping[str, Any], chip: Chip) -> dict[str, str]:
    """The cells of a row; empty if the measured kernels are unknown."""
    backend, dtype = row["framework"].lower(), TYPES.get(row["gemm_dtype"])
    m, n, k = (int(row[name]) for name in "mnk")
    if dtype is None or m * n * k > LARGEST:
        return {}
    if (backend == "vllm" and row["gemm_dtype"] == "fp8_block") or (backend == "trtllm" and dtype == "fp8"):
        return {}
    layers = LAYERS
    if backend == "trtllm" and chip.cache is not None:
        layers = max(1, min(5, -(-chip.cache.capacity // (2 * n * k))))
    return {
        "device": row["device"],
        "family": "linear",
        "group": f"{dtype}, {_size(m)}",
        "kernel": "auto",
        "l2_state": "warm",
        "tokens": str(m),
        "inputs": str(k),
        "outputs": str(n),
        "dtype": dtype,
        "weights": dtype,
        "o_dtype": "bf16",
        "copies": str(layers),
        "own_inputs": str(backend == "sglang"),
        "converted": "bf16" if dtype == "fp8" else "",
        "cluster": "2" if multicasts(chip) else "1",
        "launch_cycles": str(LAUNCH_CYCLES if multicasts(chip) else 0),
        "other_kernels": str(REPLAY / layers),
        "kernel_time_us": str(1000 * row["latency"]),
    }


def _size(tokens: int) -> str:
    """Size class of a row by its rows of A."""
    if tokens <= FEW_TOKENS:
        return f"to {FEW_TOKENS} tokens"
    return f"to {MANY_TOKENS - 1} tokens" if tokens < MANY_TOKENS else f"from {MANY_TOKENS} tokens"
