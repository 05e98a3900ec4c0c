"""Times of the gather kernel with hot and with cold rows, on few and on many SMs: they show how often it waits for a
load.

Needs a GPU, Triton, and `kernels.py` beside this file; runs under ncu as kernel_code.py does. The second argument names
a file for the kernels' machine code, which shows how many loads are issued together.
"""

import sys
from pathlib import Path

import torch
import triton
from kernels import gt_gather

PLAN, CODE = Path(sys.argv[1]), Path(sys.argv[2])
pool = torch.randn(1 << 29, device="cuda", dtype=torch.bfloat16)
flush = torch.ones(128 << 20, dtype=torch.float32, device="cuda")
sums = torch.empty(1 << 16, device="cuda")
for size in (32, 64, 96, 128, 160, 192, 256, 320, 384, 512, 576, 656, 768, 1024, 1152):
    dim, wide = size // 2, triton.next_power_of_2(size // 2)
    block = max(1, min(128, 16384 // wide))
    for programs in (16, 132, 528):
        rows = programs * block
        chosen = torch.randperm((1 << 30) // size - 1, device="cuda")[:rows].to(torch.int32).contiguous()
        for state in ("hot", "cold"):
            for run in range(3):
                if run == 2:
                    _ = flush.sum() if state == "cold" else None
                    torch.cuda.synchronize(), torch.cuda.profiler.start()
                kernel = gt_gather[(programs,)](pool, chosen, sums, rows, dim, 0, dim, wide, block, num_warps=4)
            torch.cuda.synchronize(), torch.cuda.profiler.stop()
            with PLAN.open("a") as plan:
                print(size, block, programs, state, sep=",", file=plan)
    with CODE.open("a") as code:
        print(f"== {size} B, {kernel.n_regs} registers\n{kernel.asm['sass']}", file=code)
