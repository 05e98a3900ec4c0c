"""A figure of speed or memory: its value beside its goal and beside other simulators; and how walls are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

PATIENCE = 12.0
"""Seconds after which no further run begins."""


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    name: str
    """What was measured."""
    value: float
    """Its value."""
    unit: str
    """Its unit."""
    goal: float | None = None
    """What it should reach, if there is a goal."""
    less: bool = False
    """Whether smaller is better."""
    stopped: bool = False
    """Whether the work was stopped before its end, so that the true value is larger."""
    beside: Mapping[str, float] = field(default_factory=dict)
    """The same of other simulators in the same run, by name."""

    def verdict(self) -> str:
        """Whether the goal is reached, in a word or two."""
        if self.goal is None:
            return ""
        if self.value < self.goal if self.less else self.value >= self.goal:
            return "unknown" if self.stopped else "reached"
        return "not yet"

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Name, value, unit, goal, whether the goal is reached, and others' values, as text."""
        goal = "" if self.goal is None else f"{'<' if self.less else '≥'} {self.goal:.4g}"
        number = f"{self.value:.3g}" if self.value < 1000 else f"{self.value:,.0f}"
        beside = ", ".join(f"{name} {other:.3g}" for name, other in self.beside.items())
        return self.name, f"{'> ' if self.stopped else ''}{number}", self.unit, goal, self.verdict(), beside

    def line(self) -> str:
        """The figure as a line of the table on the terminal."""
        name, value, unit, goal, word, beside = self.cells()
        return f"{name:<62} {value:>9} {unit:<12} {goal:>8}  {word:<7}  {beside}".rstrip()


Report = Callable[[Figure], None]
"""What enters a figure into the table."""


def seconds(work: Callable[[], object], times: int = 3, patience: float = PATIENCE) -> float:
    """Median wall time of `work` in seconds, of fewer runs than `times` where these take longer than `patience`."""
    found: list[float] = []
    while len(found) < times and (not found or sum(found) < patience):
        begin = perf_counter()
        work()
        found.append(perf_counter() - begin)
    return sorted(found)[len(found) // 2]


def settled(work: Callable[[], object], patience: float = PATIENCE) -> float:
    """The same after a run to warm up, which is the only one where it takes longer than `patience` by itself."""
    first = seconds(work, 1)
    return first if first > patience else seconds(work, patience=patience)
