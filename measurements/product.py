"""The fixed cost of a product: graphs of small products, of kernels that do nothing, of fills of the L2.

Needs an H100 and PyTorch 2.11 with Triton.
    python product.py > h100_product.csv
"""

import csv
import statistics
import sys
from functools import partial

import torch
import triton
import triton.language as tl
from torch.nn.functional import linear

KERNELS = 6
BF16 = {"device": "cuda", "dtype": torch.bfloat16}


@triton.jit
def nothing(out, never: tl.constexpr):
    if never:
        tl.store(out, 0)


def replayed(run):
    for _ in range(3):
        run()
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with torch.cuda.stream(stream):
        run()
        with torch.cuda.graph(graph, stream=stream):
            for _ in range(KERNELS):
                run()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    found = []
    for _ in range(41):
        begin.record()
        for _ in range(10):
            graph.replay()
        end.record()
        torch.cuda.synchronize()
        found.append(begin.elapsed_time(end) * 1000 / 10 / KERNELS)
    return statistics.median(found[1:])


table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(["device", "what", "rows", "outputs", "inputs", "bytes", "us_per_kernel"])
name, flag = torch.cuda.get_device_name(), torch.zeros(1, device="cuda", dtype=torch.int32)
table.writerow([name, "nothing", 0, 0, 0, 0, f"{replayed(lambda: nothing[(1,)](flag, False)):.3f}"])
SIZES = ((1, 64, 64), (16, 64, 64), (64, 64, 64), (1, 64, 128), (1, 64, 256), (1, 64, 512), (1, 64, 1024))
for rows, outputs, inputs in SIZES:
    a, w = torch.randn(rows, inputs, **BF16), torch.randn(outputs, inputs, **BF16)
    size = (a.numel() + w.numel() + rows * outputs) * 2
    table.writerow([name, "product", rows, outputs, inputs, size, f"{replayed(partial(linear, a, w)):.3f}"])
for size in (1, 2, 4, 8, 12, 16, 20, 24):
    x = torch.empty(size << 19, **BF16)
    table.writerow([name, "fill", 0, 0, 0, size << 20, f"{replayed(partial(x.fill_, 1.0)):.3f}"])
