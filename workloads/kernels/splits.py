"""Rules of launchers for the splits of a context in decode, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Literal

SplitRule = Literal["four_a_core", "fa2", "fa3", "flashmla", "vllm", "fia", "atb"]
"""Names of the rules; flashmla's does not split each context for itself, see `memgrain.workloads.kernels.deal`."""

MOST = 128
"""Most splits that FlashAttention merges."""
PARTITION = 512
"""Tokens of a partition of vLLM's paged attention v2."""


@dataclass(frozen=True)
class Decode:
    """A decode call as the rules see it."""

    rows: int
    """Rows of programs: batch entries x kv heads x blocks of packed query rows."""
    batch: int
    """Batch entries."""
    cores: int
    """Cores of the chip."""
    tokens: int
    """Tokens that a row reads."""
    block_kv: int
    """Tokens of a tile."""
    group: int
    """Query heads of a kv head."""
    most: int | None = None
    """Most splits that the caller allows; None: no limit of its own."""

    @property
    def tiles(self) -> int:
        """Tiles that a row reads."""
        return max(1, ceil(self.tokens / self.block_kv))


def four_a_core(call: Decode) -> int:
    """Four programs for every core, if the launcher does not say otherwise (the Triton kernels of
    tests/validation/README.md); at most one for each tile."""
    return call.most or max(1, min(ceil(4 * call.cores / call.rows), call.tiles))


def num_splits_heuristic(rows: int, slots: int, tiles: int, uneven: bool) -> int:
    """The fewest splits that fill whole waves of `slots` programs at 85 % of the best efficiency.

    `uneven` also admits numbers that leave some programs without tiles. FlashAttention-2
    (csrc/flash_attn/flash_api.cpp) and -3 (hopper/heuristics.h).
    """
    if rows >= 0.8 * slots:
        return 1
    efficiency: dict[int, float] = {}
    for splits in range(1, min(MOST, slots, tiles) + 1):
        if uneven or splits == 1 or ceil(tiles / splits) != ceil(tiles / (splits - 1)):
            waves = rows * splits / slots
            efficiency[splits] = waves / ceil(waves)
    best = max(efficiency.values())
    return next(splits for splits, share in efficiency.items() if share >= 0.85 * best)


def fa2(call: Decode) -> int:
    """FlashAttention-2: two programs of 128 threads a core."""
    return num_splits_heuristic(call.rows, 2 * call.cores, call.tiles, uneven=False)


def fa3_most(call: Decode) -> int:
    """FlashAttention-3 on sequences of different lengths: the most splits of a sequence, for which the kernel is
    launched. One for four tiles or fewer, otherwise as many as fill the cores (hopper/heuristics.h)."""
    if call.most is not None:
        return call.most
    alone = call.rows // call.batch
    return 1 if call.tiles <= 4 else num_splits_heuristic(alone, call.cores, call.tiles, uneven=True)


def fa3(call: Decode) -> int:
    """FlashAttention-3: as many as give each core its share of all tiles, plus a tenth
    (hopper/flash_prepare_scheduler.cu), at most `fa3_most`."""
    share = ceil(1.1 * call.rows * call.tiles / call.cores)
    return max(1, min(ceil(call.tiles / share), fa3_most(call)))


def vllm(call: Decode) -> int:
    """Paged attention v2: one program for every PARTITION tokens."""
    return max(1, ceil(call.tokens / PARTITION))


def fia(call: Decode) -> int:
    """Ascend's fused infer attention: contexts are spread over the cores in blocks of 8,192 tokens, fewer if many query
    heads share a KV head (ops-transformer, fia_tiling_nonquant.cpp, CalcInnerSize)."""
    block = (8192, 4096, 2048)[min(call.group // 5, 2)]
    return max(1, min(ceil(call.cores / call.rows), ceil(call.tokens / block)))


def atb(call: Decode) -> int:
    """ATB's paged attention: a context is split where heads and sequences do not fill the cores, or from 4,096 tokens
    on, and then over all cores (the port of its tiling in hw-native-sys/simpler,
    spmd_paged_attention_highperf/kernels/pa_tiling.py)."""
    heads, long = call.rows // call.batch * call.group, call.tokens >= 4096
    if call.batch * heads >= 0.8 * call.cores and not long:
        return 1
    share = ceil(call.tiles / (call.cores if long else ceil(call.cores / call.batch)))
    return ceil(call.tiles / share)


RULES: dict[str, Callable[[Decode], int]] = {
    "four_a_core": four_a_core,
    "fa2": fa2,
    "fa3": fa3,
    "vllm": vllm,
    "fia": fia,
    "atb": atb,
}
"""The rules by name."""
BOUNDED: dict[str, Callable[[Decode], int]] = {"fa3": fa3_most}
"""Rules with a bound of the launch, and the bound. If the bound exceeds one, a merge kernel runs for any final number
of splits."""
