"""How far a chip's predictions were from measurements, by kind of workload: the error that a result carries.

The figures stand in validated.csv, which `make validation` writes from the rows in docs/validation.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hwmodels import Chip, chip_names, load_chip
from workloads import AnyWorkload, Workload

FILE = Path(__file__).parent / "validated.csv"
COLUMNS = ("chip", "family", "caches", "rows", "error", "p90", "worst")
"""Columns of validated.csv."""
CLEAN, DIRTY = "clean", "dirty"


@dataclass(frozen=True)
class Validated:
    """Errors of simulated time over measured rows of one family on one chip; fractions."""

    chip: str
    """Name of the chip."""
    family: str
    """Phase of the attention calls, or kind of the workloads."""
    caches: str
    """Whether the caches were full of dirty lines before: clean or dirty."""
    rows: int
    """Measured rows that were compared; none of them was used to fit a number of the chip."""
    error: float
    """Mean absolute error."""
    p90: float
    """Absolute error that nine rows of ten stay within."""
    worst: float
    """Largest absolute error."""


@dataclass(frozen=True)
class Trust:
    """What validation says about one result."""

    found: Validated | None
    """The rows that stand for it; None if its family was not validated on the chip."""
    unmodified: bool
    """Whether the chip is the one that the rows were predicted with."""

    @property
    def sentence(self) -> str:
        """In words: on what the error rests."""
        found = self.found
        if found is None:
            return "not validated on this chip"
        rows = f"{found.rows} row{'s' if found.rows > 1 else ''} of {found.family}"
        start = " from dirty caches" if found.caches == DIRTY else ""
        where = "on" if self.unmodified else f"on the unmodified chip: ± {found.error:.1%} on"
        return f"validated {where} {rows}{start} (p90 {found.p90:.1%}, worst {found.worst:.1%})"

    @property
    def interval(self) -> str:
        """The mean error as it stands after a time; empty if there is none, or if it is another chip's."""
        return f" ± {self.found.error:.1%}" if self.found and self.unmodified else ""

    def columns(self) -> dict[str, Any]:
        """The columns of a row."""
        own = self.found if self.unmodified else None
        return {
            "validated": self.sentence,
            "validated_error": own.error if own else None,
            "validated_rows": own.rows if own else None,
        }


def trust(chip: Chip, workload: AnyWorkload, before: str) -> Trust:
    """What validation says about results of this workload on this chip, from that state of the caches."""
    return trust_in(chip, family(workload), DIRTY if before == DIRTY else CLEAN)


def trust_in(chip: Chip, family: str, caches: str = CLEAN) -> Trust:
    """What validation says about results of that family on this chip."""
    found = _table().get((chip.name, family, caches))
    return Trust(found, found is not None and chip == _shipped(chip.name))


def widest() -> Validated:
    """Of all families on all chips, from clean caches, that with the worst row: what may be said of a result whose own
    family was validated nowhere near."""
    return max((row for row in _table().values() if row.caches == CLEAN), key=lambda row: row.worst)


def family(workload: AnyWorkload) -> str:
    """What a workload is counted among: the phase of an attention call, the kind of any other."""
    return str(workload.phase if isinstance(workload, Workload) else workload.kind)


@lru_cache(maxsize=1)
def _table() -> dict[tuple[str, str, str], Validated]:
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = [
            Validated(
                row["chip"],
                row["family"],
                row["caches"],
                int(row["rows"]),
                float(row["error"]),
                float(row["p90"]),
                float(row["worst"]),
            )
            for row in csv.DictReader(file)
        ]
    return {(row.chip, row.family, row.caches): row for row in rows}


@lru_cache(maxsize=8)
def _shipped(name: str) -> Chip | None:
    return load_chip(name) if name in chip_names() else None
