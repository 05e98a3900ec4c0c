"""Compute time of a step: matrix products padded to the unit's tile, exponentials and elementwise operations, and
queues for the units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from memgrain.hwmodels.spec import Chip, DType
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.level import PS
from memgrain.sim.levels.queueing import response
from memgrain.workloads.trace import Trace

OPS_PER_SCORE = 4
"""Elementwise operations per score beside the exponential: scale, running maximum, subtraction, sum
(FlashAttention-2, algorithm 1)."""
WARPS = 4
"""Warps of a group, each of which fetches the operands of mma.sync for itself."""
ELEMENT_BYTES = {"bf16": 2, "fp16": 2, "fp8": 1, "int8": 1, "fp32": 4}


def padded(size: int, tile: int) -> int:
    """`size` rounded up to a multiple of `tile`."""
    return -(-size // tile) * tile


@dataclass(frozen=True)
class Computation:
    """What one repeat of a step computes, in ps of one core's units."""

    matmul: int
    """Time on the matrix unit."""
    vector: int
    """Time on the vector units that belong to the core, as far as it is not beside that on the matrix unit."""
    macs: int
    """Multiply-accumulates executed, padding included."""
    alone: int = 0
    """Time of the whole step for a program alone on the core: at least that of the units one after the other, unless
    parts of the program overlap."""
    issue: int = 0
    """Time of the core's issue slots."""
    demands: tuple[int, ...] = ()
    """Times that a part of the program needs of each unit, one after the other; empty: the kernel does not say how it
    feeds them."""
    groups: int = 1
    """Parts of the program that go round the units."""


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
        running = companion if trace and trace.cores == "vector" else core
        share = companion.count / running.count * companion.clock
        self.exps_per_second = companion.vector.exps_per_cycle * share
        self.ops_per_second = companion.vector.ops_per_cycle * share
        self.element = ELEMENT_BYTES[dtype]
        self.inner = self.tile.k * 2 // self.element or 1
        steps, once = (trace.step_cycles, trace.once_cycles) if trace else ((0, 0), (0, 0))
        self.alone, self.issue = (cycles * PS // core.clock for cycles in steps)
        self.clock = core.clock
        self.once = self.code(once)
        described = (trace and trace.engine) or ("", 1, "rows", 0, 0)
        self.instruction, self.groups, self.shares, convert, self.copy_rows = described
        self.convert = convert * PS // core.clock
        self.v_apart = trace is None or any(tensor.name == "V" for tensor in trace.tensors)
        if self.instruction == "mma" and core.matmul.sync_share is not None:
            self.macs_per_second *= core.matmul.sync_share
        self.operand_bandwidth = chip.scratchpad.bandwidth if chip.scratchpad else 0
        self.matmul_free = [0] * running.count
        self.vector_free = [0] * running.count
        self.issue_free = [0] * running.count
        self.computing: list[list[int]] = [[] for _ in range(running.count)]
        self.work = lru_cache(maxsize=4096)(self._work)

    def copies(self, tokens: int, runs: int = 1) -> int:
        """Copies of a tile of that many tokens, in so many runs, that follow one another in a DMA engine; 0: copies
        overlap. All runs of a tensor belong to the same copies."""
        tensors = min(runs, 2 if self.v_apart else 1)
        return tensors * max(1, -(-tokens // self.copy_rows)) if self.copy_rows else 0

    def code(self, cycles: tuple[int, int]) -> Computation:
        """The computation of code that takes so many cycles (of its program's course, of issue slots)."""
        return Computation(0, 0, 0, cycles[0] * PS // self.clock, cycles[1] * PS // self.clock)

    def _macs(self, m: int, n: int, k: int) -> int:
        return padded(m, self.tile.m) * padded(n, self.tile.n) * padded(k, self.inner)

    def _work(self, m1: int, n1: int, k1: int, m2: int, n2: int, k2: int, exps: int) -> Computation:
        if self.instruction == "fma":
            macs = m1 * n1 * k1 + m2 * n2 * k2
        else:
            macs = self._macs(m1, n1, k1) + self._macs(m2, n2, k2)
        seconds = exps / self.exps_per_second + (OPS_PER_SCORE * exps + m2 * n2) / self.ops_per_second
        matmul, vector = round(macs * PS / self.macs_per_second), round(seconds * PS)
        if not matmul:
            return Computation(matmul, vector, macs, vector)
        if not self.instruction:
            return Computation(matmul, vector, macs, max(self.alone, matmul + vector), self.issue)
        vector += self.convert * n1
        if self.instruction == "fma":
            matmul, vector = 0, vector + round(macs * PS / self.ops_per_second)
        demands = self._demands(matmul, vector, self._operands(m1, n1, k1, m2, n2, k2))
        alone = max(self.alone, matmul, response(demands, self.groups))
        return Computation(matmul, min(vector, alone - matmul), macs, alone, self.issue, demands, self.groups)

    def _operands(self, m1: int, n1: int, k1: int, m2: int, n2: int, k2: int) -> int:
        """Time of the scratchpad's port: operands of both products, the tiles of K and V that are written into it."""
        if self.instruction not in ("mma", "wgmma") or not self.operand_bandwidth:
            return 0
        keys, values = n1 * k1, n2 * k2
        readers = self.groups * WARPS if self.instruction == "mma" else self.groups if self.shares == "rows" else 1
        moved = readers * (keys + values) + m1 * k1 + keys + (values if self.v_apart else 0)
        return moved * self.element * PS // self.operand_bandwidth

    def _demands(self, matmul: int, vector: int, operands: int) -> tuple[int, ...]:
        """Times that one of the program's groups needs of the units in a step. mma.sync waits for its operands in
        registers; wgmma reads them while it multiplies."""
        products = (matmul, operands) if self.instruction == "mma" else (max(matmul, operands),)
        return tuple(demand // self.groups for demand in (*products, vector))

    def reserve(self, core: int, work: Computation, now: int) -> int:
        """When (ps) `work`, ready at `now`, is done: it waits for the issue slots that are booked, then takes its own
        course, or longer where units are booked."""
        start = max(self.issue_free[core], now)
        self.issue_free[core] = start + work.issue
        if work.demands:
            return self._round(core, work, start)
        self.matmul_free[core] = max(self.matmul_free[core], start) + work.matmul
        self.vector_free[core] = max(self.vector_free[core], start) + work.vector
        return max(start + work.alone, self.matmul_free[core], self.vector_free[core])

    def _round(self, core: int, work: Computation, now: int) -> int:
        """When all groups of a step have been round the units, which they share with the programs that compute now."""
        others = [end for end in self.computing[core] if end > now]
        self.matmul_free[core] = max(self.matmul_free[core], now) + work.demands[0] * work.groups
        mean = response(work.demands, work.groups * (len(others) + 1))
        end = max(now + max(work.alone, mean), self.matmul_free[core])
        self.computing[core] = [*others, end]
        return end

    def forget(self) -> None:
        """Start the clock anew."""
        self.matmul_free = [0] * len(self.matmul_free)
        self.vector_free = [0] * len(self.vector_free)
        self.issue_free = [0] * len(self.issue_free)
        self.computing = [[] for _ in self.computing]
