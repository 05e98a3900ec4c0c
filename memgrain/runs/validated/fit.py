"""Estimate the standard deviations of the error components from measured rows, and check the coverage of intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import ndtri

from memgrain.runs.validated.evidence import Evidence
from memgrain.runs.validated.law import BASE, OF_KERNEL, PARTS, TYPE, Float64Array, Parts, largest
from memgrain.runs.validated.subject import Subject

START = 0.05
"""Start value of every component's standard deviation."""
LEAST, NONE = 1e-4, 2e-4
"""Lower bound of a standard deviation in the search, and the value below which a component counts as zero."""
MOST = 3.0
"""Upper bound of a standard deviation in the search."""
HIGH = 0.95
"""Level of the upper end of an interval; the lower end is symmetric."""


def estimate(rows: Sequence[Evidence]) -> dict[str, float]:
    """Standard deviations by restricted maximum likelihood. That of the element type follows from the components that
    distinguish kernels, as long as all rows have types in `BASE`."""
    subjects, logs = [row.subject for row in rows], np.array([row.log_factor for row in rows])
    matrices = [_matrix(subjects, part, largest(rows)) for part in PARTS]
    determined = [
        matrix.min() < matrix.max() for matrix in matrices
    ]  # the rows do not determine a component that none has or that all share

    def loss(guess: Float64Array) -> tuple[float, Float64Array]:
        """Twice the negative log restricted likelihood, and its gradient."""
        variances = np.exp(2 * guess)
        factor = cho_factor(sum(v * m for v, m in zip(variances, matrices, strict=True)), lower=True)
        inverse = cho_solve(factor, np.eye(len(rows)))
        ones = inverse.sum(axis=1)
        project = inverse - np.outer(ones, ones) / ones.sum()
        image = project @ logs
        size = 2 * np.log(np.diag(factor[0])).sum() + np.log(ones.sum()) + logs @ image
        slope = [2 * v * (np.vdot(project, m) - image @ m @ image) for v, m in zip(variances, matrices, strict=True)]
        return float(size), np.array(slope)

    bounds = [(np.log(LEAST), np.log(MOST))] * len(PARTS)
    found = minimize(loss, np.full(len(PARTS), np.log(START)), jac=True, method="L-BFGS-B", bounds=bounds)
    deviations = {
        part: float(x) if x > NONE and one else 0.0
        for part, x, one in zip(PARTS, np.exp(found.x), determined, strict=True)
    }
    if all(subject.dtype in BASE for subject in subjects):
        deviations[TYPE] = math.hypot(*(deviations[part] for part in OF_KERNEL))
    return deviations


def coverage(
    rows: Sequence[Evidence],
    deviations: Mapping[str, float],
    left_out: Callable[[Subject], object],
    below_us: float = math.inf,
) -> tuple[int, float, float]:
    """Coverage of intervals in cross-validation: rows with equal `left_out` form a group and are predicted from all
    other rows. Returns the number of groups, the fraction of rows within their interval from 5 to 95 %, and the median
    ratio of its upper end to its lower end. Only rows with a predicted time below `below_us` count.

    With P the projected inverse of the covariance, rows B predicted from all others have the error inv(P_BB) (P y)_B
    with the covariance inv(P_BB).
    """
    subjects, parts = [row.subject for row in rows], Parts(deviations, largest(rows))
    inverse = np.linalg.inv(parts.covariance(subjects, subjects) + np.diag(parts.noise(subjects)))
    ones = inverse.sum(axis=1)
    project = inverse - np.outer(ones, ones) / ones.sum()
    image = project @ np.array([row.log_factor for row in rows])
    groups: dict[object, list[int]] = {}
    for index, subject in enumerate(subjects):
        groups.setdefault(left_out(subject), []).append(index)
    inside: list[bool] = []
    widths: list[float] = []
    for own in groups.values():
        covariance = np.linalg.inv(project[np.ix_(own, own)])
        spans = ndtri(HIGH) * np.sqrt(np.diag(covariance))
        held, wide = np.abs(covariance @ image[own]) <= spans, np.exp(2 * spans)
        counted = [index for index, row in enumerate(own) if rows[row].predicted_us < below_us]
        inside += list(held[counted])
        widths += list(wide[counted])
    return len(groups), float(np.mean(inside)), float(np.median(widths))


def _matrix(subjects: Sequence[Subject], part: str, reach: int) -> Float64Array:
    """Covariance of rows if `part` is the only component, with a standard deviation of 1."""
    alone = Parts(dict.fromkeys(PARTS, 0.0) | {part: 1.0}, reach)
    return alone.covariance(subjects, subjects) + np.diag(alone.noise(subjects))
