"""Measured rows with their predictions, from evidence.csv, and groups of rows that share all properties."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from memgrain.runs.validated.subject import FIELDS, Subject, from_cells

EVIDENCE = Path(__file__).parent / "evidence.csv"
COLUMNS = ("source", "id", *FIELDS, "measured_kernel", "measured_us", "predicted_us")
"""Columns of evidence.csv."""
SIZES = ("tokens", "batch", "group", "bytes")
"""Fields that describe a size; a group has a range of each."""


@dataclass(frozen=True)
class Evidence:
    """A measured row. No parameter of its chip or kernel was fitted to it."""

    source: str
    """Name of the measured file."""
    id: str
    """Id of the row in that file."""
    subject: Subject
    """Properties of the measured call."""
    measured_kernel: str
    """The measured attention kernel; for a subject without a kernel, the one with which a generic tiling is compared.
    Empty for anything but attention."""
    measured_us: float
    """Measured time in us."""

    @property
    def predicted_us(self) -> float:
        """Predicted time in us."""
        return self.subject.predicted_us

    @property
    def error(self) -> float:
        """predicted / measured - 1."""
        return self.predicted_us / self.measured_us - 1

    @property
    def log_factor(self) -> float:
        """Natural logarithm of measured / predicted."""
        return math.log(self.measured_us / self.predicted_us)


@dataclass(frozen=True)
class Group:
    """Rows that differ only in size."""

    subject: Subject
    """Common properties; the sizes are 0."""
    rows: tuple[Evidence, ...]
    """The rows."""

    @property
    def bias(self) -> float:
        """Mean signed error; negative: predictions are too fast."""
        return float(np.mean(self._errors))

    @property
    def spread(self) -> float | None:
        """Standard deviation of the errors; None for a single row."""
        return float(np.std(self._errors, ddof=1)) if len(self.rows) > 1 else None

    @property
    def worst(self) -> float:
        """The error of largest magnitude, with its sign."""
        return max(self._errors, key=abs)

    def range_of(self, name: str) -> tuple[int, int]:
        """Smallest and largest value of a field that describes a size."""
        values = [getattr(row.subject, name) for row in self.rows]
        return min(values), max(values)

    @property
    def _errors(self) -> list[float]:
        return [row.error for row in self.rows]


def without_size(subject: Subject) -> Subject:
    """The subject without its sizes and its time."""
    return replace(subject, tokens=0, batch=0, group=0, bytes=0, predicted_us=0.0)


def kind_of(subject: Subject) -> Subject:
    """The subject without sizes and head dimension, common to rows that differ only in these."""
    return replace(without_size(subject), head_dim=0, value_dim=0, code="")


def group_rows(rows: Sequence[Evidence]) -> dict[Subject, Group]:
    """Group the rows by subject without size."""
    found: dict[Subject, list[Evidence]] = {}
    for row in rows:
        found.setdefault(without_size(row.subject), []).append(row)
    return {subject: Group(subject, tuple(own)) for subject, own in found.items()}


def read_evidence(path: Path) -> tuple[Evidence, ...]:
    """Read the rows of a file in the form of evidence.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Evidence(
                row["source"],
                row["id"],
                from_cells(row),
                row["measured_kernel"],
                float(row["measured_us"]),
            )
            for row in csv.DictReader(file)
        )


@lru_cache(maxsize=1)
def evidence() -> tuple[Evidence, ...]:
    """All measured rows."""
    return read_evidence(EVIDENCE)


@lru_cache(maxsize=1)
def groups() -> dict[Subject, Group]:
    """All measured rows by subject without size."""
    return group_rows(evidence())
