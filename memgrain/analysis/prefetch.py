"""Benefit of prefetch: time of a kernel sequence with prefetch ÷ time without, by hit probability and lead time.

The article that this project tests says that weights of attention heads are loaded into SRAM before they are needed,
using a prediction of the heads. Existing mechanisms are CANN's `npu_prefetch`, which copies whole weight tensors into
the L2 during a running kernel without a prediction, and FlashMemory's lookahead indexer, which predicts chunks of K and
V. Both can only use the time in which the preceding kernels leave the memory idle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import pandas as pd

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip
from memgrain.runs.execute import run_points
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import Row, read_rows
from memgrain.runs.task import Point, Task
from memgrain.sim import MODEL_VERSION, Result, simulate_sequence
from memgrain.workloads import Trace, count_bytes, in_one_memory, stream
from memgrain.workloads.steps.prefetch import Prefetch

HITS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Hit probabilities of the study."""
LEADS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Lead times of the study, as fractions of the time of the preceding kernels."""
WEIGHTS = 32 << 20
"""Bytes of weights read before a workload of a single kernel: a projection of 4096 x 4096 in 2 bytes."""
WEIGHTS_PIECE = 16 << 10
"""Bytes per step of that read."""
PIECE = 512
"""Default size of a prefetch in bytes: the largest fetch granularity of an L2 here (the Ascend 910B's)."""
NOTICED = 0.01
"""Relative change of the time below which prefetch counts as without effect."""
Into = Literal["cache", "scratchpad"]


@dataclass(frozen=True)
class PrefetchCell:
    """One simulation of the study, which can run as a job of a pool."""

    points: tuple[Point, ...]
    """The workloads in order on one chip."""
    prefetch: Prefetch | None
    """The prefetch; None: no prefetch."""
    lead: float = 0.0
    """Lead time, one of LEADS."""

    def id(self) -> str:
        """SHA-256 of the workloads' identities and the prefetch."""
        identity = [[point.id() for point in self.points], self.prefetch and asdict(self.prefetch), WEIGHTS, self.lead]
        return hashlib.sha256(json.dumps(["prefetch", MODEL_VERSION, *identity]).encode()).hexdigest()

    def simulate(self) -> Result:
        """Simulate the sequence."""
        orders = (self.prefetch,) if self.prefetch else ()
        return simulate_sequence(self.points[0].chip, kernels(self.points), prefetch=orders)

    def run(self) -> Row:
        """The row of the simulation: hit probability, lead, times of the reading kernel and of those before it, bytes,
        and prefetch counters."""
        result, order = self.simulate(), self.prefetch
        assert order is not None
        reader = result.kernels[order.kernel].time
        return {
            "id": self.id(),
            "model_version": MODEL_VERSION,
            "hit_probability": order.hit_probability,
            "lead": self.lead,
            "time_us": result.time / 1e6,
            "reader_us": reader / 1e6,
            "before_us": sum(kernel.time for kernel in result.kernels[: order.kernel]) / 1e6,
            "read_bytes": result.counters[f"{result.dram}.read_bytes"],
            **{name: count for name, count in result.counters.items() if name.startswith("prefetch.")},
        }

    def __str__(self) -> str:
        hits = self.prefetch.hit_probability if self.prefetch else 0
        return f"{self.points[0].chip.name} hit_probability={hits:g} lead={self.lead:g}"


@dataclass(frozen=True)
class PrefetchStudy:
    """Result of the study."""

    rows: pd.DataFrame
    """One row per hit probability and lead (see `PrefetchCell.run`). `ratio`, `before` and `reader` are times with
    prefetch ÷ times without; `traffic` is the same ratio of bytes from DRAM."""
    kernel: str
    """Name of the kernel whose data are prefetched."""
    tensors: tuple[str, ...]
    """Prefetched tensors."""
    time_us: float
    """Time without prefetch."""
    failures: list[str] = field(default_factory=list)
    """A line for each failed simulation."""

    def table(self, column: str = "ratio") -> pd.DataFrame:
        """A column of the rows as a table: hit probability in decreasing order by lead."""
        wide = self.rows.pivot_table(index="hit_probability", columns="lead", values=column)
        return wide.sort_index(ascending=False)

    def verdict(self) -> list[str]:
        """Sentences on the largest gain and the largest loss."""
        if self.rows.empty:
            return []
        rows = sorted(self.rows.to_dict("records"), key=lambda row: row["ratio"])
        best, worst = rows[0], rows[-1]
        hides = f"hides {1 - best['ratio']:.1%} of the time at best ({_where(best)})"
        if best["ratio"] > 1 - NOTICED:
            hides = "hides nothing of weight: memory was not idle before, or the kernel waits for something else"
        elif paying := min(row["hit_probability"] for row in rows if row["ratio"] < 1 - NOTICED):
            hides += f"; to gain {NOTICED:.0%}, guesses have to be right {paying:.0%} of the time at least"
        pollutes = f"costs {worst['ratio'] - 1:.1%} at worst ({_where(worst)}): {_why(worst)}"
        if worst["ratio"] < 1 + NOTICED:
            pollutes = f"costs {NOTICED:.0%} of the time nowhere"
        return [hides, f"{pollutes}; bytes from DRAM x {self.rows['traffic'].max():.2f} at most"]


def study(
    chip: str,
    workloads: Sequence[str],
    tensors: Sequence[str] = (),
    piece: int = PIECE,
    into: Into = "cache",
    limit: int | None = None,
    sets: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {}),
    options: RunOptions = RunOptions(),
) -> PrefetchStudy:
    """Simulate a sequence without prefetch, and with prefetch for all combinations of HITS and LEADS.

    `workloads` run one after the other. The prefetch is for the last kernel that reads one of the `tensors` (default: K
    and V, or all that it reads if it reads neither) and runs during the kernels before it. A single kernel is preceded
    by a read of WEIGHTS. `sets` are overrides of the chip and of the last workload. Raises MemgrainError if no kernel
    reads such a tensor, and the errors of Task and simulate_sequence.
    """
    if not workloads:
        raise MemgrainError("no workload to prefetch for; give one at least")
    points = tuple(
        Task(chip, sets[0], name, sets[1] if number == len(workloads) - 1 else {}).resolve()
        for number, name in enumerate(workloads)
    )
    traces = kernels(points)
    reader, names = _reader(traces, tensors, len(points[-1].kernels()))
    without = PrefetchCell(points, None).simulate()
    before = sum(kernel.time for kernel in without.kernels[:reader]) - without.kernels[0].breakdown["launch"]
    order = Prefetch(reader, names, piece, lead=reader, limit=limit, into=into)
    cells = [
        PrefetchCell(points, replace(order, hit_probability=hits, after=round((1 - lead) * before)), lead)
        for hits in HITS
        for lead in LEADS
    ]
    ids = {cell.id() for cell in cells}
    with options.folder() as folder:
        outcome = run_points(cells, [], folder, options)
        rows = pd.DataFrame([row for row in read_rows(outcome.path) if row["id"] in ids])
    if not rows.empty:
        rows["ratio"] = rows["time_us"] * 1e6 / without.time
        rows["reader"] = rows["reader_us"] * 1e6 / without.kernels[reader].time
        rows["before"] = rows["before_us"] * 1e6 / sum(kernel.time for kernel in without.kernels[:reader])
        rows["traffic"] = rows["read_bytes"] / max(without.counters[f"{without.dram}.read_bytes"], 1)
        rows = rows.sort_values(["hit_probability", "lead"], ignore_index=True)
    return PrefetchStudy(rows, traces[reader].name, names, without.time / 1e6, outcome.failures)


