"""A metric of several points, and the interval of a figure computed from it: over draws of the chips' uncertain
parameters and the model's error, or a single value if nothing is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memgrain.claims.interval import ValueInterval
from memgrain.claims.options import ExperimentOptions
from memgrain.errors import MemgrainError
from memgrain.runs.execute import run_points
from memgrain.runs.rows import read_rows
from memgrain.runs.task import Point, Task
from memgrain.runs.tune import tune_tasks
from memgrain.uncertainty import sample, uncertain_result
from memgrain.uncertainty.uncertain_result import Combine


def values_of(points: Sequence[Point], metric: str, options: ExperimentOptions) -> NDArray[np.float64]:
    """The metric of each point. Raises MemgrainError if a point fails or its row has no such number."""
    outcome = run_points(points, [], options.folder, options.run)
    if outcome.failures:
        raise MemgrainError(outcome.failures[0])
    rows = {row["id"]: row for row in read_rows(outcome.path) if row["id"] in outcome.ids}
    values = [rows[point.id()].get(metric) for point in points]
    if not all(isinstance(value, int | float) for value in values):
        raise MemgrainError(f"these rows have no number '{metric}'; name a metric or counter that all of them have")
    return np.array(values, float)


def interval_of(
    tasks: Sequence[Task], metric: str, combine: Combine, options: ExperimentOptions
) -> tuple[ValueInterval, str]:
    """`combine` applied to the metric of each task, with an interval of nine draws in ten, and the basis of the
    interval."""
    tasks = tune_tasks(tasks, options.folder, options.run)
    if not options.draw:
        values = values_of([task.resolve() for task in tasks], metric, options)
        return ValueInterval.of(float(combine(*values[:, np.newaxis])[0])), "numbers of the chips as they are told"
    found = uncertain_result(sample(tasks, options.placed), metric, metric, combine, options.run.seed)
    return ValueInterval.of(found.nominal, (found.combined.low, found.combined.high)), "; ".join(found.notes)
