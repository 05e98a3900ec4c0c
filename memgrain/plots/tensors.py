"""Hits, misses, bytes and evictions by tensor: one bar per counter of each level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from memgrain.hwmodels.spec import Cache
from memgrain.plots.stalls import joined, stacked
from memgrain.runs.task import Point
from memgrain.sim import Result
from memgrain.sim.levels.machine import SCORES


@dataclass(frozen=True)
class TensorCount:
    """One counter of a level, by tensor."""

    level: str
    """Name of the level."""
    name: str
    """What the counter counts, in words."""
    unit: str
    """Unit: empty for a number of granules or lines, B for bytes."""
    by: Mapping[str, int]
    """Count of each tensor."""

    @property
    def total(self) -> int:
        """Sum over all tensors."""
        return sum(self.by.values())

    @property
    def text(self) -> str:
        """The total with its unit."""
        if not self.unit:
            return f"{float(f'{self.total:.4g}'):,.0f}"
        power = min(max(len(str(self.total)) - 1, 0) // 3, 4)
        return f"{float(f'{self.total / 1000**power:.3g}'):,g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


_OF_CACHES = (
    ("hits", "hits", ""),
    ("misses", "misses", ""),
    ("evictions", "evicted lines", ""),
    ("first_bytes", "read first", "B"),
    ("repeated_bytes", "read again", "B"),
)
_OF_DRAM = (("read_bytes", "read", "B"), ("write_bytes", "written", "B"))


def attribution(point: Point, result: Result) -> list[TensorCount]:
    """Counters of each cache and of the DRAM by tensor, from the cores outward; counters that are zero are omitted."""
    names, found = [*needed(point), SCORES], []
    for level in point.chip.levels:
        kinds = _OF_CACHES if isinstance(level, Cache) else _OF_DRAM if level is point.chip.dram else ()
        for key, name, unit in kinds:
            by = {tensor: result.counters.get(f"{level.name}.{tensor}.{key}", 0) for tensor in names}
            count = TensorCount(level.name, name, unit, {tensor: part for tensor, part in by.items() if part})
            if count.total:
                found.append(count)
    return found


def evictors(point: Point, result: Result) -> list[TensorCount]:
    """Evictions by cause: for each cache and each tensor that lost lines there, the tensors whose lines replaced
    them."""
    names, found = [*needed(point), SCORES], []
    for level in point.chip.levels:
        for loser in names:
            key = f"{level.name}.{loser}.evicted_by."
            by = {tensor: count for tensor in names if (count := result.counters.get(f"{key}{tensor}", 0))}
            if by:
                found.append(TensorCount(level.name, f"{loser} evicted by", "", by))
    return found


def needed(point: Point) -> dict[str, int]:
    """Distinct bytes of each tensor that the algorithm needs at least once."""
    return {tensor.name: tensor.useful_bytes for trace in point.kernels() for tensor in trace.tensors}


def shares(counts: Sequence[TensorCount], title: str) -> Figure:
    """Draw the counters; the totals are at the ends of the bars."""
    labels = [f"{count.level}: {count.name}" for count in counts]
    parts = [joined({tensor: part / count.total for tensor, part in count.by.items()}) for count in counts]
    return stacked(labels, parts, [count.text for count in counts], title, "share of each tensor (%)")
