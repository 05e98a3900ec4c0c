"""Times of FlashAttention-3 as vLLM builds it, decoding over pages, with all data in the L2.

Needs an H100, PyTorch 2.11 and _vllm_fa3_C.abi3.so from the package vllm 0.24.0. The plan has a line for each call:
    python flash3_paged.py _vllm_fa3_C.abi3.so replay > plan.csv
    ncu --profile-from-start off --metrics gpu__time_duration.sum --clock-control none --cache-control none --csv \
        -k regex:Flash python flash3_paged.py _vllm_fa3_C.abi3.so once > times.csv

`replay`: time of a call in a graph of six such calls in a row, the method of NVIDIA's tables.
"""

import csv
import statistics
import sys
from itertools import product

import torch

torch.ops.load_library(sys.argv[1])
OPS = torch.ops._vllm_fa3_C
PAGE, HOT, SMS = 64, 16 << 20, 132
TOKENS = (16, 64, 128, 192, 256, 384, 512, 1024, 2048, 4096, 16384)
TYPES = {"bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}


def call(dim, dtype, group, sequences, tokens, most):
    kind = TYPES[dtype]
    each = -(-tokens // PAGE)
    pages = min(sequences * each, HOT // (2 * PAGE * dim * kind.itemsize))
    q = torch.randn(sequences, group, dim, device="cuda", dtype=torch.bfloat16).to(kind)
    k, v = (torch.randn(pages, PAGE, 1, dim, device="cuda", dtype=torch.bfloat16).to(kind) for _ in "kv")
    out = torch.empty(sequences, group, dim, device="cuda", dtype=torch.bfloat16)
    order = torch.randperm(pages, device="cuda").int()
    table = order[torch.arange(sequences * each, device="cuda") % pages].reshape(sequences, each).contiguous()
    used = torch.full((sequences,), tokens, device="cuda", dtype=torch.int32)
    starts = torch.arange(sequences + 1, device="cuda", dtype=torch.int32)
    scales = [torch.ones(sequences, 1, device="cuda") for _ in range(3)] if dtype == "fp8" else [None] * 3
    metadata = OPS.get_scheduler_metadata(
        sequences, 1, tokens, group, 1, dim, dim, kind, used, starts, None, None, None, None, PAGE, 0, True, -1, -1,
        False, most, None, 0,
    )  # fmt: skip

    def run():
        OPS.fwd(
            q, k, v, None, None, None, out, starts, None, None, None, used, 1, tokens, table, None, None, None, None,
            None, *scales, dim**-0.5, True, -1, -1, 0.0, True, metadata, most, None, 0, None, 1, 0, None,
        )  # fmt: skip

    return run


def replayed(run):
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with torch.cuda.stream(stream):
        run()
        with torch.cuda.graph(graph, stream=stream):
            run()
    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    found = []
    for _ in range(6):
        first.record()
        for _ in range(6):
            graph.replay()
        last.record()
        torch.cuda.synchronize()
        found.append(first.elapsed_time(last) * 1000 / 6)
    return statistics.median(found[1:])


def calls():
    """Head dimension, type, query heads of the one KV head, sequences, tokens, most splits (0: by its own rule)."""
    for dim, dtype, most in product((64, 128, 192, 256), TYPES, (0, 32)):
        for per in (2, 4, 7) if most else (2, 4, 8, 16):
            yield dim, dtype, 8, SMS * per, 16, most
        for sequences, tokens in product((1, 16, SMS), TOKENS):
            yield dim, dtype, 8, sequences, tokens, most


table = csv.writer(sys.stdout, lineterminator="\n")
if sys.argv[2] == "replay":
    table.writerow(["device", "dim", "dtype", "q_heads", "sequences", "tokens", "most_splits", "replay_time_us"])
for one in calls():
    run = call(*one)
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    if sys.argv[2] == "replay":
        table.writerow([torch.cuda.get_device_name(), *one, round(replayed(run), 3)])
    else:
        torch.cuda.cudart().cudaProfilerStart()
        run()
        torch.cuda.synchronize()
        torch.cuda.cudart().cudaProfilerStop()
