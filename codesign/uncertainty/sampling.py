"""Points simulated on draws of their chips' uncertain numbers: a Latin hypercube, the same draw for every point."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from codesign.errors import CodesignError
from codesign.execute import DOMAIN, Silent, Watch, run_points
from codesign.labels import check_metric
from codesign.provenance import with_unit
from codesign.rows import Row, read_rows
from codesign.task import Files, Point, Task
from codesign.uncertainty.numbers import Unknown, unknowns
from hwmodels import Provenance, read_chip
from sim import METRICS

SAMPLES = 100
"""Draws unless another number is asked for: five lie beyond each end of an interval from 5 to 95 %."""
PATIENCE = 50
"""Draws, for each one wanted, after which it is given up to find numbers that a chip admits."""


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


@dataclass
class _Draw:
    """One draw: what it sets, and the points with it."""

    settings: dict[str, Any]
    points: list[Point]


@dataclass
class _Hat:
    """Where draws come from: one column for each number, shared by all tasks whose files give it alike."""

    tasks: Sequence[Task]
    own: list[list[Unknown]]
    """Uncertain numbers of each task."""
    columns: dict[Provenance, int]
    engine: Any
    files: Files = field(default_factory=dict)
    drawn: int = 0
    """Draws so far."""
    tried: set[tuple[str, Any]] = field(default_factory=set)
    """Names and values of alternatives drawn so far."""

    def draw(self, wanted: int, limit: int) -> list[_Draw]:
        """Draws that all chips and workloads admit; raises CodesignError beyond `limit` draws."""
        found: list[_Draw] = []
        while len(found) < wanted:
            if self.drawn >= limit:
                raise CodesignError(
                    f"of {self.drawn} draws of {len(self.columns)} numbers too few are chips that run the workload; "
                    "narrow the ranges in the YAML, or fix numbers that depend on one another with --set"
                )
            for quantiles in self.engine.random(wanted - len(found)):
                self.drawn += 1
                draw = self._resolve(quantiles)
                if draw is not None:
                    found.append(draw)
        return found

    def never(self, kept: Sequence[_Draw]) -> tuple[str, ...]:
        """Alternatives that are in no draw of `kept` and that some task refuses by themselves too."""
        passed = {item for draw in kept for item in draw.settings.items()}
        return tuple(
            sorted(f"{path}={with_unit(value)}" for path, value in self.tried - passed if self._refuses(path, value))
        )

    def _refuses(self, path: str, value: Any) -> bool:
        for task, own in zip(self.tasks, self.own, strict=True):
            if any(known.item.path == path for known in own):
                try:
                    with_numbers(task, {path: value}).resolve(self.files)
                except DOMAIN:
                    return True
        return False

    def _resolve(self, quantiles: NDArray[np.float64]) -> _Draw | None:
        settings: dict[str, Any] = {}
        points: list[Point] = []
        for task, own in zip(self.tasks, self.own, strict=True):
            drawn = {known.item.path: known.at(quantiles[self.columns[known.item]]) for known in own}
            self.tried |= {(known.item.path, drawn[known.item.path]) for known in own if known.choices}
            settings |= drawn
            try:
                points.append(with_numbers(task, drawn).resolve(self.files))
            except DOMAIN:
                return None
        return _Draw(settings, points)


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
    usual = tuple(task.resolve() for task in tasks)
    own = [unknowns(read_chip(task.chip, task.chip_set), task.chip_set) for task in tasks]
    columns = {item: place for place, item in enumerate(dict.fromkeys(known.item for each in own for known in each))}
    with tempfile.TemporaryDirectory() as scratch:
        folder = out or Path(scratch)
        if not columns:
            rows, failures = answers(usual, folder, jobs, watch)
            return Sampled(usual, _all(usual, rows, failures))
        hat = _Hat(tasks, own, columns, qmc.LatinHypercube(len(columns), seed=np.random.default_rng(seed)))
        kept: list[_Draw] = []
        rows, failures = {}, []
        while len(kept) < samples:
            draws = hat.draw(samples - len(kept), PATIENCE * samples)
            asked = [*(() if kept else usual), *(point for draw in draws for point in draw.points)]
            found, failures = answers(asked, folder, jobs, watch)
            rows |= found
            first = _all(usual, rows, failures)
            kept += [draw for draw in draws if all(point.id() in rows for point in draw.points)]
    return Sampled(
        usual,
        first,
        tuple(tuple(rows[point.id()] for point in draw.points) for draw in kept),
        tuple(columns),
        hat.drawn - samples,
        hat.never(kept),
    )


def with_numbers(task: Task, numbers: dict[str, Any]) -> Task:
    """The task on a chip with these numbers besides what is set already."""
    return Task(task.chip, {**task.chip_set, **numbers}, task.workload, task.workload_set, task.before, task.fold)


def answers(
    points: Sequence[Point], folder: Path, jobs: int | None, watch: Watch | None
) -> tuple[dict[str, Row], list[str]]:
    """The rows of points by id, and a line for each that the simulator refuses, of which `watch` is not told."""
    outcome = run_points(points, [], folder, jobs, None, _Unworried(watch or Silent()))
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


def _all(points: Sequence[Point], rows: dict[str, Row], failures: Sequence[str]) -> tuple[Row, ...]:
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
