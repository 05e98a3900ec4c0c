"""Options that all runs of many points share: where rows are kept, how many points run at a time, how many draws."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from memgrain.errors import MemgrainError
from memgrain.runs.rows import Row


class Progress(Protocol):
    """Receives the events of a run of many points."""

    def start(self, total: int, ready: int) -> None:
        """The run begins: it has `total` points, of which `ready` have their row already."""

    def done(self, row: Row) -> None:
        """A row is on disk."""

    def failed(self, message: str) -> None:
        """A point has no answer; `message` says which and why, in one line."""

    def warn(self, message: str) -> None:
        """The user should know `message`, one line."""


class NoProgress:
    """A progress that ignores every event."""

    def start(self, total: int, ready: int) -> None:
        """Do nothing."""

    def done(self, row: Row) -> None:
        """Do nothing."""

    def failed(self, message: str) -> None:
        """Do nothing."""

    def warn(self, message: str) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class RunOptions:
    """How a run of many points is carried out. Raises MemgrainError for a value that cannot be."""

    out: Path | None = None
    """Folder of the rows: points whose rows are there are not simulated again. None: a temporary folder. Functions that
    take a folder of their own use that one."""
    jobs: int | None = None
    """Points that run at the same time, each in a process; None: one for each core of this machine."""
    cluster: str | None = None
    """Address of a dask scheduler, tcp://HOST:PORT, whose workers run the points; None: processes of this machine."""
    progress: Progress = field(default=NoProgress(), compare=False)
    """Receives the events of the run."""
    samples: int | None = None
    """Draws of the chips' uncertain numbers; None: as many as the analysis makes by default."""
    seed: int = 0
    """Seed of the draws, or of a random sample of rows."""

    def __post_init__(self) -> None:
        if self.out is not None:
            object.__setattr__(self, "out", Path(self.out))
        if self.jobs is not None and self.jobs < 1:
            raise MemgrainError(f"jobs is {self.jobs}, must be at least 1; leave it out for the default")
        if self.samples is not None and self.samples < 2:
            raise MemgrainError(f"samples is {self.samples}, must be at least 2; leave it out for the default")
        if self.seed < 0:
            raise MemgrainError(f"seed is {self.seed}, must be 0 or more; choose another")

    @property
    def workers(self) -> int:
        """Processes of this machine that run at the same time."""
        return self.jobs or os.cpu_count() or 1

    def draws(self, default: int) -> int:
        """The number of draws; `default` if `samples` is None."""
        return default if self.samples is None else self.samples

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """The folder of the rows: `out`, or a temporary folder that is deleted at the end of the block."""
        if self.out is not None:
            yield self.out
            return
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
