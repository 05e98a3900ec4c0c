"""Consoles, and the progress of a sweep: a bar on a terminal, otherwise plain lines."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from memgrain.runs.rows import Row

WIDTH = 120
"""Columns of output that is no terminal."""
SHORTEST = 0.5
"""Seconds after the first row from which a speed is shown."""
EVERY = 10.0
"""Seconds between two plain lines."""


def console(stderr: bool = False) -> Console:
    """A console that does not wrap lines at 80 columns when its output goes to a file."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else WIDTH, highlight=False)


class _Rate(ProgressColumn):
    """Points per second, or seconds per point."""

    def render(self, task: Task) -> Text:
        return Text(rate(task.speed or 0.0))


def rate(speed: float) -> str:
    """A speed in points per second, or seconds per point."""
    if speed <= 0:
        return "–"
    return f"{speed:.1f} points/s" if speed >= 1 else f"{1 / speed:.1f} s/point"


@contextmanager
def predicting(name: str, out: Path | None) -> Iterator[SweepProgress]:
    """The progress of predictions; after Ctrl-C, print where finished rows are and exit with status 130."""
    progress = SweepProgress(name)
    try:
        yield progress
    except KeyboardInterrupt:
        progress.stop()
        kept = f"finished rows are in {out}; run the same again to go on" if out else "with -o, finished rows are kept"
        progress.warn(f"interrupted; {kept}")
        raise typer.Exit(130) from None
    finally:
        progress.stop()


class SweepProgress:
    """Shows the progress of a sweep: a bar with rate and time left, or a line every EVERY seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.console = console(stderr=True)
        self.total = self.finished = self.before = 0
        self.first, self.printed = math.inf, time.monotonic()
        self.bar: Progress | None = None

    def start(self, total: int, ready: int) -> None:
        """See `options.Progress`."""
        self.total, self.finished, self.before = total, ready, ready
        self.first, self.printed = math.inf, time.monotonic()
        if ready:
            self.warn(f"{self.name}: {ready} of {total} points have their rows already")
        if self.console.is_terminal and ready < total:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("points"),
                _Rate(),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=self.console,
                speed_estimate_period=120,
            )
            self.bar.start()
            self.bar.add_task(self.name, total=total, completed=ready)

    def done(self, row: Row) -> None:
        """See `options.Progress`."""
        if math.isinf(self.first):
            self.first, self.before = time.monotonic(), self.finished + 1
        self._step()

    def failed(self, message: str) -> None:
        """See `options.Progress`."""
        self.warn(message)
        self._step()

    def warn(self, message: str) -> None:
        """See `options.Progress`."""
        self.console.print(f"memgrain: {' '.join(message.split())}", markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.stop()

    def conclude(self, out: Path | None, failures: Sequence[str]) -> None:
        """Print where predictions are; exit with status 2 if some are missing."""
        if out is not None:
            self.warn(f"predictions are in {out}")
        if failures:
            self.warn(f"{len(failures)} rows have no prediction (see above)")
            raise typer.Exit(2)

    def _step(self) -> None:
        self.finished += 1
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.finished)
            return
        now = time.monotonic()
        if now - self.printed >= EVERY or self.finished == self.total:
            self.printed = now
            self.warn(f"{self.name}: {self.finished} of {self.total} points{self._pace(now)}")

    def _pace(self, now: float) -> str:
        """Speed and time left since the first row: before it, workers start and the hot loops may be compiled."""
        since = now - self.first
        if since < SHORTEST or self.finished == self.before:
            return ""
        speed = (self.finished - self.before) / since
        left = f", {(self.total - self.finished) / speed:.0f} s left" if self.finished < self.total else ""
        return f", {rate(speed)}{left}"