def kernels(points: Sequence[Point]) -> tuple[Trace, ...]:
    """The kernels of the workloads one after the other in one address space; a single kernel is preceded by a read of
    weights. Tensors of all workloads but the last are prefixed with the workload's number."""
    groups = [list(point.kernels()) for point in points]
    if sum(map(len, groups)) == 1:
        groups.insert(0, [weights(points[0].chip)])
    names = [
        {} if number == len(groups) - 1 else {tensor.name: f"{number}.{tensor.name}" for tensor in trace.tensors}
        for number, group in enumerate(groups)
        for trace in group
    ]
    return in_one_memory([trace for group in groups for trace in group], names)


def weights(chip: Chip) -> Trace:
    """A trace in which all cores read WEIGHTS once and compute nothing: a memory-bound projection of a few tokens."""
    programs = chip.matmul_core.count * min(2, chip.matmul_core.max_programs or 1)
    return replace(stream(WEIGHTS, WEIGHTS_PIECE, programs), name="weights", dtype="bf16")


def _reader(traces: Sequence[Trace], tensors: Sequence[str], last: int) -> tuple[int, tuple[str, ...]]:
    """Index of the kernel to prefetch for, among the `last` ones, and the prefetched tensors."""
    reads = [{name for name, (read, _) in count_bytes(trace).items() if read} for trace in traces]
    wanted = set(tensors) or {"K", "V"}
    for number in range(len(traces) - 1, max(0, len(traces) - last - 1), -1):
        if found := [tensor.name for tensor in traces[number].tensors if tensor.name in wanted & reads[number]]:
            return number, tuple(found)
    if tensors or not reads[-1]:
        every = sorted(set().union(*reads[-last:]))
        raise MemgrainError(
            f"no kernel but the first reads {' or '.join(sorted(wanted))}; the last workload's read {', '.join(every)}"
        )
    return len(traces) - 1, tuple(tensor.name for tensor in traces[-1].tensors if tensor.name in reads[-1])


def _where(row: Mapping[Any, Any]) -> str:
    return f"right {row['hit_probability']:.0%} of the time, begun {row['lead']:.0%} of the time before ahead"


def _why(row: Mapping[Any, Any]) -> str:
    """The kernels whose time grew, in words."""
    slowed = [name for name, ratio in (("before", row["before"]), ("reader", row["reader"])) if ratio > 1]
    what = {"before": "the kernels before", "reader": "the reading kernel itself"}
    return f"it slows {' and '.join(what[name] for name in slowed)}"
