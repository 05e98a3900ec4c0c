"""Times of the Triton decode kernel by splits of a context, from cold caches, to find the best number of programs.

Needs a GPU, Triton, and `kernels.py` (see tests/validation/README.md) beside this file.
A time is the median of nine, by CUDA events around one launch, after a buffer of 512 MiB was written and another read.
"""

from functools import partial

import numpy as np
import torch
import triton
from kernels import gt_decode

HEADS, GROUP = 8, 8
DIRTY = torch.empty(512 << 20, dtype=torch.uint8, device="cuda")
CLEAN = torch.ones(128 << 20, dtype=torch.float32, device="cuda")


def times(dim: int, tokens: int, block: int, stages: int, warps: int) -> None:
    """Print a line of CSV for each number of splits."""
    size = {"device": "cuda", "dtype": torch.bfloat16}
    k, v = torch.randn(HEADS * tokens * dim, **size), torch.randn(HEADS * tokens * dim, **size)
    q, padded = torch.randn(HEADS * GROUP * dim, **size), triton.next_power_of_2(dim)
    for splits in (3, 4, 6, 8, 12, 16, 17, 24, 33, 50, 66, 132):
        o, m = (torch.empty(HEADS * splits * GROUP * width, device="cuda") for width in (dim, 1))
        strides = HEADS * GROUP * dim, dim, HEADS * tokens * dim, dim, tokens * dim, 0, 0
        rest = HEADS, splits, GROUP, 16, dim, padded, block, False, 0

        args = q, k, v, q, o, m, tokens, dim**-0.5, *strides, *rest
        launch = partial(gt_decode[(splits, HEADS)], *args, num_warps=warps, num_stages=stages)
        launch(), torch.cuda.synchronize()
        found = []
        for _ in range(9):
            DIRTY.add_(1), CLEAN.sum()
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record(), launch(), end.record(), torch.cuda.synchronize()
            found.append(start.elapsed_time(end) * 1e3)
        print(dim, tokens, block, stages, warps, splits, f"{np.median(found):.2f}", sep=",")


if __name__ == "__main__":
    print("head_dim,tokens,block_n,num_stages,num_warps,splits,event_us")
    for call in ((128, 131072, 64, 3, 4), (128, 131072, 64, 2, 4), (128, 65536, 64, 3, 4), (64, 131072, 64, 3, 4)):
        times(*call)
    times(128, 131072, 128, 3, 8)
