"""Decode steps of Llama-like layers on one GPU, as an inference engine runs them: in replayed graphs of kernels.

Products are cuBLAS's, attention is FlashAttention-3 from the package vllm 0.24.0 over pages of 16 tokens, and the other
kernels are in Triton: the residual sum with the norm, rotation with the write of the new rows, the activation. A graph
has eight layers with weights and caches of their own, more than the L2 holds. Needs an H100 and PyTorch 2.11.
    python layer.py _vllm_fa3_C.abi3.so > h100_layer.csv
"""

import csv
import statistics
import sys

import torch
import triton
import triton.language as tl
from torch.nn.functional import linear
from torch.profiler import ProfilerActivity, profile

torch.ops.load_library(sys.argv[1])
OPS = torch.ops._vllm_fa3_C
PAGE, LAYERS = 16, 8
SHAPES = {
    "llama31_8b": (4096, 32, 8, 128, 14336),
    "llama31_70b of 8": (8192, 8, 1, 128, 3584),
    "phi3_mini": (3072, 32, 32, 96, 8192),
}
"""Hidden size, query heads, KV heads, head dimension, inner size; the second is one chip's part of eight."""
BF16 = {"device": "cuda", "dtype": torch.bfloat16}


@triton.jit
def add_norm(x, residual, weight, out, n: tl.constexpr, block: tl.constexpr):
    row, at = tl.program_id(0), tl.arange(0, block)
    total = tl.load(x + row * n + at, mask=at < n, other=0.0).to(tl.float32)
    total += tl.load(residual + row * n + at, mask=at < n, other=0.0).to(tl.float32)
    tl.store(residual + row * n + at, total.to(tl.bfloat16), mask=at < n)
    scale = tl.rsqrt(tl.sum(total * total, 0) / n + 1e-5)
    tl.store(out + row * n + at, (total * scale * tl.load(weight + at, mask=at < n)).to(tl.bfloat16), mask=at < n)


@triton.jit
def rotate_write(
    qkv, keys, values, slots, cos, n: tl.constexpr, heads: tl.constexpr, kv: tl.constexpr, half: tl.constexpr
):
    row, head, at = tl.program_id(0), tl.program_id(1), tl.arange(0, 64)
    base = qkv + row * n + head * 2 * half
    slot = tl.load(slots + row)
    if head < heads + kv:
        low, high = tl.load(base + at, mask=at < half), tl.load(base + half + at, mask=at < half)
        c = tl.load(cos + at, mask=at < half)
        a, b = (low * c - high * c).to(tl.bfloat16), (high * c + low * c).to(tl.bfloat16)
        target = base if head < heads else keys + (slot * kv + head - heads) * 2 * half
        tl.store(target + at, a, mask=at < half)
        tl.store(target + half + at, b, mask=at < half)
    else:
        target = values + (slot * kv + head - heads - kv) * 2 * half
        tl.store(target + at, tl.load(base + at, mask=at < half), mask=at < half)
        tl.store(target + half + at, tl.load(base + half + at, mask=at < half), mask=at < half)


@triton.jit
def gate(both, out, n: tl.constexpr, block: tl.constexpr):
    row, at = tl.program_id(0), tl.program_id(1) * block + tl.arange(0, block)
    a = tl.load(both + row * 2 * n + at, mask=at < n).to(tl.float32)
    b = tl.load(both + row * 2 * n + n + at, mask=at < n)
    tl.store(out + row * n + at, (a * tl.sigmoid(a) * b).to(tl.bfloat16), mask=at < n)


