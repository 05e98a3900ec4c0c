"""Rows of a CSV of measurements: read, check and convert them. Errors name the row."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from memgrain.errors import MemgrainError
from memgrain.inputs.spelling import suggest

COLUMNS: dict[str, tuple[str, ...]] = {
    "stream": ("row_bytes", "n_rows"),
    "gather": ("row_bytes", "row_stride_bytes", "pool_bytes", "n_rows", "order"),
    "gather_step": ("row_bytes", "row_stride_bytes", "pool_bytes", "n_rows", "step_overlap"),
    "decode": ("head_dim", "context", "kv_heads", "q_heads_per_kv_head", "selection", "layout"),
    "prefill": ("head_dim", "context", "heads", "kv_heads"),
    "linear": ("tokens", "inputs", "outputs"),
}
"""The families and their required columns."""
MEASURED = (
    "kernel_time_us",
    "kernel_time_dirty_us",
    "dram_read_bytes",
    "l2_read_sectors_32b",
    "l2_read_hit_sectors_32b",
)
"""Columns that are compared if the file has them."""
_TRUTH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False, "": False}


@dataclass(frozen=True)
class Record:
    """One row of a file. Cells are parsed on access."""

    file: str
    """Name of the file."""
    id: str
    """Id of the row."""
    cells: dict[str, str]
    """Text of each column without surrounding blanks; absent columns are missing."""

    def text(self, column: str, default: str | None = None) -> str:
        """The text of a cell. Raises MemgrainError if it is empty and there is no default."""
        found = self.cells.get(column, "")
        if found:
            return found
        if default is None:
            raise self.error(f"{column} is empty; fill it in")
        return default

    def one_of(self, column: str, known: tuple[str, ...], default: str | None = None) -> str:
        """The text of a cell, which must be one of `known`."""
        found = self.text(column, default)
        if found not in known:
            raise self.error(f"{column} is '{found}', must be one of {', '.join(known)}{suggest(found, list(known))}")
        return found

    def real(self, column: str) -> float | None:
        """The number in a cell; None if the cell is empty or there is no such column."""
        found = self.cells.get(column, "")
        if not found or found.lower() == "nan":
            return None
        try:
            number = float(found)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.error(f"{column} is '{found}', must be a number; correct the cell")
        return number

    def whole(self, column: str, default: int | None = None) -> int:
        """The whole number, at least 0, in a cell. Raises MemgrainError if it is empty and there is no default."""
        number = self.maybe(column)
        if number is not None:
            return number
        if default is None:
            raise self.error(f"{column} is empty; fill it in")
        return default

    def maybe(self, column: str) -> int | None:
        """The whole number, at least 0, in a cell; None if the cell is empty or there is no such column."""
        number = self.real(column)
        if number is None:
            return None
        if number < 0 or number != int(number):
            raise self.error(f"{column} is {self.cells[column]}, must be a whole number; correct the cell")
        return int(number)

    def truth(self, column: str) -> bool:
        """The truth value of a cell; an empty one is False."""
        found = self.cells.get(column, "")
        if found.lower() not in _TRUTH:
            raise self.error(f"{column} is '{found}', must be True or False; correct the cell")
        return _TRUTH[found.lower()]

    def error(self, message: str) -> MemgrainError:
        """An error with a message that names this row."""
        return MemgrainError(f"{self.file}: row {self.id}: {message}")


def read_records(path: Path) -> list[Record]:
    """Read the rows of a CSV. Raises MemgrainError if there are none, or a column or a family is invalid."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="")
            header = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = header
            rows = [{k: v.strip() for k, v in row.items() if k and isinstance(v, str)} for row in reader]
    except OSError as error:
        raise MemgrainError(f"{path}: cannot be read ({error.strerror}); give a CSV file of measurements") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise MemgrainError(f"{path}: not a CSV file ({' '.join(str(error).split())}); mend it") from None
    for column in ("id", "family"):
        if column not in header:
            raise MemgrainError(f"{path}: column '{column}' is missing{suggest(column, header)}; add it")
    if not rows:
        raise MemgrainError(f"{path}: no rows below the header; add some")
    records = [Record(path.name, row.get("id") or f"in line {line}", row) for line, row in enumerate(rows, 2)]
    for family in dict.fromkeys(record.one_of("family", tuple(COLUMNS)) for record in records):
        for column in COLUMNS[family]:
            if column not in header:
                raise MemgrainError(
                    f"{path}: column '{column}' is missing, which rows of family {family} need"
                    f"{suggest(column, header)}; add it"
                )
    for record in records:
        for column in MEASURED:
            record.real(column)
        for column in MEASURED[:2]:
            if (record.real(column) or 0.0) <= 0 < len(record.cells.get(column, "")):
                raise record.error(f"{column} is {record.cells[column]}, must be above 0; correct the cell")
    return records
