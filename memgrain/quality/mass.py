"""Attention mass that a selection recalls: the fraction of a step's attention probability on the selected tokens.

Arrays are [head, step, token], zero past a step's own token. Step t attends to `seen[t]` tokens. A budget is a fraction
of them. If it ends within a token or page, that fraction of its mass counts, so that a mean over steps is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
TokenCounts = NDArray[np.int64]

SINKS = 4
"""Number of first tokens that a window keeps, as in StreamingLLM (Xiao et al., 2309.17453)."""


def shared(probabilities: Float32Array, heads: int) -> Float32Array:
    """Mean over every `heads` neighbouring heads, [lists, step, token]: the score by which a shared list is selected.

    Recalled mass is linear in the probabilities, so the mass recalled from the mean is the mean over the heads.
    """
    _, steps, tokens = probabilities.shape
    mean: Float32Array = probabilities.reshape(-1, heads, steps, tokens).mean(axis=1)
    return mean


def paged(values: Float32Array, page: int, highest: bool = False) -> Float32Array:
    """Sums (or maxima, if `highest`) over aligned pages of `page` tokens along the last axis; the last page may be
    short."""
    starts = np.arange(0, values.shape[-1], page)
    found: Float32Array = (np.maximum if highest else np.add).reduceat(values, starts, axis=-1)
    return found


def recalled(
    mass: Float32Array, score: Float32Array, seen: TokenCounts, unit: int, ratios: Sequence[float]
) -> list[float]:
    """Mean mass of the units with the highest `score`, for each ratio. `mass` and `score` are [list, step, unit].

    The result is nan where the budget of a step is less than one unit.
    """
    if score is mass:  # a plain sort takes a tenth of the time of an argsort with a gather
        best = -np.sort(-mass, axis=-1)
    else:
        best = np.take_along_axis(mass, np.argsort(-score, axis=-1, kind="stable"), axis=-1)
    gained = np.cumsum(best, axis=-1, dtype=np.float64)
    units = -(-seen // unit)
    return [_at(gained, (ratio * units).astype(np.float64)) for ratio in ratios]


def windowed(probabilities: Float32Array, seen: TokenCounts, ratios: Sequence[float]) -> list[float]:
    """Mean mass of the first SINKS tokens and the newest tokens, for each ratio; nan if a budget leaves no newest
    token."""
    tokens = probabilities.shape[-1]
    index = np.arange(tokens)
    # Order: sinks, then the other tokens from the newest back, then tokens that the step does not see.
    age = np.where(index < SINKS, index, SINKS + seen[:, None] - 1 - index)
    age = np.where(index < seen[:, None], age, tokens + index)
    order = np.broadcast_to(np.argsort(age, axis=-1), probabilities.shape)
    gained = np.cumsum(np.take_along_axis(probabilities, order, axis=-1), axis=-1, dtype=np.float64)
    return [_at(gained, (ratio * seen).astype(np.float64), SINKS + 1) for ratio in ratios]


def _at(gained: NDArray[np.float64], budget: NDArray[np.float64], least: int = 1) -> float:
    """Mean over lists and steps of running sums [list, step, unit] after `budget` units; a fractional unit is
    interpolated."""
    if budget.min() < least:
        return math.nan
    whole = np.minimum(budget.astype(np.int64), gained.shape[-1])
    steps = np.arange(len(budget))
    low = gained[:, steps, whole - 1]
    high = gained[:, steps, np.minimum(whole, gained.shape[-1] - 1)]
    return float((low + (budget - whole) * (high - low)).mean())
