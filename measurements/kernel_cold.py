"""Times of the decode kernel by steps a program with cold data, on 16 SMs (no contention) and on all.

Needs a GPU, Triton, and `kernels.py` beside this file; runs under ncu as kernel_code.py does. Every program has keys
and values of its own.
"""

import sys
from pathlib import Path

import torch
import triton
from kernels import gt_decode

PLAN, KEYS, TOKENS = Path(sys.argv[1]), 1 << 28, 4096
pool = torch.randn(2 * KEYS, device="cuda", dtype=torch.bfloat16)
flush = torch.ones(128 << 20, dtype=torch.float32, device="cuda")
for dim in (64, 80, 96, 112, 128, 160, 192, 256):
    for selects in (False, True):
        for programs in (16, 132):
            q = torch.randn(programs * 16 * dim, device="cuda", dtype=torch.bfloat16)
            o, m = (torch.empty(programs * 16 * x + 99, device="cuda") for x in (dim, 1))
            chosen = [torch.randperm(TOKENS - 64, device="cuda")[:1024].sort()[0] for _ in range(programs)]
            lists = torch.stack(chosen).to(torch.int32).contiguous() if selects else q
            apart, stages = KEYS // 132 // 1024 * 1024, 3 if dim <= 128 else 2
            for steps in (1, 2, 4, 16):
                sizes = (64 * steps, 0.1, 0, 8 * dim, 0, dim, apart, 0, 1024 if selects else 0, 1 << 30, 1, 8, 16, dim)
                args = (q, pool, pool[KEYS:], lists, o, m, *sizes, triton.next_power_of_2(dim), 64, selects, 0)
                for run in range(3):
                    if run == 2:
                        flush.sum(), torch.cuda.synchronize(), torch.cuda.profiler.start()
                    gt_decode[(1, programs)](*args, num_warps=4, num_stages=stages)
                torch.cuda.synchronize(), torch.cuda.profiler.stop()
                with PLAN.open("a") as plan:
                    print(dim, selects, programs, steps, sep=",", file=plan)
