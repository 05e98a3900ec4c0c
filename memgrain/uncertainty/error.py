"""The model's own error: how measured times lie about predicted ones, as far as validation rows tell.

The logarithm of measured / predicted time of a point is normal; `memgrain.runs.validated.law` has its mean (the bias of
the rows that come closest) and its standard deviation, which grows with each property of the point that no row shares.
Errors of two points share the parts of the properties that they have in common, so these cancel in a ratio.
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
"""Metrics that are a power of the time, times what is known exactly; the error of the time is theirs too."""


def model_error(points: Sequence[Point], times: Sequence[float], metric: str) -> tuple[Joint | None, list[str]]:
    """The errors of these points' predicted times (us), and for each point a sentence on what they rest on; None for a
    metric that is no matter of time."""
    notes = [note_of(point) for point in points]
    if metric not in OF_TIME:
        return None, [f"{note}; that is an error of times, so none is counted for {metric}" for note in notes]
    subjects = [replace(point.subject(), predicted_us=time) for point, time in zip(points, times, strict=True)]
    return law().joint(subjects), notes


def note_of(point: Point) -> str:
    """On what evidence the error of a point rests."""
    return f"{point.workload.name} on {point.chip.name}: {point.trust().sentence}"


def factors(errors: Joint, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measured / predicted times, a row for each row of `levels`, which are uniform in 0 to 1, a column a point."""
    root = np.linalg.cholesky(errors.covariance)
    return np.asarray(np.exp(errors.mean + ndtri(levels) @ root.T))
