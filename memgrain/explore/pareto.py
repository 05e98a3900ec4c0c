"""Pareto front of points with several objectives, and its hypervolume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def front(points: Points) -> NDArray[np.bool_]:
    """Mask of the non-dominated `points` [point, objective]; all objectives are minimised.

    A point is dominated by another that is no worse in any objective and better in at least one. Equal points all stay.
    """
    kept = np.ones(len(points), dtype=bool)
    for index, point in enumerate(points):
        nowhere_worse = (points <= point).all(axis=1)
        somewhere_better = (points < point).any(axis=1)
        kept[index] = not (nowhere_worse & somewhere_better).any()
    return kept


def worst(points: Points) -> Points:
    """The worst value of each objective on the front of `points`, a common reference point of a hypervolume."""
    found: Points = points[front(points)].max(axis=0)
    return found


def hypervolume(points: Points, reference: Sequence[float] | Points) -> float:
    """Volume dominated by `points` [point, objective] up to `reference`; all objectives are minimised.

    The result is exact for any number of objectives. The algorithm slices along the last one (While, Hingston, Barone
    and Huband, IEEE TEC 10 (2006) 29, "hypervolume by slicing objectives"): n log n for two objectives, n^2 log n for
    three, a factor n for each further one. Points that are not better than the reference in every objective add
    nothing.
    """
    limit = np.asarray(reference, dtype=np.float64)
    inside = points[(points < limit).all(axis=1)]
    return _volume(inside, limit)


def _volume(points: Points, limit: Points) -> float:
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(limit[0] - points.min())
    if points.shape[1] == 2:
        return _area(points, limit)
    points = points[front(points)]
    order = np.argsort(points[:, -1], kind="stable")
    points = points[order]
    ends = np.append(points[1:, -1], limit[-1])
    total = 0.0
    for count, (begin, end) in enumerate(zip(points[:, -1], ends, strict=True), 1):
        if end > begin:
            total += float(end - begin) * _volume(points[:count, :-1], limit[:-1])
    return total


def _area(points: Points, limit: Points) -> float:
    """The volume for two objectives: the area under a staircase."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    total, ceiling = 0.0, float(limit[1])
    for x, y in points[order].tolist():
        if y < ceiling:
            total += (float(limit[0]) - x) * (ceiling - y)
            ceiling = y
    return total
