"""Points simulated on draws of their chips' uncertain numbers: a Latin hypercube, the same draw for every point."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memgrain.errors import CodesignError
from memgrain.hwmodels import Provenance, read_chip
from memgrain.runs.execute import Silent, Watch, run_points
from memgrain.runs.labels import check_metric
from memgrain.runs.pool import Job
from memgrain.runs.rows import Row, read_rows
from memgrain.runs.task import Files, Point, Task
from memgrain.runs.tune import hold
from memgrain.sim import METRICS
from memgrain.uncertainty.hypercube import Draw, Drawable, Hypercube, P
from memgrain.uncertainty.numbers import unknowns

SAMPLES = 100
"""Draws unless another number is asked for: five lie beyond each end of an interval from 5 to 95 %."""
PATIENCE = 50
"""Draws, for each one wanted, after which it is given up to find numbers that a chip admits."""
Answer = Callable[[Sequence[P]], tuple[dict[str, Row], list[str]]]
"""Runs points: their rows by id, and a line for each that the simulator refuses."""


@dataclass(frozen=True)
class Sampled:
    """What points gave with their chips' own numbers and on draws of them; the n-th draw is one for all points."""

    points: tuple[Point, ...]
    """The points, with their chips' own numbers."""
    usual: tuple[Row, ...]
    """Their rows."""
    draws: tuple[tuple[Row, ...], ...] = ()
    """For each draw, the row of each point; none if nothing is uncertain."""
    numbers: tuple[Provenance, ...] = ()
    """What was drawn."""
    refused: int = 0
    """Draws that a chip or a run did not admit; others were drawn in their place."""
    never: tuple[str, ...] = ()
    """Alternatives (texts, truth values, powers of two) that are in no draw and are refused by themselves too, as
    'l2.partitions=2'."""

    def usual_values(self, metric: str) -> NDArray[np.float64]:
        """The metric of each point with its chip's own numbers."""
        return np.array([value_of(row, metric) for row in self.usual])

    def values(self, metric: str) -> NDArray[np.float64]:
        """The metric on each draw (rows) of each point (columns)."""
        found = [[value_of(row, metric) for row in rows] for rows in self.draws]
        return np.array(found).reshape(len(self.draws), len(self.points))


@dataclass(frozen=True)
class Drawn:
    """What draws gave."""

    draws: tuple[tuple[Row, ...], ...] = ()
    """For each draw, the row of each point."""
    numbers: tuple[Provenance, ...] = ()
    """What was drawn."""
    refused: int = 0
    """See `Sampled`."""
    never: tuple[str, ...] = ()
    """See `Sampled`."""


def sample(
    tasks: Sequence[Task],
    samples: int = SAMPLES,
    seed: int = 0,
    out: Path | None = None,
    jobs: int | None = None,
    watch: Watch | None = None,
) -> Sampled:
    """Simulate tasks with their chips' own numbers and on `samples` draws; rows are kept in `out` and not run again.

    A number that the files of two tasks give alike, value, range and source, is one number: tasks on one chip, or on
    chips of one family, see the same draw of it. A draw that a chip or a run refuses is drawn again. Raises
    CodesignError if too few draws are admitted or a task fails with its chip's own numbers.
    """
    if samples < 2:
        raise CodesignError(f"samples is {samples}, must be at least 2; {SAMPLES} give quantiles of 5 and 95 %")
    with tempfile.TemporaryDirectory() as scratch:
        folder = out or Path(scratch)
        tasks = hold(tasks, folder, jobs)
        usual, files = tuple(task.resolve() for task in tasks), Files()
        first, found = draw_together(
            [drawable(task, files) for task in tasks],
            usual,
            samples,
            seed,
            lambda points: answers(points, folder, jobs, watch),
        )
    return Sampled(usual, first, found.draws, found.numbers, found.refused, found.never)


def draw_together(
    asked: Sequence[Drawable[P]], usual: Sequence[P], samples: int, seed: int, answer: Answer[P]
) -> tuple[tuple[Row, ...], Drawn]:
    """The rows of `usual`, and those of all that is asked on `samples` draws that all of it admits; see `sample`."""
    cube = Hypercube(asked, seed)
    if not cube.columns:
        return _all(usual, *(answer(usual) if usual else ({}, []))), Drawn()
    kept: list[Draw[P]] = []
    rows: dict[str, Row] = {}
    first: tuple[Row, ...] = ()
    while len(kept) < samples:
        draws = cube.together(samples - len(kept), PATIENCE * samples)
        found, failures = answer([*(() if kept else usual), *(point for draw in draws for point in draw.points)])
        rows |= found
        first = _all(usual, rows, failures)
        kept += [draw for draw in draws if all(point.id() in rows for point in draw.points)]
    told = tuple(tuple(rows[point.id()] for point in draw.points) for draw in kept)
    return first, Drawn(told, tuple(cube.columns), cube.drawn - samples, cube.never(kept))


def drawable(task: Task, files: Files) -> Drawable[Point]:
    """A task to be drawn of; `files` keeps what has been read."""
    return Drawable(
        tuple(unknowns(read_chip(task.chip, task.chip_set), task.chip_set)),
        lambda numbers: with_numbers(task, numbers).resolve(files),
    )


def notes_of(found: Sampled | Drawn) -> list[str]:
    """What was drawn, in sentences."""
    if not found.numbers:
        return ["no number of the chip has a range; its numbers are taken for exact"]
    again = f"; {found.refused} were refused by chip or run and drawn again" if found.refused else ""
    notes = [f"{len(found.draws)} draws of {len(found.numbers)} numbers with a range{again}"]
    return [*notes, f"never admitted: {', '.join(found.never)}"] if found.never else notes


def with_numbers(task: Task, numbers: dict[str, Any]) -> Task:
    """The task on a chip with these numbers besides what is set already."""
    return Task(task.chip, {**task.chip_set, **numbers}, task.workload, task.workload_set, task.before, task.tune)


def answers(
    points: Sequence[Job], folder: Path, jobs: int | None, watch: Watch | None, cluster: str | None = None
) -> tuple[dict[str, Row], list[str]]:
    """The rows of points by id, and a line for each that the simulator refuses, of which `watch` is not told."""
    outcome = run_points(points, [], folder, jobs, cluster, _Unworried(watch or Silent()))
    return {row["id"]: row for row in read_rows(outcome.path) if row["id"] in outcome.ids}, outcome.failures


def check_figure(metric: str) -> None:
    """Raise CodesignError, before anything is simulated, if a name is neither a number's metric nor a counter."""
    if "." not in metric:
        check_metric(metric, [name for name, known in METRICS.items() if known.unit != "name"])


def value_of(row: Row, metric: str) -> float:
    """A metric of a row; raises CodesignError if it has none or it is no number."""
    check_metric(metric, row)
    value = row[metric]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CodesignError(f"{metric} is {value!r} on {row['chip']}, not a number; choose another metric")
    return float(value)


def _all(points: Sequence[Job], rows: dict[str, Row], failures: Sequence[str]) -> tuple[Row, ...]:
    """The rows of all points; raises CodesignError with the first failure that is one of theirs."""
    for point in points:
        if point.id() not in rows:
            raise CodesignError(
                next((line for line in failures if line.startswith(f"{point}: ")), f"{point}: no answer")
            )
    return tuple(rows[point.id()] for point in points)


class _Unworried:
    """A watch that passes on everything but failures: who asked for numbers that may not fit deals with them."""

    def __init__(self, watch: Watch) -> None:
        self.start, self.done, self.warn = watch.start, watch.done, watch.warn

    def failed(self, message: str) -> None:
        """Nothing."""
