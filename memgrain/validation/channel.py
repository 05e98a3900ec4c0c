"""Validation of DRAM channels against a cycle-level simulator: its rows, the same reads on our channel, and the
errors."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from memgrain.errors import MemgrainError
from memgrain.hwmodels import DramStandard, load_standard
from memgrain.inputs.spelling import suggest
from memgrain.runs.execute import run_points
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import Row, read_rows
from memgrain.sim.dram.channel import CAPACITY, Queues, keep_busy, one_channel
from memgrain.validation.cases import source_digest
from memgrain.validation.channel_speed import STANDARDS, at_speed, known_standard
from memgrain.validation.records import Record

COLUMNS = ("pattern", "parameter_bytes", "cycles")
"""Columns that every such file has."""
MEASURED = ("bandwidth_gb_s", "activates", "row_hits", "reads")
"""Columns that are compared if the file has them."""
PATTERNS = ("stream", "rows", "stride")
POLICIES: dict[str, Literal["open", "closed"]] = {"OPEN_PAGE": "open", "CLOSE_PAGE": "closed"}
"""Page policies by the names of the other simulator."""
QUEUES = Queues(transactions=32, bank=8)
"""Queues of the other simulator's controller."""
SEED = 1
"""Seed of the rows that a pattern draws at random."""
SHOWN = 20
"""Number of rows in worst.csv."""
ERRORS = ("bandwidth_error", "activates_error")
_ROW = ("id", "dram", "standard", "pattern", "parameter_bytes")
PREDICTED = (
    "predicted_bandwidth_gb_s",
    "predicted_activates",
    "predicted_row_hits",
    "predicted_reads",
)
"""Columns of predictions.csv in addition to those that identify the row."""


