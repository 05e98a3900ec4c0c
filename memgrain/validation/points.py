"""Validation against published measurements of kernels, each with its chip and workload.

POINTS.yaml:

title: the measurements
sources: {KEY: full citation}
points:
  - id: M3
    family: memory                     # points of a family are summarised together
    what: the point in a few words
    chip: ascend_910b1                 # a shipped name, or a file beside this one
    set: {aic.count: 20}               # overrides of the chip (optional)
    before: cold                       # state of the caches (cold if absent)
    fitted: true                       # whether parameters of the chip were fitted to it (default: false)
    workload: {kind: matrix_read, ...} # as in a workload's file, or kind: model_run (a step of a whole model)
    measured: {time_us: 215.82}        # metrics or counters of a result
    source: KEY
    label: task                        # how it was timed (optional; see Label)
    conditions: warm-up, clock, driver, as far as they are known (optional)
    unknown: what the source does not say about the run (optional)
left_out:                              # measurements that are not compared
  - {id: G3, what: ..., reason: ..., source: KEY}
alternatives:                          # other hypotheses: the same points with other parameters of the chip
  - {name: random replacement, set: {l2.replacement: random}, points: [M8, M9]}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from memgrain.errors import MemgrainError
from memgrain.hwmodels import HardwareError, load_chip
from memgrain.inputs.keys import validate
from memgrain.inputs.yaml_file import read_mapping
from memgrain.models.point import KIND, ModelPoint
from memgrain.runs.execute import run_points
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import read_rows
from memgrain.runs.task import Files, Point, Task
from memgrain.sim import METRICS
from memgrain.workloads import WorkloadError

Name = Annotated[str, Field(min_length=1)]
RATES = ("l2_hit_rate", "l2_sector_hit_rate", "dram_row_hit_rate", "bound_share", "effective_bandwidth_share")
"""Quantities between 0 and 1, whose errors are differences; errors of all others are relative."""
COLUMNS = ("id", "family", "what", "chip", "fitted", "label", "quantity", "measured", "predicted", "error", "source")
"""Columns of points.csv."""

Label = Literal["event", "task", "notifier", "target", "derived"]
"""How a time was taken: events of a stream around a loop (the host's launch is in it), a profiler's device time of a
task, device time between two notifiers in the queue, a rounded figure that its authors state as a target, or computed
from other published figures."""


class MeasuredPoint(BaseModel):
    """One measured point."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Name
    """Short name, unique in the file."""
    family: Name
    """Family in which it is summarised."""
    what: Name
    """Short description of the point."""
    chip: Name
    """A chip by name or file."""
    set: dict[Name, Any] = Field(default_factory=dict)
    """Overrides of the chip: differences between the measured part and the named one."""
    before: Literal["cold", "dirty", "warm"] = "cold"
    """State of the caches before the run."""
    fitted: bool = False
    """Whether parameters of the chip were fitted to this point; the others are predictions."""
    workload: dict[str, Any]
    """The workload, as in a file of its own."""
    measured: dict[Name, float] = Field(min_length=1)
    """Measured values by metric or counter."""
    source: Name
    """A key of the file's sources."""
    label: Label | None = None
    """How it was timed; absent: the source says it."""
    conditions: Name | None = None
    """Conditions of the run that the source states: repetitions, state of the caches, clock, software."""
    unknown: Name | None = None
    """Conditions of the run that the source does not state."""


class LeftOut(BaseModel):
    """A measurement that is not compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Name
    """Short name."""
    what: Name
    """Short description of the measurement."""
    reason: Name
    """Reason why it is omitted."""
    source: Name
    """A key of the file's sources."""


class Alternative(BaseModel):
    """Another hypothesis about the chip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    """Short description of the hypothesis."""
    set: dict[Name, Any] = Field(min_length=1)
    """Overrides of the chip under this hypothesis."""
    points: list[Name] = Field(min_length=1)
    """Ids of the points that distinguish it from the chip's own parameters."""


class PointsFile(BaseModel):
    """A file of points."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Name
    """Title of the measurements."""
    sources: dict[Name, Name]
    """Full citations by key."""
    points: list[MeasuredPoint] = Field(min_length=1)
    """Points that are compared."""
    left_out: list[LeftOut] = []
    """Measurements that are not compared."""
    alternatives: list[Alternative] = []
    """Other hypotheses about the chip."""


@dataclass(frozen=True)
class Compared:
    """Points compared with their predictions."""

    file: PointsFile
    frame: pd.DataFrame
    """One row per measured quantity with a prediction; see COLUMNS. `alternative` is empty for the chip's own
    parameters."""
    failures: list[str] = field(default_factory=list)
    """A line for each point without a prediction."""

    @property
    def own(self) -> pd.DataFrame:
        """Rows with the chip's own parameters."""
        return self.frame[self.frame["alternative"] == ""]

    def summary(self) -> dict[str, Any]:
        """Figures by family, of the points without fitted parameters, and overall, as fractions."""
        own = self.own
        families = {str(name): _figures(rows) for name, rows in own.groupby("family", sort=False)}
        found = {"families": families, "predicted": _figures(own[~own["fitted"]]), "overall": _figures(own)}
        if self.file.alternatives:
            by_name = self.frame[self.frame["alternative"] != ""].groupby("alternative", sort=False)
            found["alternatives"] = {str(name): _figures(rows) for name, rows in by_name}
        return found


def is_points_file(path: Path) -> bool:
    """Whether a file contains points: points are YAML, rows are CSV."""
    return path.suffix in (".yaml", ".yml")


def validate_points(
    path: Path,
    chip_set: dict[str, Any] | None = None,
    alternatives: bool = False,
    options: RunOptions = RunOptions(),
) -> Compared:
    """Predict every point of a file and compare; with `alternatives` also under its other hypotheses.

    `chip_set` overrides numbers of every chip. If the options have a folder `out`, rows are kept in `out`/rows.jsonl as
    they come and found there when run again, and points.csv is written. Raises MemgrainError, HardwareError or
    WorkloadError, before anything is simulated, if the file is wrong.
    """
    file = load_points(path)
    wanted = [("", point, dict(chip_set or {})) for point in file.points]
    if alternatives:
        known = {point.id: point for point in file.points}
        wanted += [(other.name, known[name], other.set) for other in file.alternatives for name in other.points]
    files: Files = {}
    resolved = [resolve(path, point, more, files) for _, point, more in wanted]
    with options.folder() as folder:
        outcome = run_points(resolved, [], folder, options)
        rows = {row["id"]: row for row in read_rows(folder / "rows.jsonl")}
    found = []
    for (other, point, _), job in zip(wanted, resolved, strict=True):
        row = rows.get(job.id())
        for quantity, value in point.measured.items() if row else ():
            found.append({"alternative": other, **_cells(path, point, quantity, value, row or {})})
    frame = pd.DataFrame(found, columns=["alternative", *COLUMNS])
    answer = Compared(file, frame, outcome.failures)
    if options.out is not None:
        frame.to_csv(options.out / "points.csv", index=False)
    return answer


def load_points(path: Path) -> PointsFile:
    """Load the points of a file. Raises MemgrainError with one line."""
    raw = read_mapping(path, "begin with sources:", MemgrainError)
    file = validate(PointsFile, raw, path.name, MemgrainError)
    ids = [point.id for point in file.points]
    for name in ids:
        if ids.count(name) > 1:
            raise MemgrainError(f"{path.name}: the id '{name}' occurs twice; rename one")
    cited = [(point.id, point.source) for point in file.points] + [(left.id, left.source) for left in file.left_out]
    for name, source in cited:
        if source not in file.sources:
            raise MemgrainError(f"{path.name}: source '{source}' of {name} is not in sources; add it there")
    for other in file.alternatives:
        for name in other.points:
            if name not in ids:
                raise MemgrainError(f"{path.name}: alternative '{other.name}' names no point '{name}'; correct it")
    return file


def resolve(path: Path, point: MeasuredPoint, more: dict[str, Any], files: Files) -> Point | ModelPoint:
    """The job of a point of the file at `path`, with the further overrides `more` of its chip. Raises MemgrainError
    with one line."""
    chip = str(path.parent / point.chip) if point.chip.endswith((".yaml", ".yml")) else point.chip
    if point.workload.get("kind") == KIND:
        try:
            return ModelPoint.of(load_chip(chip, {**point.set, **more}), {"name": point.id, **point.workload})
        except (HardwareError, WorkloadError, MemgrainError) as error:
            raise MemgrainError(f"{path.name}: point {point.id}: {error}") from None
    task = Task(chip, {**point.set, **more}, {"name": point.id, **point.workload}, {}, point.before)
    try:
        return task.resolve(files)
    except (HardwareError, WorkloadError, MemgrainError) as error:
        raise MemgrainError(f"{path.name}: point {point.id}: {error}") from None


def _cells(path: Path, point: MeasuredPoint, quantity: str, value: float, row: dict[str, Any]) -> dict[str, Any]:
    predicted = row.get(quantity)
    if not isinstance(predicted, int | float):
        known = ", ".join(METRICS)
        raise MemgrainError(f"{path.name}: point {point.id}: no result has a number '{quantity}'; name one of {known}")
    error = predicted - value if quantity in RATES else predicted / value - 1
    cells = {name: getattr(point, name) for name in ("id", "family", "what", "chip", "fitted", "source")}
    cells["label"] = point.label or ""
    return {**cells, "quantity": quantity, "measured": value, "predicted": float(predicted), "error": error}


def _figures(rows: pd.DataFrame) -> dict[str, Any]:
    """Figures of relative errors, and of rates as differences."""
    rate = rows["quantity"].isin(RATES)
    errors, rates = (rows.loc[mask, "error"].to_numpy(float) for mask in (~rate, rate))
    return {
        "points": len(errors),
        "median": float(np.median(np.abs(errors))) if len(errors) else None,
        "mape": float(np.mean(np.abs(errors))) if len(errors) else None,
        "worst": float(np.max(np.abs(errors))) if len(errors) else None,
        "bias": float(np.mean(errors)) if len(errors) else None,
        "rates": len(rates),
        "rate_mae": float(np.mean(np.abs(rates))) if len(rates) else None,
        "rate_worst": float(np.max(np.abs(rates))) if len(rates) else None,
    }