class Layer:
    def __init__(self, shape, batch, context):
        hidden, heads, kv, dim, inner = shape
        self.shape, self.batch, self.context = shape, batch, context
        self.qkv = torch.randn((heads + 2 * kv) * dim, hidden, **BF16) * 0.02
        self.o = torch.randn(hidden, heads * dim, **BF16) * 0.02
        self.up = torch.randn(2 * inner, hidden, **BF16) * 0.02
        self.down = torch.randn(hidden, inner, **BF16) * 0.02
        self.norms = [torch.ones(hidden, **BF16) for _ in range(2)]
        pages = -(-context // PAGE)
        self.keys, self.values = (torch.randn(batch * pages, PAGE, kv, dim, **BF16) for _ in range(2))
        self.table = torch.randperm(batch * pages, device="cuda").int().reshape(batch, pages)
        last = context - 1
        self.slots = self.table[:, last // PAGE].long() * PAGE + last % PAGE
        self.used = torch.full((batch,), context, device="cuda", dtype=torch.int32)
        self.starts = torch.arange(batch + 1, device="cuda", dtype=torch.int32)
        self.cos = torch.ones(dim // 2, **BF16)
        self.x, self.inner = torch.empty(batch, hidden, **BF16), torch.empty(batch, inner, **BF16)
        self.out = torch.empty(batch, heads, dim, **BF16)
        self.metadata = OPS.get_scheduler_metadata(
            batch, 1, context, heads, kv, dim, dim, torch.bfloat16, self.used, self.starts, None, None, None, None,
            PAGE, 0, True, -1, -1, False, 32, None, 0,
        )  # fmt: skip

    def __call__(self, x, residual):
        hidden, heads, kv, dim, inner = self.shape
        block = triton.next_power_of_2(hidden)
        add_norm[(self.batch,)](x, residual, self.norms[0], self.x, hidden, block, num_warps=8)
        qkv = linear(self.x, self.qkv)
        wide = (heads + 2 * kv) * dim
        rotate_write[(self.batch, heads + 2 * kv)](
            qkv, self.keys, self.values, self.slots, self.cos, wide, heads, kv, dim // 2, num_warps=1
        )
        q = qkv[:, : heads * dim].unflatten(1, (heads, dim))
        OPS.fwd(
            q, self.keys, self.values, None, None, None, self.out, self.starts, None, None, None, self.used, 1,
            self.context, self.table, None, None, None, None, None, None, None, None, dim**-0.5, True, -1, -1, 0.0,
            True, self.metadata, 32, None, 0, None, 1, 0, None,
        )  # fmt: skip
        x = linear(self.out.flatten(1), self.o)
        add_norm[(self.batch,)](x, residual, self.norms[1], self.x, hidden, block, num_warps=8)
        both = linear(self.x, self.up)
        gate[(self.batch, triton.cdiv(inner, 1024))](both, self.inner, inner, 1024)
        return linear(self.inner, self.down)


def measure(shape, batch, context):
    layers = [Layer(shape, batch, context) for _ in range(LAYERS)]
    residual, first = torch.randn(batch, shape[0], **BF16), torch.randn(batch, shape[0], **BF16)

    def run():
        x = first
        for layer in layers:
            x = layer(x, residual)

    run()
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with torch.cuda.stream(stream):
        run()
        with torch.cuda.graph(graph, stream=stream):
            run()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    found = []
    for _ in range(9):
        begin.record()
        for _ in range(5):
            graph.replay()
        end.record()
        torch.cuda.synchronize()
        found.append(begin.elapsed_time(end) * 1000 / 5 / LAYERS)
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        graph.replay()
        torch.cuda.synchronize()
    kernels = [(e.name, e.device_time) for e in seen.events() if e.device_time]
    return statistics.median(found[1:]), kernels


PARTS = ("norm", "qkv", "rotate", "attend", "o", "gate_up", "activate", "down")
"""Kernels of a layer. A product includes the kernel that adds its splits, attention the kernel that merges its
splits."""
table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(["device", "model", "batch", "context", "layer_us", *PARTS, "kernels"])
for name, shape in SHAPES.items():
    for batch, context in ((1, 1024), (1, 8192), (1, 32768), (1, 131072), (16, 1024), (16, 8192), (64, 2048)):
        if name == "phi3_mini" and batch * context > 131072:
            continue
        whole, kernels = measure(shape, batch, context)
        own = kernels[len(kernels) // LAYERS * 3 : len(kernels) // LAYERS * 4]
        times, after = dict.fromkeys(PARTS, 0.0), iter(("qkv", "gate_up"))
        part = ""
        for kernel, time in own:
            if kernel == "add_norm":
                times["norm"] += time
                part = next(after)
            elif kernel == "rotate_write":
                times["rotate"] += time
                part = "o"
            elif kernel == "gate":
                times["activate"] += time
                part = "down"
            else:
                times["attend" if "flash" in kernel else part] += time
        table.writerow([torch.cuda.get_device_name(), name, batch, context, f"{whole:.3f}",
                        *(f"{time:.3f}" for time in times.values()), len(own)])  # fmt: skip
        torch.cuda.empty_cache()