@dataclass(frozen=True)
class ChannelCase:
    """One row: reads in a pattern on one channel for a fixed time."""

    number: str
    """Id of the row, or its number in the file."""
    config: str
    """Name of the other simulator's configuration."""
    standard: DramStandard
    """Our DRAM standard at the row's speed."""
    page_policy: Literal["open", "closed"]
    """Whether rows stay open."""
    pattern: str
    """stream (ascending bursts), rows (random aligned rows), or stride."""
    parameter: int
    """Bytes of a row or of the stride."""
    time: int
    """Duration in ps."""

    def id(self) -> str:
        """SHA-256 of everything that the prediction depends on."""
        standard = self.standard.model_dump(mode="json", exclude={"title"})
        identity = [standard, self.page_policy, self.pattern, self.parameter, self.time, source_digest()]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def __str__(self) -> str:
        return f"row {self.number} ({self.config} {self.pattern} {self.parameter})"

    def run(self) -> Row:
        """Run the reads on our channel."""
        spec = one_channel(self.standard, QUEUES.bank, self.page_policy)
        found = keep_busy(spec, self.addresses(), self.time, QUEUES)
        numbers = (found.bandwidth / 1e9, found.activates, found.row_hits, found.count)
        return {"id": self.id(), **dict(zip(PREDICTED, numbers, strict=True))}

    def addresses(self) -> Iterator[int]:
        """Infinite sequence of the bursts' addresses."""
        burst = self.standard.burst
        if self.pattern != "rows":
            step = burst if self.pattern == "stream" else self.parameter
            return (number * step % CAPACITY for number in itertools.count())
        rng = np.random.Generator(np.random.PCG64(SEED))
        within = range(0, self.parameter, burst)
        rows = (
            row * self.parameter
            for _ in itertools.count()
            for row in rng.integers(0, CAPACITY // self.parameter, 4096).tolist()
        )
        return (row + offset for row in rows for offset in within)


@dataclass(frozen=True)
class ChannelValidation:
    """Predictions compared with the other simulator's results."""

    frame: pd.DataFrame
    """One row per predicted row, in the order of the file: cells, predictions, errors."""
    failures: list[str] = field(default_factory=list)
    """A line for each row without a prediction."""

    @property
    def compared(self) -> bool:
        """Whether anything could be compared."""
        return bool(self.frame[list(ERRORS)].notna().any(axis=None))

    def summary(self) -> dict[str, Any]:
        """The content of `--json`: figures by standard, by standard and pattern, and overall, as fractions."""
        by_standard = self.frame.groupby("standard", sort=False)
        by_pattern = self.frame.groupby(["standard", "pattern"], sort=False)
        return {
            "standards": {str(name): _figures(rows) for name, rows in by_standard},
            "families": {" ".join(map(str, name)): _figures(rows) for name, rows in by_pattern},
            "overall": _figures(self.frame),
        }

    def worst(self, count: int) -> pd.DataFrame:
        """The rows with the largest errors in bandwidth or activates, the worst first."""
        worst = self.frame[list(ERRORS)].abs().max(axis=1).dropna()
        return self.frame.loc[worst.sort_values(ascending=False).index].head(count)


def is_channel_file(path: Path) -> bool:
    """Whether a file has rows of this form, judged by its header."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = {name.strip() for name in file.readline().split(",")}
    except (OSError, UnicodeDecodeError):
        return False
    return "family" not in header and {"pattern", "parameter_bytes"} <= header


def validate_channel(
    path: Path,
    dram: str | None = None,
    options: RunOptions = RunOptions(),
) -> ChannelValidation:
    """Predict every row of a CSV of a cycle-level simulator's results, and compare.

    `dram` is a standard's name or YAML file; without it, the column dram names a configuration whose standard is
    shipped. If the options have a folder `out`, rows are kept in `out`/rows.jsonl as they come and found there when run
    again, and predictions.csv, worst.csv and scatter.png are written. Raises MemgrainError or HardwareError, before
    anything is simulated, if the file or the standard is invalid.
    """
    records, cases = read_cases(path, dram)
    with options.folder() as folder:
        outcome = run_points(cases, [], folder, options)
        rows = {row["id"]: row for row in read_rows(outcome.path)}
    found = ChannelValidation(compare(records, cases, rows), outcome.failures)
    if options.out is not None:
        _write(found, options.out)
    return found


def read_cases(path: Path, dram: str | None = None) -> tuple[list[Record], list[ChannelCase]]:
    """The records of a file and their cases; `dram` and errors as in `validate_channel`."""
    records = _read(path)
    standards = _standards(path, records, dram)
    return records, [_case(record, standards[record.cells.get("dram", "")]) for record in records]


def _read(path: Path) -> list[Record]:
    """Read the rows of the file. Raises MemgrainError if there are none or a column is missing."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except OSError as error:
        raise MemgrainError(f"{path}: cannot be read ({error.strerror}); give a CSV file of DRAM rows") from None
    except ValueError as error:
        raise MemgrainError(f"{path}: not a CSV file ({' '.join(str(error).split())}); mend it") from None
    table.columns = table.columns.str.strip()
    for column in COLUMNS:
        if column not in table:
            raise MemgrainError(
                f"{path}: column '{column}' is missing{suggest(column, [str(name) for name in table.columns])}; "
                f"rows of a DRAM channel need {', '.join(COLUMNS)}"
            )
    if table.empty:
        raise MemgrainError(f"{path}: no rows below the header; add some")
    rows = [{str(name): str(cell).strip() for name, cell in row.items()} for row in table.to_dict("records")]
    return [Record(path.name, row.get("id") or str(number), row) for number, row in enumerate(rows, 1)]


def _standards(path: Path, records: list[Record], dram: str | None) -> dict[str, DramStandard]:
    """The standard of each configuration in the file ('' if a row names none).

    A given standard applies to the only configuration of a file, to configurations whose name begins with the
    standard's, and to those without a shipped standard.
    """
    configs = list(dict.fromkeys(record.cells.get("dram", "") for record in records))
    given = load_standard(dram) if dram is not None else None
    found: dict[str, DramStandard] = {}
    for config in configs:
        known = known_standard(config)
        if given and (
            len(configs) == 1 or known in (None, given.name) or config.lower().startswith(given.name.lower())
        ):
            found[config] = given
        elif known is not None:
            found[config] = load_standard(known)
        elif config:
            raise MemgrainError(
                f"{path}: no DRAM standard is known for '{config}'; known: {', '.join(STANDARDS)}; or name the standard"
            )
        else:
            raise MemgrainError(f"{path}: column 'dram' is missing or empty; fill it in, or name a standard")
    if given and given not in found.values():
        raise MemgrainError(
            f"{path}: none of its configurations is {given.name} ({', '.join(configs)}); leave it out, or keep "
            "one configuration in the file"
        )
    return found


def _case(record: Record, standard: DramStandard) -> ChannelCase:
    pattern = record.one_of("pattern", PATTERNS)
    burst = record.whole("burst_bytes", standard.burst)
    if burst != standard.burst:
        raise record.error(
            f"burst_bytes is {burst}, a burst of {standard.name} has {standard.burst}; name its own standard"
        )
    parameter = record.whole("parameter_bytes", 0)
    if pattern != "stream" and (parameter == 0 or parameter % burst):
        raise record.error(f"parameter_bytes is {parameter}, must be a multiple of the burst of {burst} bytes")
    config = record.cells.get("dram", "") or standard.name
    standard, clock = at_speed(record, config, standard)
    time = round(record.whole("cycles") * clock)
    if time <= 0:
        raise record.error("cycles and tck_ns must be above 0; correct the cells")
    policy = record.one_of("policy", tuple(POLICIES), "OPEN_PAGE")
    for column in MEASURED:
        record.real(column)
    return ChannelCase(record.id, config, standard, POLICIES[policy], pattern, parameter, time)


def compare(records: list[Record], cases: list[ChannelCase], rows: dict[str, Row]) -> pd.DataFrame:
    """One row per predicted row, with its errors: relative errors, and for row hits a difference of hit rates."""
    table = [
        {
            **rows[case.id()],
            "id": case.number,
            "dram": case.config,
            "standard": case.standard.name,
            "pattern": case.pattern,
            "parameter_bytes": case.parameter,
            **{name: record.real(name) for name in MEASURED},
        }
        for record, case in zip(records, cases, strict=True)
        if case.id() in rows
    ]
    frame = pd.DataFrame(table, columns=[*_ROW, *MEASURED, *PREDICTED])
    frame = frame.astype(dict.fromkeys((*MEASURED, *PREDICTED), float))
    for error, name in zip(ERRORS, MEASURED, strict=False):
        frame[error] = (frame[f"predicted_{name}"] / frame[name] - 1).replace([math.inf, -math.inf], math.nan)
    share = frame["row_hits"] / frame["reads"]
    frame["row_hit_rate_error"] = frame["predicted_row_hits"] / frame["predicted_reads"] - share
    return frame


def _figures(rows: pd.DataFrame) -> dict[str, float | int | None]:
    """The figures of a report; None if nothing could be compared."""
    figures: dict[str, float | int | None] = {"rows": len(rows)}
    for error in ERRORS:
        name, size = error.removesuffix("_error"), rows[error].abs()
        figures |= {f"{name}_median_error": size.median(), f"{name}_worst_error": size.max()}
        figures[f"{name}_bias"] = rows[error].mean()
    figures["row_hit_rate_mae"] = rows["row_hit_rate_error"].abs().mean()
    return {
        name: value if isinstance(value, int) else float(value) if value is not None and math.isfinite(value) else None
        for name, value in figures.items()
    }


def _write(found: ChannelValidation, out: Path) -> None:
    """Write predictions.csv and, if anything was compared, worst.csv and scatter.png."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        _table(found.frame, [*_ROW, *PREDICTED], out / "predictions.csv")
        if found.compared:
            from memgrain.plots.channel import scatter

            columns = [*_ROW, *MEASURED[:2], *PREDICTED[:2], *ERRORS, "row_hit_rate_error"]
            _table(found.worst(SHOWN), columns, out / "worst.csv")
            scatter(found.frame).savefig(out / "scatter.png")
    except OSError as error:
        raise MemgrainError(f"cannot write {out} ({error.strerror}); choose another folder") from None


def _table(frame: pd.DataFrame, columns: list[str], path: Path) -> None:
    frame[columns].to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
