"""The model's own error: the distribution of measured ÷ predicted time, estimated from validation rows.

The logarithm of measured / predicted time of a point is normally distributed. `memgrain.runs.validated.law` gives its
mean (the bias of the closest rows) and its standard deviation, which grows with each property of the point that no row
shares. Errors of two points share the components of their common properties, which cancel in a ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from memgrain.runs.task import Point
from memgrain.runs.validated import Joint, law

OF_TIME = {"time_us": 1, "effective_bandwidth_gb_s": -1, "effective_bandwidth_share": -1, "tflop_s": -1}
"""Metrics that are a power of the time times an exactly known factor, with that power. They inherit the error of the
time."""


def model_error(points: Sequence[Point], times: Sequence[float], metric: str) -> tuple[Joint | None, list[str]]:
    """The joint error law of these points with predicted `times` (us), and for each point a sentence on its evidence.
    The law is None for a metric that does not depend on time."""
    notes = [note_of(point) for point in points]
    if metric not in OF_TIME:
        return None, [f"{note}; that is an error of times, so none is counted for {metric}" for note in notes]
    subjects = [replace(point.subject(), predicted_us=time) for point, time in zip(points, times, strict=True)]
    return law().joint(subjects), notes


def note_of(point: Point) -> str:
    """The sentence on the evidence for the error of a point."""
    return f"{point.workload.name} on {point.chip.name}: {point.trust().sentence}"


def factors(errors: Joint, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draws of measured / predicted time: one row per row of `levels` (uniform in 0 to 1), one column per point."""
    root = np.linalg.cholesky(errors.covariance)
    return np.asarray(np.exp(errors.mean + ndtri(levels) @ root.T))
