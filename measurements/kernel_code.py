"""Times of the Triton kernels with all data in the L2, by programs an SM and steps a program: the time of their code.

Needs a GPU, Triton, and `kernels.py` (see tests/validation/README.md) beside this file.
ncu --profile-from-start off --metrics gpu__time_duration.sum --clock-control none --cache-control none --csv \
    python kernel_code.py plan.txt     (a new file; it gets a line for each profiled launch, in order)
"""

import sys
from pathlib import Path

import torch
import triton
from kernels import gt_decode, gt_gather, gt_prefill

SMS, SIZE = 132, {"device": "cuda", "dtype": torch.bfloat16}
PLAN = Path(sys.argv[1])


def measure(launch, *what) -> None:
    launch(), launch(), torch.cuda.synchronize()
    torch.cuda.profiler.start(), launch(), torch.cuda.synchronize(), torch.cuda.profiler.stop()
    with PLAN.open("a") as plan:
        print(*what, sep=",", file=plan)


def numbers(count: int, below: int) -> torch.Tensor:
    return (torch.arange(count, device="cuda", dtype=torch.int32) % below).contiguous()


def decode(d: int, selects: bool, per: int, steps: int) -> None:
    n, stages, k, q = (
        64 if d <= 256 else 32,
        3 if d <= 128 else 2,
        torch.randn(4096 * d, **SIZE),
        torch.randn(8 * d, **SIZE),
    )
    o, m, idx = (torch.empty(SMS * 64 * x, device="cuda") for x in (d, 1, 1))
    idx = numbers(1 << 18, 4096) if selects else q
    args = (0.1, 0, 0, 0, d, 0, 0, 0, 1 << 30, 1, 8, 16, d, triton.next_power_of_2(d), n, selects, 0)

    def call() -> None:
        gt_decode[(1, SMS * per)](q, k, k, idx, o, m, n * steps, *args, num_warps=4, num_stages=stages)

    measure(call, "decode", d, selects, per, steps)


def gather(size: int, per: int) -> None:
    d, x = size // 2, torch.randn(1 << 22, **SIZE)
    wide = triton.next_power_of_2(d)
    block = max(1, min(128, 16384 // wide))
    rows, out, stride = SMS * per * block, torch.empty(SMS * per, device="cuda"), d if size < 1024 else 512
    idx = numbers(rows, 4096)

    def call() -> None:
        gt_gather[(SMS * per,)](x, idx, out, rows, stride, 0, d, wide, block, num_warps=4)

    measure(call, "gather", size, block, per, 1)


def prefill(d: int, per: int, steps: int) -> None:
    n, (warps, stages), x = 64 if d <= 128 else 32, (4, 3) if d <= 64 else (8, 2), torch.randn(4096 * d, **SIZE)
    args = (0, 0, d, 0, 0, d, 1 << 30, 1, False, 1 << 20, d, triton.next_power_of_2(d), 128, n)
    o = torch.empty_like(x)

    def call() -> None:
        gt_prefill[(1, SMS * per)](x, x, x, o, 0.1, 128, steps * n, *args, num_warps=warps, num_stages=stages)

    measure(call, "prefill", d, True, per, steps)


for d in (64, 80, 96, 112, 128, 160, 192, 256, 512):
    for selects in (False, True):
        for per in (1, 3):
            for steps in (1, 2, 4, 16, 64):
                decode(d, selects, per, steps)
for size in (32, 64, 96, 128, 160, 192, 256, 320, 384, 512, 576, 656, 768, 1024, 1152):
    for per in (1, 2, 4, 8):
        gather(size, per)
for d in (64, 80, 96, 112, 128, 192, 256):
    for per in (1, 2):
        for steps in (1, 4, 16):
            prefill(d, per, steps)
