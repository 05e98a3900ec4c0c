"""Folding: repeats of tiles that go as those before them went are counted, not simulated. Approximate, and off by
default.

Where every program on the machine is in the middle of a step of many repeats, as in a decode over a long context, time
is cut into windows of a few repeats a program. When PERIOD windows are alike (their times and counts differ by at most
the tolerance), and no cache is still filling, what comes is taken to go on like that: as many periods as all programs
have left are skipped, and a period's time and counts are added for each. The last periods are always simulated, so that
caches end with lines of the end.

The error that is given is the tolerance for the part of the time that was skipped: it holds if what was skipped
differed from what was seen by no more than that. Nothing is known of a change in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.engine import tables, units
from memgrain.sim.engine.stream import Supply
from memgrain.sim.engine.wiring import Fills, Wiring

SHORTEST, SHARE, PERIOD = 4, 64, 3
"""Repeats a program in a window at least, and as a share of those that it has left; windows that must be alike, and are
skipped together."""
NOISE = 6
"""Standard deviations of a random count by which counts of windows may differ whatever the tolerance."""


@dataclass(frozen=True)
class Folded:
    """What was counted without being simulated."""

    tiles: int
    """Tiles."""
    time: int
    """Their time in ps."""
    doubt: float
    """Time in ps by which it may be off: the tolerance's share of it."""
    error: float
    """The same as a share of the whole time."""

    def __str__(self) -> str:
        """As people read it."""
        if not self.tiles:
            return "nothing was folded"
        return f"{self.tiles:,} tiles were counted, not simulated: the time may be off by {self.error:.2%}"


def fold_together(parts: Sequence[Folded], time: int) -> Folded | None:
    """What was folded of kernels that took `time` in all; None if folding was not allowed."""
    if not parts:
        return None
    doubt = sum(part.doubt for part in parts)
    return Folded(sum(part.tiles for part in parts), sum(part.time for part in parts), doubt, doubt / time)


@dataclass
class _Window:
    """What had happened at the end of a window."""

    time: int
    counts: list[NDArray[np.int64]]
    totals: list[NDArray[np.int64]]
    fills: list[Fills]


@dataclass
class Folding:
    """One kernel's folding while it runs."""

    tolerance: float
    """How much windows may differ, as a share."""
    repeats: int = SHORTEST
    """Repeats a program in a window."""
    windows: list[_Window] = field(default_factory=list)
    """Ends of the last windows."""
    tiles: int = 0
    """Tiles skipped."""
    time: int = 0
    """Their time in ps."""
    doubt: float = 0.0
    """Time in ps by which that may be off."""

    def look(self, stand: tables.Stand, levels: Wiring, supply: Supply) -> None:
        """A window has ended: skip what can be skipped, and say when the next one ends."""
        facts, places = stand.facts, stand.places
        busy = places[:, tables.STATE] >= tables.AT_WORK
        left = self._left(places[busy], supply) if self._under_way(facts, places, busy) else 0
        if not self.windows:
            self.repeats = max(SHORTEST, left // SHARE)
        facts[tables.WINDOW] = facts[tables.REPEATED] + self.repeats * max(1, int(busy.sum()))
        if not left:
            self.windows.clear()
            return
        counts = [stand.spent, facts[tables.TILES : tables.ISSUE_TIME + 1], *levels.counts()]
        totals = [facts[tables.TILES : tables.TILES + 1].copy(), *levels.totals()]
        now = [part.copy() for part in counts]
        self.windows.append(_Window(int(facts[tables.NOW]), now, totals, levels.fills()))
        del self.windows[: -PERIOD - 1]
        # one period is simulated at the end of a step
        periods = left // (self.repeats * PERIOD) - 1
        if periods > 0 and len(self.windows) == PERIOD + 1 and self._alike() and not self._filling():
            facts[tables.MACS] += periods * self.repeats * PERIOD * self._macs(places[busy], supply)
            self._skip(periods, counts, places, busy)
            self.windows.clear()

    def _under_way(self, facts: NDArray[np.int64], places: NDArray[np.int64], busy: NDArray[np.bool_]) -> bool:
        """Whether programs run, and no place is about to begin one."""
        starting = np.isin(places[:, tables.STATE], (tables.OPENED, tables.STARTED)).any()
        more = not facts[tables.EXHAUSTED] or facts[tables.NEXT] < facts[tables.AT_HAND]
        return bool(busy.any()) and not starting and (bool(busy.all()) or not more)

    def _left(self, places: NDArray[np.int64], supply: Supply) -> int:
        """Repeats that each of these places has left, at least, of the step that it computes; 0 if one issues another
        step."""
        step = places[:, tables.COMPUTE_STEP]
        if (places[:, tables.AHEAD_STEP] != step).any() or (places[:, tables.ISSUE_STEP] != step).any():
            return 0
        return int((supply.work.steps[step, tables.REPEATS] - places[:, tables.AHEAD_REPEAT]).min())

    def _macs(self, places: NDArray[np.int64], supply: Supply) -> int:
        """Multiply-accumulates of a repeat of each of these places' steps."""
        works = supply.work.steps[places[:, tables.COMPUTE_STEP], tables.STEP_WORK]
        return int(supply.work.works[works, units.MACS].sum())

    def _alike(self) -> bool:
        """Whether the windows differ by no more than the tolerance in time and in all that levels count, beside the
        NOISE of counting."""
        times = np.diff([window.time for window in self.windows])
        if np.ptp(times) > self.tolerance * times.mean():
            return False
        for part in range(len(self.windows[0].totals)):
            deltas = np.diff([window.totals[part] for window in self.windows], axis=0)
            mean = deltas.mean(axis=0)
            if (np.ptp(deltas, axis=0) > self.tolerance * mean + NOISE * np.sqrt(mean)).any():
                return False
        return True

    def _filling(self) -> bool:
        """Whether a cache has room left for what it takes in, or lines from before the kernel that it may displace."""
        for before, now in zip(self.windows[0].fills, self.windows[-1].fills, strict=True):
            if now.misses > before.misses and (now.empty > before.empty or not now.filled):
                return True
        return False

    def _skip(
        self,
        periods: int,
        counts: list[NDArray[np.int64]],
        places: NDArray[np.int64],
        busy: NDArray[np.bool_],
    ) -> None:
        """Count so many periods, and move all programs on by their repeats; the clock stays."""
        first, last = self.windows[0], self.windows[-1]
        for part, before, now in zip(counts, first.counts, last.counts, strict=True):
            part += periods * (now - before)
        repeats = periods * self.repeats * PERIOD
        for entry in (tables.ISSUE_REPEAT, tables.AHEAD_REPEAT, tables.COMPUTE_REPEAT):
            places[busy, entry] += repeats
        for entry in (tables.ISSUED, tables.COMPUTED):
            places[busy, entry] += repeats
        skipped = periods * (last.time - first.time)
        self.tiles += periods * int(last.counts[1][0] - first.counts[1][0])
        self.time += skipped
        self.doubt += skipped * self.tolerance

    def result(self, time: int) -> Folded:
        """What was folded of a kernel that took `time` in all."""
        return Folded(self.tiles, self.time, self.doubt, self.doubt / time)
