"""Intervals of a sweep: a metric of each simulated point from 5 to 95 %, written to intervals.csv beside the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memgrain.errors import MemgrainError
from memgrain.runs.execute import DOMAIN
from memgrain.runs.intervals import ENDS, write_intervals
from memgrain.runs.labels import SHARE
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import NAME, Row, read_rows
from memgrain.runs.sweep import Sweep
from memgrain.runs.task import Files, Point, Task
from memgrain.runs.tune import with_tuned_values
from memgrain.uncertainty.per_point import sample_each
from memgrain.uncertainty.sampling import SampledPoints, check_figure, notes_of, value_of
from memgrain.uncertainty.uncertain_result import uncertain_result

if TYPE_CHECKING:
    import pandas as pd

DRAWS = "draws"
"""Name of the folder with rows of draws, in the sweep's folder."""


@dataclass(frozen=True)
class Intervals:
    """Intervals of the points of a sweep."""

    path: Path
    """File of the intervals."""
    frame: pd.DataFrame
    """One row per simulated point: id, chip, workload, the grid's keys, metric, usual (the nominal value), low, median,
    high, and rests_on, a text on the evidence. If there is no interval, low to high are missing and rests_on gives the
    reason."""
    failures: list[str]
    """A line for each point without an interval."""


def intervals_of(
    sweep: Sweep,
    folder: Path,
    metric: str = SHARE,
    options: RunOptions = RunOptions(),
) -> Intervals:
    """Intervals of a metric of all points of the sweep that have a row in `folder`; see `sample_each`.

    Rows of draws are kept in the folder DRAWS there and not simulated again. Raises MemgrainError if no point has the
    metric or the file cannot be written, and KeyboardInterrupt as `run_points` does.
    """
    import pandas as pd

    from memgrain.runs.pivot import in_order

    check_figure(metric)
    simulated = _answered(sweep, folder)
    lacking = {index: reason for index, (_, _, row) in enumerate(simulated) if (reason := _lacks(row, metric))}
    if not simulated:
        raise MemgrainError(f"no point of {sweep.name} has its row in {folder / NAME}; run the sweep first")
    if len(lacking) == len(simulated):
        raise MemgrainError(lacking[0])
    indices = [index for index in range(len(simulated)) if index not in lacking]
    tasks, rows = [simulated[index][0] for index in indices], [simulated[index][2] for index in indices]
    drawn = sample_each(tasks, rows, folder / DRAWS, options)
    found: dict[int, SampledPoints | str] = {**lacking, **dict(zip(indices, drawn, strict=True))}
    listed, failures = [], []
    for index, (_, point, row) in enumerate(simulated):
        interval = _interval(found[index], metric, options.seed)
        if interval["low"] is None:
            failures.append(f"{point}: {interval['rests_on']}")
        listed.append(_line(sweep, point, row, metric, interval))
    frame = in_order(pd.DataFrame(listed), ["chip", *sweep.grid])
    return Intervals(write_intervals(frame, folder), frame, failures)


def _answered(sweep: Sweep, folder: Path) -> list[tuple[Task, Point, Row]]:
    """The distinct points of the sweep with a row in the folder, with their tasks and rows."""
    rows, files = {row["id"]: row for row in read_rows(folder / NAME)}, Files()
    found: dict[str, tuple[Task, Point, Row]] = {}
    for task in sweep.tasks():
        with suppress(*DOMAIN):
            point = task.resolve(files)
            name = point.id()
            if name in rows:
                found.setdefault(name, (with_tuned_values(task, rows[name]), point, rows[name]))
    return list(found.values())


def _lacks(row: Row, metric: str) -> str:
    """Reason why a row has no such number; empty if it has one."""
    try:
        nominal = value_of(row, metric)
    except MemgrainError as error:
        return str(error)
    return "" if math.isfinite(nominal) else f"{metric} is {nominal}, so there is no interval"


def _interval(found: SampledPoints | str, metric: str, seed: int) -> dict[str, Any]:
    """The columns low, median, high and rests_on of one point."""
    if isinstance(found, str):
        return {**dict.fromkeys(ENDS), "rests_on": found}
    try:
        made = uncertain_result(found, metric, metric, lambda value: value, seed)
    except MemgrainError as error:
        return {**dict.fromkeys(ENDS), "rests_on": str(error)}
    ends = made.combined.low, made.combined.median, made.combined.high
    return {**dict(zip(ENDS, ends, strict=True)), "rests_on": "; ".join([*made.notes, *notes_of(found)])}


def _line(sweep: Sweep, point: Point, row: Row, metric: str, interval: Mapping[str, Any]) -> dict[str, Any]:
    nominal = row.get(metric)
    return {
        "id": row["id"],
        "chip": row["chip"],
        "workload": row["workload"],
        **{key: value for key, value in point.overrides.items() if key in sweep.grid},
        "metric": metric,
        "usual": nominal if isinstance(nominal, int | float) else None,
        **interval,
    }
