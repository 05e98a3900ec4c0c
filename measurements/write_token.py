"""Time that the write of new tokens into a paged cache adds to a graph of FlashAttention-3 calls.

Needs an H100, PyTorch 2.11, Triton and _vllm_fa3_C.abi3.so from the package vllm 0.24.0.
    python write_token.py _vllm_fa3_C.abi3.so > h100_write_token.csv
"""

import csv
import statistics
import sys

import torch
import triton
import triton.language as tl

torch.ops.load_library(sys.argv[1])
OPS = torch.ops._vllm_fa3_C
PAGE = 64
TYPES = {"bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}


@triton.jit
def write(key, value, keys, values, slots, k_scale, v_scale, n: tl.constexpr, block: tl.constexpr, fp8: tl.constexpr):
    token = tl.program_id(0)
    slot = tl.load(slots + token)
    at = tl.arange(0, block)
    k = tl.load(key + token * n + at, mask=at < n)
    v = tl.load(value + token * n + at, mask=at < n)
    if fp8:
        k = (k.to(tl.float32) / tl.load(k_scale)).to(tl.float8e4nv)
        v = (v.to(tl.float32) / tl.load(v_scale)).to(tl.float8e4nv)
    tl.store(keys + slot * n + at, k, mask=at < n)
    tl.store(values + slot * n + at, v, mask=at < n)


def measure(dim, dtype, kv_heads, sequences):
    kind, n = TYPES[dtype], dim * kv_heads
    q = torch.randn(sequences, 8 * kv_heads, dim, device="cuda", dtype=torch.bfloat16).to(kind)
    k, v = (torch.randn(sequences, PAGE, kv_heads, dim, device="cuda", dtype=torch.bfloat16).to(kind) for _ in "kv")
    new = [torch.randn(sequences, n, device="cuda", dtype=torch.bfloat16) for _ in "kv"]
    out = torch.empty(sequences, 8 * kv_heads, dim, device="cuda", dtype=torch.bfloat16)
    table = torch.randperm(sequences, device="cuda").int().reshape(sequences, 1)
    slots = table.long().flatten() * PAGE + 15
    used = torch.full((sequences,), 16, device="cuda", dtype=torch.int32)
    starts = torch.arange(sequences + 1, device="cuda", dtype=torch.int32)
    scale = torch.ones((), device="cuda")
    scales = [torch.ones(sequences, kv_heads, device="cuda") for _ in range(3)] if dtype == "fp8" else [None] * 3
    most = 32 if sequences <= 512 else 0
    metadata = OPS.get_scheduler_metadata(
        sequences, 1, 16, 8 * kv_heads, kv_heads, dim, dim, kind, used, starts, None, None, None, None, PAGE, 0, True,
        -1, -1, False, most, None, 0,
    )  # fmt: skip

    def attend():
        OPS.fwd(
            q, k, v, None, None, None, out, starts, None, None, None, used, 1, 16, table, None, None, None, None, None,
            *scales, dim**-0.5, True, -1, -1, 0.0, True, metadata, most, None, 0, None, 1, 0, None,
        )  # fmt: skip

    def both():
        write[(sequences,)](*new, k, v, slots, scale, scale, n, triton.next_power_of_2(n), dtype == "fp8")
        attend()

    return replayed(attend), replayed(both)


def replayed(run):
    run()
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with torch.cuda.stream(stream):
        run()
        with torch.cuda.graph(graph, stream=stream):
            run()
    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    found = []
    for _ in range(12):
        first.record()
        for _ in range(6):
            graph.replay()
        last.record()
        torch.cuda.synchronize()
        found.append(first.elapsed_time(last) * 1000 / 6)
    return statistics.median(found[1:])


table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(["device", "dim", "dtype", "kv_heads", "sequences", "attention_us", "both_us"])
for dim in (64, 128, 256):
    for dtype in TYPES:
        for kv_heads in (1, 8):
            for sequences in (1, 16, 64, 256, 512, 1024):
                times = measure(dim, dtype, kv_heads, sequences)
                table.writerow(
                    [torch.cuda.get_device_name(), dim, dtype, kv_heads, sequences, *(f"{t:.3f}" for t in times)]
                )
