"""Simulate points on draws of their chips' uncertain parameters: a Latin hypercube, each draw common to all points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Provenance, read_chip
from memgrain.runs.execute import run_points
from memgrain.runs.labels import check_metric
from memgrain.runs.options import Progress, RunOptions
from memgrain.runs.pool import Job
from memgrain.runs.rows import Row, read_rows
from memgrain.runs.task import Files, Point, Task
from memgrain.runs.tune import tune_tasks
from memgrain.sim import METRICS
from memgrain.uncertainty.hypercube import Draw, Drawable, Hypercube, P
from memgrain.uncertainty.parameters import uncertain_parameters

SAMPLES = 100
"""Default number of draws: five lie beyond each end of an interval from 5 to 95 %."""
MAX_DRAWS = 50
"""Maximum number of draws per wanted one, before the search for valid parameters is given up."""
RunPoints = Callable[[Sequence[P]], tuple[dict[str, Row], list[str]]]
"""Runs points; returns their rows by id, and a line for each point that the simulator refuses."""


@dataclass(frozen=True)
class SampledPoints:
    """Results of points with nominal parameters and on draws; the n-th draw is common to all points."""

    points: tuple[Point, ...]
    """The points with nominal parameters."""
    nominal: tuple[Row, ...]
    """Rows of the nominal points."""
    draws: tuple[tuple[Row, ...], ...] = ()
    """For each draw, the row of each point; empty if nothing is uncertain."""
    numbers: tuple[Provenance, ...] = ()
    """The drawn parameters."""
    refused: int = 0
    """Number of draws that a chip or a run refused; others replaced them."""
    never: tuple[str, ...] = ()
    """Alternatives (texts, truth values, powers of two) that are in no draw and are refused on their own too, such as
    'l2.partitions=2'."""

    def nominal_values(self, metric: str) -> NDArray[np.float64]:
        """The nominal metric of each point."""
        return np.array([value_of(row, metric) for row in self.nominal])

    def values(self, metric: str) -> NDArray[np.float64]:
        """The metric on each draw (rows) of each point (columns)."""
        found = [[value_of(row, metric) for row in rows] for rows in self.draws]
        return np.array(found).reshape(len(self.draws), len(self.points))


@dataclass(frozen=True)
class Drawn:
    """Results on draws."""

    draws: tuple[tuple[Row, ...], ...] = ()
    """For each draw, the row of each point."""
    numbers: tuple[Provenance, ...] = ()
    """The drawn parameters."""
    refused: int = 0
    """See `SampledPoints`."""
    never: tuple[str, ...] = ()
    """See `SampledPoints`."""


def sample(
    tasks: Sequence[Task],
    options: RunOptions = RunOptions(),
) -> SampledPoints:
    """Simulate tasks with nominal parameters and on draws of them, SAMPLES unless `options` has another number.

    A parameter with the same value, range and source in the files of two tasks is one parameter: tasks on one chip, or
    on chips of one family, share its draws. A draw that a chip or a run refuses is replaced. Raises MemgrainError if
    too few draws are accepted or a task fails with nominal parameters.
    """
    with options.folder() as folder:
        tasks = tune_tasks(tasks, folder, options)
        nominal, files = tuple(task.resolve() for task in tasks), Files()
        first, found = draw_together(
            [drawable(task, files) for task in tasks],
            nominal,
            options.draws(SAMPLES),
            options.seed,
            lambda points: answers(points, folder, options),
        )
    return SampledPoints(nominal, first, found.draws, found.numbers, found.refused, found.never)


def draw_together(
    drawables: Sequence[Drawable[P]], nominal: Sequence[P], samples: int, seed: int, answer: RunPoints[P]
) -> tuple[tuple[Row, ...], Drawn]:
    """The rows of `nominal`, and the rows of all of `drawables` on `samples` draws that all of them accept; see
    `sample`."""
    cube = Hypercube(drawables, seed)
    if not cube.columns:
        return _all(nominal, *(answer(nominal) if nominal else ({}, []))), Drawn()
    kept: list[Draw[P]] = []
    rows: dict[str, Row] = {}
    first: tuple[Row, ...] = ()
    while len(kept) < samples:
        draws = cube.together(samples - len(kept), MAX_DRAWS * samples)
        found, failures = answer([*(() if kept else nominal), *(point for draw in draws for point in draw.points)])
        rows |= found
        first = _all(nominal, rows, failures)
        kept += [draw for draw in draws if all(point.id() in rows for point in draw.points)]
    rows_of_draws = tuple(tuple(rows[point.id()] for point in draw.points) for draw in kept)
    return first, Drawn(rows_of_draws, tuple(cube.columns), cube.drawn - samples, cube.never(kept))


def drawable(task: Task, files: Files) -> Drawable[Point]:
    """A task to draw; `files` caches what has been read."""
    return Drawable(
        tuple(uncertain_parameters(read_chip(task.chip, task.chip_set), task.chip_set)),
        lambda numbers: with_numbers(task, numbers).resolve(files),
    )


def notes_of(found: SampledPoints | Drawn) -> list[str]:
    """The draws in sentences."""
    if not found.numbers:
        return ["no number of the chip has a range; its numbers are taken for exact"]
    again = f"; {found.refused} were refused by chip or run and drawn again" if found.refused else ""
    notes = [f"{len(found.draws)} draws of {len(found.numbers)} numbers with a range{again}"]
    return [*notes, f"never admitted: {', '.join(found.never)}"] if found.never else notes


def with_numbers(task: Task, numbers: dict[str, Any]) -> Task:
    """The task with these parameters of the chip set in addition."""
    return Task(task.chip, {**task.chip_set, **numbers}, task.workload, task.workload_set, task.before, task.tune)


def answers(points: Sequence[Job], folder: Path, options: RunOptions) -> tuple[dict[str, Row], list[str]]:
    """Run points; returns their rows by id, and a line for each refused point, which the progress does not report."""
    outcome = run_points(points, [], folder, replace(options, progress=_WithoutFailures(options.progress)))
    return {row["id"]: row for row in read_rows(outcome.path) if row["id"] in outcome.ids}, outcome.failures


def check_figure(metric: str) -> None:
    """Raise MemgrainError, before anything is simulated, if a name is neither a numeric metric nor a counter."""
    if "." not in metric:
        check_metric(metric, [name for name, known in METRICS.items() if known.unit != "name"])


def value_of(row: Row, metric: str) -> float:
    """A metric of a row. Raises MemgrainError if the row lacks it or it is not a number."""
    check_metric(metric, row)
    value = row[metric]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MemgrainError(f"{metric} is {value!r} on {row['chip']}, not a number; choose another metric")
    return float(value)


def _all(points: Sequence[Job], rows: dict[str, Row], failures: Sequence[str]) -> tuple[Row, ...]:
    """The rows of all points. Raises MemgrainError with the first failure of one of them."""
    for point in points:
        if point.id() not in rows:
            raise MemgrainError(
                next((line for line in failures if line.startswith(f"{point}: ")), f"{point}: no answer")
            )
    return tuple(rows[point.id()] for point in points)


class _WithoutFailures:
    """Passes on all events but failures: the caller tries numbers that may not fit, and handles the refusals."""

    def __init__(self, progress: Progress) -> None:
        self.start, self.done, self.warn = progress.start, progress.done, progress.warn

    def failed(self, message: str) -> None:
        """Do nothing."""
