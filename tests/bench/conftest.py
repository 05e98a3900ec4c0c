"""Figures of speed, printed beside their goals when all have been measured. Nothing here asserts a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import pytest


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

    def line(self) -> str:
        """The figure, its goal, and whether the goal is reached."""
        goal = "" if self.goal is None else f"{'<' if self.less else '≥'} {self.goal:g}"
        reached = self.goal is not None and (self.value < self.goal if self.less else self.value >= self.goal)
        word = "" if self.goal is None else "reached" if reached else "not yet"
        return f"{self.name:<58} {self.value:>9.3g} {self.unit:<12} {goal:>8}  {word}".rstrip()


_FIGURES: list[Figure] = []


@pytest.fixture
def report() -> Callable[[Figure], None]:
    """Enters a figure into the table at the end."""
    return _FIGURES.append


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Median wall time of `work` in seconds."""
    found = []
    for _ in range(times):
        begin = perf_counter()
        work()
        found.append(perf_counter() - begin)
    return sorted(found)[times // 2]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if _FIGURES:
        terminalreporter.section("speed, one process, medians", sep="-")
        terminalreporter.write_line(f"{'figure':<58} {'value':>9} {'unit':<12} {'goal':>8}")
        for figure in _FIGURES:
            terminalreporter.write_line(figure.line())
