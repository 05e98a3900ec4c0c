"""Empty kernels: their rows (measurements/h100_launch.csv) and their simulation."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from memgrain.calibration.fits import EMPTY
from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip
from memgrain.runs.rows import Row
from memgrain.sim import simulate
from memgrain.validation.records import Record
from memgrain.workloads import Trace, stream
from memgrain.workloads.trace import PROGRAM, RUN, STEP, Chunk


@dataclass(frozen=True)
class EmptyCase:
    """A launch of empty programs, with the interface of a validation case."""

    chip: Chip
    """The chip."""
    number: str
    """Id of the row."""
    programs: int
    """Programs launched."""

    def id(self) -> str:
        """Id of the row."""
        return self.number

    def __str__(self) -> str:
        return f"row {self.number} ({self.programs} empty programs)"

    def run(self) -> Row:
        """Predict the time."""
        return {"id": self.number, "predicted_time_us": simulate(self.chip, empty(self.programs)).time / 1e6}


def empty(programs: int) -> Trace:
    """A trace of `programs` programs that read, compute and write nothing."""
    return replace(stream(4, 4, 1), name="empty", useful_bytes=0, make_chunks=partial(_chunks, programs))


def is_empty_file(path: Path) -> bool:
    """Whether a file has rows of empty kernels, judged by its header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = {name.strip() for name in next(csv.reader(file), [])}
    except (OSError, UnicodeDecodeError):
        return False
    return "family" not in header and {"grid", "kernel_time_us"} <= header


def read_empty(path: Path) -> list[Record]:
    """Read the rows of such a file, numbered by line. Raises MemgrainError if there are none."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [{k.strip(): (v or "").strip() for k, v in row.items() if k} for row in csv.DictReader(file)]
    if not rows:
        raise MemgrainError(f"{path}: no rows below the header; add some")
    return [Record(path.name, f"in line {line}", row | {"family": EMPTY}) for line, row in enumerate(rows, 2)]


def _chunks(programs: int) -> Iterator[Chunk]:
    steps = np.zeros(1, STEP)
    steps["repeats"] = 1
    launched = np.zeros(programs, PROGRAM)
    launched["steps"] = 1
    yield Chunk(launched, steps, np.zeros(0, RUN), np.zeros(0, np.int32))
