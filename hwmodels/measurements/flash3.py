"""Times of FlashAttention-3's decode kernel (no pages, no splits) with all data in the L2, by programs an SM and tiles.

Needs an H100, JAX, CuPy and libdew_flash_attn3.so out of the package dew-flash-attn-cu13 0.3.6.
ncu --profile-from-start off --metrics gpu__time_duration.sum --clock-control none --cache-control none --csv \
    python flash3.py libdew_flash_attn3.so plan.txt     (a line of plan.txt, which is new, for each profiled call)
"""

import ctypes
import sys
from functools import partial
from pathlib import Path

import cupy
import jax
import jax.numpy as jnp
import numpy as np

jax.devices("gpu")
LIBRARY, PLAN = ctypes.cdll.LoadLibrary(sys.argv[1]), Path(sys.argv[2])
NAME = "dew_flash3_mha_varlen_fwd"
jax.ffi.register_ffi_target(NAME, jax.ffi.pycapsule(getattr(LIBRARY, NAME)), platform="CUDA")
SMS = 132


@partial(jax.jit, static_argnums=(5,))
def attend(q, k, v, starts, key_starts, longest):
    results = (
        jax.ShapeDtypeStruct(q.shape, q.dtype),
        jax.ShapeDtypeStruct((q.shape[1], q.shape[0]), jnp.float32),
        jax.ShapeDtypeStruct((1, 1, 1, 1), jnp.float32),
        jax.ShapeDtypeStruct((1, 1, 1), jnp.float32),
    )
    return jax.ffi.ffi_call(NAME, results)(
        q, k, v, starts, key_starts, softmax_scale=np.float64(0.1), is_causal=False, window_size_left=np.int64(-1),
        window_size_right=np.int64(-1), max_seqlen=np.int64(1), max_seqlen_k=np.int64(longest),
    )  # fmt: skip


def measure(dim: int, group: int, programs: int, tokens: int) -> None:
    q = jnp.ones((programs, group, dim), jnp.bfloat16)
    k = jnp.ones((programs * tokens + 512, 1, dim), jnp.bfloat16)
    starts = jnp.arange(programs + 1, dtype=jnp.int32)
    args = q, k, k + 1, starts, starts * tokens
    for _ in range(3):
        jax.block_until_ready(attend(*args, tokens))
    cupy.cuda.runtime.profilerStart()
    jax.block_until_ready(attend(*args, tokens))
    cupy.cuda.runtime.profilerStop()
    with PLAN.open("a") as plan:
        print(dim, group, programs, tokens, sep=",", file=plan)


for dim in (64, 128, 192, 256):
    for group in (1, 4, 16, 64):
        for per in (1, 2, 4, 8, 16):
            measure(dim, group, SMS * per, 16)
    for programs in (1, 16):
        for tokens in (128, 256, 512, 1024, 2048, 4096):
            if programs * tokens <= 32768:
                measure(dim, 4, programs, tokens)
