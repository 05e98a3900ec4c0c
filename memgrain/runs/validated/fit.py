"""Standard deviations of the parts of an error, estimated from measured rows; and whether intervals then hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import ndtri

from memgrain.runs.validated.evidence import Evidence
from memgrain.runs.validated.law import PARTS, ROW, ROW_SOURCES, SHARED, SIZE, Cells, Parts, largest
from memgrain.runs.validated.subject import Subject

START = 0.05
"""Standard deviation at which the search begins, of every part."""
LEAST, NONE = 1e-4, 2e-4
"""Standard deviation at which the search ends, and below which a part counts as none."""
HIGH = 0.95
"""Level of the upper end of an interval; the lower one lies as far from the middle."""
Floats = NDArray[np.float64]


def estimate(rows: Sequence[Evidence]) -> dict[str, float]:
    """Standard deviations by restricted maximum likelihood."""
    cells = Cells.of(rows)
    matrices = [_matrix(cells, part, largest(rows)) for part in PARTS]
    noises = [
        np.diag(matrix) * cells.counts if part in (ROW, ROW_SOURCES) else 0.0 * cells.counts
        for part, matrix in zip(PARTS, matrices, strict=True)
    ]

    def loss(logs: Floats) -> tuple[float, Floats]:
        """Twice the negative logarithm of the restricted likelihood, and its gradient."""
        variances = np.exp(2 * logs)
        factor = cho_factor(sum(v * m for v, m in zip(variances, matrices, strict=True)), lower=True)
        inverse = cho_solve(factor, np.eye(len(cells.means)))
        ones = inverse.sum(axis=1)
        project = inverse - np.outer(ones, ones) / ones.sum()
        image = project @ cells.means
        noise = sum(v * n for v, n in zip(variances, noises, strict=True))
        within = ((cells.counts - 1) * np.log(noise) + cells.squares / noise).sum()
        size = 2 * np.log(np.diag(factor[0])).sum() + np.log(ones.sum()) + cells.means @ image + within
        steepness = (cells.counts - 1) / noise - cells.squares / noise**2
        slope = [
            2 * v * (np.sum(project * m) - image @ m @ image + (steepness * n).sum())
            for v, m, n in zip(variances, matrices, noises, strict=True)
        ]
        return float(size), np.array(slope)

    bounds = [(np.log(LEAST), 0.0)] * len(PARTS)
    found = minimize(loss, np.full(len(PARTS), np.log(START)), jac=True, method="L-BFGS-B", bounds=bounds)
    deviations = np.exp(found.x)
    told = [matrix.min() < matrix.max() for matrix in matrices]  # of a part that no row has, or that all share, no more
    return {part: float(x) if x > NONE and one else 0.0 for part, x, one in zip(PARTS, deviations, told, strict=True)}


def coverage(
    rows: Sequence[Evidence], deviations: dict[str, float], left_out: Callable[[Subject], object]
) -> tuple[int, float, float]:
    """How intervals do where rows are predicted from those that differ from them in `left_out`: how many groups were
    left out in turn, the share of rows within their interval from 5 to 95 %, and the median of its upper end over its
    lower one.

    With P the projected inverse of the covariance, rows B predicted from all others are off by inv(P_BB) (P y)_B, whose
    covariance is inv(P_BB).
    """
    subjects, parts = [row.subject for row in rows], Parts(deviations, largest(rows))
    inverse = np.linalg.inv(parts.covariance(subjects, subjects) + np.diag(parts.noise(subjects)))
    ones = inverse.sum(axis=1)
    project = inverse - np.outer(ones, ones) / ones.sum()
    image = project @ np.array([row.log_factor for row in rows])
    groups: dict[object, list[int]] = {}
    for place, subject in enumerate(subjects):
        groups.setdefault(left_out(subject), []).append(place)
    inside: list[bool] = []
    widths: list[float] = []
    for own in groups.values():
        covariance = np.linalg.inv(project[np.ix_(own, own)])
        spans = ndtri(HIGH) * np.sqrt(np.diag(covariance))
        inside += list(np.abs(covariance @ image[own]) <= spans)
        widths += list(np.exp(2 * spans))
    return len(groups), float(np.mean(inside)), float(np.median(widths))


def _matrix(cells: Cells, part: str, reach: int) -> Floats:
    """Covariance of the cells' means if that part alone had a standard deviation, of 1."""
    alone = Parts(dict.fromkeys(PARTS, 0.0) | {part: 1.0}, reach)
    if part in SHARED or part == SIZE:
        return alone.covariance(cells.subjects, cells.subjects)
    return np.diag(alone.noise(cells.subjects) / cells.counts)
