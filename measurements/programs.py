"""Start, end and SM of every program of a dense decode, cold and warm.

Needs a GPU, Triton, and `finish_times.py` (see tests/validation/README.md) beside this file; it runs that file's kernel
`dec`. python programs.py h100_programs.csv
"""

import importlib
import math
import re
import sys
from pathlib import Path

import torch
import triton

SOURCE = Path("finish_times.py").read_text()
Path("finish_kernel.py").write_text(re.split(r"^pool = ", SOURCE, maxsplit=1, flags=re.M)[0])  # without the campaign
dec = importlib.import_module("finish_kernel").dec

CASES = (
    *((128, 4096, 0), (128, 4096, 1), (128, 8192, 0), (128, 8192, 1), (96, 4096, 0)),
    *((96, 16384, 0), (64, 4096, 0), (64, 4096, 1), (256, 4096, 0), (128, 16384, 0)),
)
HEADS, DEVICE = 8, {"device": "cuda"}
pool = torch.randn(1 << 29, dtype=torch.bfloat16, **DEVICE)
flush = torch.ones(128 << 20, dtype=torch.float32, **DEVICE)

with open(sys.argv[1], "w") as out:
    print("head_dim,context,warm,program,sm,start_ns,end_ns", file=out)
    for dim, context, warm in CASES:
        splits, stages = min(66, math.ceil(context / 64)), 3 if dim <= 128 else 2
        chunk = math.ceil(math.ceil(context / splits) / 64) * 64
        q = torch.randn(HEADS, 16, dim, dtype=torch.bfloat16, **DEVICE)
        o = torch.empty(HEADS * splits * 16 * dim, **DEVICE)
        times = torch.zeros(HEADS * splits * 4, dtype=torch.int64, **DEVICE)
        wide = triton.next_power_of_2(dim)
        sizes = (context, chunk, dim, context * dim, dim, wide, 64, stages)
        for _ in range(3):
            if warm:
                dec[(splits, HEADS)](q, pool, pool[pool.numel() // 2 :], o, times, *sizes, num_warps=4)
            else:
                flush.sum()
            times.zero_()
            torch.cuda.synchronize()
            dec[(splits, HEADS)](q, pool, pool[pool.numel() // 2 :], o, times, *sizes, num_warps=4)
            torch.cuda.synchronize()
        found = times.cpu().numpy().reshape(-1, 4)
        for i, (start, end, sm, _) in enumerate(found):
            print(dim, context, warm, i, sm, start - found[:, 0].min(), end - found[:, 0].min(), sep=",", file=out)
