"""Run a validation: predict the rows of a file like the points of a sweep, and compare them with measurements."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memgrain.errors import MemgrainError
from memgrain.runs.execute import run_points
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import Row, read_rows
from memgrain.runs.validated import what
from memgrain.validation.cases import CaseMaker, Unpredictable, ValidationCase
from memgrain.validation.compare import report, with_errors
from memgrain.validation.external import External, read_external
from memgrain.validation.records import MEASURED, Record, read_records

PREDICTIONS = (
    "id",
    "device",
    "predicted_time_us",
    "predicted_time_dirty_us",
    "predicted_dram_read_bytes",
    "predicted_l2_read_sectors_32b",
    "predicted_l2_read_hit_sectors_32b",
    "bottleneck",
)
"""Columns of predictions.csv."""
WORST = (
    "id",
    "device",
    "title",
    "kernel_time_us",
    "predicted_time_us",
    "time_error",
    "dram_bytes_error",
    "l2_hit_rate_error",
    "roofline_error",
    "bottleneck",
)
"""Columns of worst.csv."""
SHOWN = 20
"""Number of rows in worst.csv."""
_ALIKE = (
    "device",
    "kernel",
    "family",
    "selection",
    "l2_state",
    "context",
    "batch",
    "heads",
    "kv_heads",
    "q_heads_per_kv_head",
    "layout",
    "selected_tokens",
    "selection_block",
    "step_overlap",
    "causal",
    "window",
    "kv_dtype",
)
"""Columns that two rows share if they differ only in the head dimension and what follows from it."""


@dataclass(frozen=True)
class Validation:
    """Predictions compared with measurements."""

    frame: pd.DataFrame
    """One row per predicted row, in the order of the file: cells, predictions, errors."""
    failures: list[str] = field(default_factory=list)
    """A line for each row without a prediction."""

    @property
    def compared(self) -> bool:
        """Whether any time could be compared."""
        return bool(self.frame["time_error"].notna().any())

    def summary(self) -> dict[str, Any]:
        """Figures by family and overall, as fractions."""
        return report(self.frame)

    def worst(self, count: int) -> pd.DataFrame:
        """The rows with the largest errors of time, the worst first."""
        known = self.frame.dropna(subset=["time_error"])
        return known.reindex(known["time_error"].abs().sort_values(ascending=False).index).head(count)


def validate(
    path: str | Path | External,
    chip: str | None = None,
    chip_set: Mapping[str, Any] | None = None,
    sample: int | None = None,
    kernel: str | None = None,
    options: RunOptions = RunOptions(),
) -> Validation:
    """Predict every row of a CSV of measurements or of a third-party table, or a random `sample` of them, and compare.

    `kernel` replaces the kernel of every row; auto: a generic tiling.

    If the options have a folder `out`, rows are kept in `out`/rows.jsonl as they come and found there when run again,
    and predictions.csv, worst.csv and scatter.png are written, predictions.csv also after an interrupt. Raises
    MemgrainError or HardwareError, before anything is simulated, if the file or the chip is wrong.
    """
    found = read_external(path, chip, chip_set or {}) if isinstance(path, External) else read_records(Path(path))
    records, out = _sampled(found, sample, options.seed), options.out
    wanted = out is not None and not isinstance(path, External)
    dirty = wanted or any(record.real("kernel_time_dirty_us") is not None for record in records)
    maker = CaseMaker(chip, chip_set or {}, dirty, kernel)
    cases, refused, records = _made(maker, records)
    with options.folder() as folder:
        try:
            slowest_first = sorted(
                cases, key=ValidationCase.roofline, reverse=True
            )  # so that no slow row runs alone at the end
            outcome = run_points(slowest_first, refused, folder, options)
        except KeyboardInterrupt:
            if out is not None:
                _write_predictions(_frame(records, cases, folder), out)
            raise
        answer = Validation(_frame(records, cases, folder), outcome.failures)
    if out is not None:
        _write(answer, out)
    return answer


def _made(maker: CaseMaker, records: list[Record]) -> tuple[list[ValidationCase], list[str], list[Record]]:
    """The cases of the predictable records, a line for each other record, and the predictable records."""
    cases, refused, kept = [], [], []
    for record in records:
        try:
            cases.append(maker.make(record))
            kept.append(record)
        except Unpredictable as error:
            refused.append(str(error))
    if not cases:
        raise MemgrainError(refused[0])
    return cases, refused, kept


def _sampled(records: list[Record], sample: int | None, seed: int) -> list[Record]:
    """A uniformly random subset of `sample` records, in the order of the file."""
    if sample is None:
        return records
    if sample < 1:
        raise MemgrainError(f"sample is {sample}, must be at least 1; leave it out to take every row")
    rng = np.random.Generator(np.random.PCG64(seed))
    return [records[i] for i in sorted(rng.permutation(len(records))[:sample].tolist())]


def _frame(records: list[Record], cases: list[ValidationCase], folder: Path) -> pd.DataFrame:
    """One row per predicted record, with its cells, prediction and errors."""
    found: dict[str, Row] = {row["id"]: row for row in read_rows(folder / "rows.jsonl")}
    rows = []
    for record, case in zip(records, cases, strict=True):
        if case.key in found:
            subject = case.subject()
            cells = {
                "id": record.id,
                "device": record.cells.get("device", case.chip.name),
                "family": record.text("group", record.text("family")),
                "title": case.title,
                "kernel": what(subject) if subject else "",
                "pattern": subject.pattern if subject else "",
                "head_dim": record.real("head_dim"),
                "alike": "|".join(record.cells.get(name, "") for name in _ALIKE),
                "useful_bytes": case.useful_bytes,
            }
            rows.append({**found[case.key], **cells, **{name: record.real(name) for name in MEASURED}})
    columns = [
        "id",
        "device",
        "family",
        "title",
        "kernel",
        "pattern",
        "head_dim",
        "alike",
        "useful_bytes",
        "roofline_time_us",
    ]
    frame = pd.DataFrame(rows, columns=[*columns, *MEASURED, *PREDICTIONS[2:]])
    numbers = [*MEASURED, *PREDICTIONS[2:-1], "head_dim", "roofline_time_us", "useful_bytes"]
    return with_errors(frame.astype(dict.fromkeys(numbers, float)))


def _write_predictions(frame: pd.DataFrame, out: Path) -> None:
    _table(frame, PREDICTIONS, out / "predictions.csv")


def _write(found: Validation, out: Path) -> None:
    """Write predictions.csv and, if anything was compared, worst.csv and scatter.png."""
    _write_predictions(found.frame, out)
    if not found.compared:
        return
    from memgrain.plots.validation import scatter

    _table(found.worst(SHOWN), WORST, out / "worst.csv")
    try:
        scatter(found.frame).savefig(out / "scatter.png")
    except OSError as error:
        raise MemgrainError(f"cannot write {out} ({error.strerror}); choose another folder") from None


def _table(frame: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for row in frame[list(columns)].to_dict("records"):
                writer.writerow([_cell(row[name]) for name in columns])
    except OSError as error:
        raise MemgrainError(f"cannot write {path} ({error.strerror}); choose another folder") from None


def _cell(value: Any) -> Any:
    """Format a cell: whole numbers without a fraction, others with nine digits, missing numbers as empty."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return ""
    return int(value) if value.is_integer() else float(f"{value:.9g}")
