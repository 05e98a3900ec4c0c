"""Attention mass that a selection recalls: the share of the probability of a step that falls on what was selected.

Floats are [head, step, token], zero past a step's own token. A step t sees `seen[t]` tokens. A budget is a share
of them; where it ends within a token or page, that part of its mass counts, so that a mean over steps is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Counts = NDArray[np.int64]

SINKS = 4
"""First tokens that a window keeps, as in StreamingLLM (Xiao et al., 2309.17453)."""


def shared(probabilities: Floats, heads: int) -> Floats:
    """The mean of every `heads` neighbouring heads, [lists, step, token]: what a list that they share is chosen by.

    The mass that a list recalls is linear in the probabilities, so the mean of its heads is recalled of their mean.
    """
    _, steps, tokens = probabilities.shape
    mean: Floats = probabilities.reshape(-1, heads, steps, tokens).mean(axis=1)
    return mean


def paged(values: Floats, page: int, highest: bool = False) -> Floats:
    """Sums over aligned pages of `page` tokens along the last axis, the last one short; or, if `highest`, maxima."""
    starts = np.arange(0, values.shape[-1], page)
    found: Floats = (np.maximum if highest else np.add).reduceat(values, starts, axis=-1)
    return found


def recalled(mass: Floats, score: Floats, seen: Counts, unit: int, ratios: Sequence[float]) -> list[float]:
    """Mean mass of the units of highest `score`, by ratio; `mass` and `score` are [list, step, unit].

    nan where some step's budget is less than one unit.
    """
    if score is mass:  # sorting takes a tenth of the time of sorting by something else
        best = -np.sort(-mass, axis=-1)
    else:
        best = np.take_along_axis(mass, np.argsort(-score, axis=-1, kind="stable"), axis=-1)
    gained = np.cumsum(best, axis=-1, dtype=np.float64)
    units = -(-seen // unit)
    return [_at(gained, (ratio * units).astype(np.float64)) for ratio in ratios]


def windowed(probabilities: Floats, seen: Counts, ratios: Sequence[float]) -> list[float]:
    """Mean mass of the first SINKS tokens and the newest ones, by ratio; nan where a budget holds no newest token."""
    tokens = probabilities.shape[-1]
    place = np.arange(tokens)
    # Sinks come first, then the others from the newest back; what a step does not see comes last.
    age = np.where(place < SINKS, place, SINKS + seen[:, None] - 1 - place)
    age = np.where(place < seen[:, None], age, tokens + place)
    order = np.broadcast_to(np.argsort(age, axis=-1), probabilities.shape)
    gained = np.cumsum(np.take_along_axis(probabilities, order, axis=-1), axis=-1, dtype=np.float64)
    return [_at(gained, (ratio * seen).astype(np.float64), SINKS + 1) for ratio in ratios]


def _at(gained: NDArray[np.float64], budget: NDArray[np.float64], least: int = 1) -> float:
    """Mean over lists and steps of running sums [list, step, unit] after `budget` units, a fraction by its part."""
    if budget.min() < least:
        return math.nan
    whole = np.minimum(budget.astype(np.int64), gained.shape[-1])
    steps = np.arange(len(budget))
    low = gained[:, steps, whole - 1]
    high = gained[:, steps, np.minimum(whole, gained.shape[-1] - 1)]
    return float((low + (budget - whole) * (high - low)).mean())
