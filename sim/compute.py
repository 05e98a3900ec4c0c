"""How long a step computes: matrix products padded to the unit's tile, exponentials and elementwise operations, and
their queues."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hwmodels.spec import Chip, DType
from sim.errors import SimulationError
from sim.level import PS
from workloads.trace import Trace

OPS_PER_SCORE = 4
"""Elementwise operations per score beside the exponential: scale, running maximum, subtraction, sum
(FlashAttention-2, algorithm 1)."""


def padded(size: int, tile: int) -> int:
    """`size` rounded up to a multiple of `tile`."""
    return -(-size // tile) * tile


@dataclass(frozen=True)
class Work:
    """What one repeat of a step computes, in ps of one core's units."""

    matmul: int
    """Time on the matrix unit."""
    vector: int
    """Time on the vector units that belong to the core."""
    macs: int
    """Multiply-accumulates executed, padding included."""
    alone: int = 0
    """Time of the whole step for a program alone on the core: at least that of the units one after the other."""
    issue: int = 0
    """Time of the core's issue slots."""


class Units:
    """The matrix and vector units of the cores, each booked until a time of its own; programs resident on a core
    share them."""

    def __init__(self, chip: Chip, dtype: DType, trace: Trace | None = None) -> None:
        core, companion = chip.matmul_core, chip.vector_core
        assert core.matmul is not None
        assert companion.vector is not None
        if dtype not in core.matmul.macs_per_cycle:
            raise SimulationError(
                f"{chip.name} has no rate for {dtype} in {core.name}.matmul.macs_per_cycle; "
                f"it has {', '.join(core.matmul.macs_per_cycle)}"
            )
        self.tile = core.matmul.tile
        self.macs_per_second = core.matmul.macs_per_cycle[dtype] * core.clock
        share = companion.count / core.count * companion.clock
        self.exps_per_second = companion.vector.exps_per_cycle * share
        self.ops_per_second = companion.vector.ops_per_cycle * share
        self.inner = self.tile.k * 2 // {"bf16": 2, "fp16": 2, "fp8": 1, "int8": 1, "fp32": 4}[dtype] or 1
        steps, once = (trace.step_cycles, trace.once_cycles) if trace else ((0, 0), (0, 0))
        self.alone, self.issue = (cycles * PS // core.clock for cycles in steps)
        self.once = Work(0, 0, 0, *(cycles * PS // core.clock for cycles in once))
        self.matmul_free = [0] * core.count
        self.vector_free = [0] * core.count
        self.issue_free = [0] * core.count
        self.work = lru_cache(maxsize=4096)(self._work)

    def _macs(self, m: int, n: int, k: int) -> int:
        return padded(m, self.tile.m) * padded(n, self.tile.n) * padded(k, self.inner)

    def _work(self, m1: int, n1: int, k1: int, m2: int, n2: int, k2: int, exps: int) -> Work:
        macs = self._macs(m1, n1, k1) + self._macs(m2, n2, k2)
        seconds = exps / self.exps_per_second + (OPS_PER_SCORE * exps + m2 * n2) / self.ops_per_second
        matmul, vector = round(macs * PS / self.macs_per_second), round(seconds * PS)
        if not matmul:
            return Work(matmul, vector, macs, vector)
        return Work(matmul, vector, macs, max(self.alone, matmul + vector), self.issue)

    def reserve(self, core: int, work: Work, now: int) -> int:
        """When (ps) `work`, ready at `now`, is done: its own course, and the bookings of units and issue slots."""
        self.matmul_free[core] = max(self.matmul_free[core], now) + work.matmul
        self.vector_free[core] = max(self.vector_free[core], now) + work.vector
        self.issue_free[core] = max(self.issue_free[core], now) + work.issue
        return max(now + work.alone, self.matmul_free[core], self.vector_free[core], self.issue_free[core])

    def forget(self) -> None:
        """Start the clock anew."""
        self.matmul_free = [0] * len(self.matmul_free)
        self.vector_free = [0] * len(self.vector_free)
        self.issue_free = [0] * len(self.issue_free)
