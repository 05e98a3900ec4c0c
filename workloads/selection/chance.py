"""Conversion between overlaps of lists, which are measured, and correlations of the scores that produce the lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
"""Gauss-Hermite quadrature of a normal number."""
BINS_PER_OCTAVE = 3
"""Ages that represent all tokens between them, in each doubling of the age."""
ROUNDS = 4
"""Iterations of the rates' shares; the fourth changes them by less than 0.01."""


class Chances:
    """Chance of units, by age, to be among the `wanted` of `context` units.

    A unit is selected if a standard normal score exceeds minus its level. The level is the normal quantile of the
    chance that `recency` gives for its age, plus a shift that makes the chances sum to `wanted`. Of units older than
    `newest` only the share `pool` can be selected; their chance is raised to compensate.
    """

    def __init__(
        self, recency: Mapping[int, float], context: int, wanted: int, unit: int, newest: int, pool: float
    ) -> None:
        self.known = np.log2(sorted(recency))
        self.quantiles = scipy.special.ndtri(np.clip([recency[age] for age in sorted(recency)], 1e-6, 1 - 1e-6))
        self.unit, self.newest, self.pool, self.shift = unit, newest, pool, 0.0
        octaves = np.log2(context + 1)
        edges = np.unique(np.round(2 ** np.linspace(0, octaves, int(octaves * BINS_PER_OCTAVE) + 2)))
        self.ages = np.sqrt(edges[:-1] * np.maximum(edges[:-1], edges[1:] - 1))
        self.units = np.diff(edges) * np.where(self.ages > newest, pool, 1.0)
        raised, low, high = self.level(self.ages), -12.0, 12.0
        for _ in range(50):
            self.shift = (low + high) / 2
            few = (self.units * scipy.special.ndtr(raised + self.shift)).sum() < wanted
            low, high = (self.shift, high) if few else (low, self.shift)

    def level(self, ages: NDArray[np.floating]) -> Floats:
        """The level of units by age (in units, 1 for the newest); linear in the logarithm between given ages."""
        level = np.interp(np.log2(ages * self.unit), self.known, self.quantiles)
        if self.pool < 1:
            old = ages > self.newest
            level[old] = scipy.special.ndtri(np.minimum(scipy.special.ndtr(level[old]) / self.pool, 0.999))
        found: Floats = level + self.shift
        return found

    def overlap(self, correlation: NDArray[np.floating], lag: int, kept: float, popularity: float) -> Floats:
        """Share of a list that is selected again `lag` steps later, from the correlation of the lasting parts of
        scores.

        It is the sum over ages of P(X > a and Y > b) for two normal numbers, computed as the mean over their common
        part. `kept` and `popularity` as in `amplitude`.
        """
        now, later = self.level(self.ages), self.level(self.ages + lag)
        lasting = amplitude(kept, now, popularity) * amplitude(kept, later, popularity)
        rho = np.clip(np.asarray(correlation)[:, None] * lasting, 0, 1 - 1e-6)[:, :, None]
        shared, own = np.sqrt(rho) * NODES, np.sqrt(1 - rho)
        both = (
            scipy.special.ndtr((now[:, None] + shared) / own) * scipy.special.ndtr((later[:, None] + shared) / own)
        ) @ WEIGHTS
        found: Floats = both @ self.units / np.sqrt(2 * np.pi) / (self.units @ scipy.special.ndtr(now))
        return found

    def shares(self, overlap: Mapping[int, float], constants: Sequence[int], popularity: float) -> Floats:
        """Shares of a score's variance that are redrawn at each period of `constants`; the last share is never redrawn.

        The first period must be 1. `overlap` maps lags to wanted overlaps; for unreachable ones the nearest is used.
        """
        kept, found = 0.8, np.zeros(len(constants) + 1)
        for _ in range(ROUNDS):
            grid = (1 - np.linspace(1, 0, 25) ** 2) / kept**2
            wanted = {
                lag: kept**2 * float(np.interp(share, self.overlap(grid, lag, kept, popularity), grid))
                for lag, share in overlap.items()
            }
            found = rates(wanted, constants)
            kept = float(np.sqrt(np.clip(1 - found[0], 1e-3, 1)))
        return found

    def common(self, overlap: float) -> float:
        """Common share of the scores of two lists with that overlap; the rest is independent."""
        chance = scipy.special.ndtr(self.level(self.ages))
        apart = float((self.units @ chance**2) / (self.units @ chance))
        return float(np.clip((overlap - apart) / max(1 - apart, 1e-9), 0, 1))


def amplitude(kept: float | NDArray[np.floating], level: NDArray[np.floating], popularity: float) -> Floats:
    """The factor of the lasting part of a score: `kept` at level 0, nearer to 1 for units that are less likely
    selected.

    With a negative `popularity` it is farther from 1. Its square is the share of the variance.
    """
    found: Floats = np.asarray(kept) ** np.exp(popularity * np.clip(level, -4, 4))
    return found


def rates(wanted: Mapping[int, float], constants: Sequence[int]) -> Floats:
    """Shares with sum 1 whose scores have the correlations `wanted` by lag, by least squares.

    A score that is redrawn every c steps, at a random phase, is unchanged after g steps with probability max(0, 1 - g /
    c).
    """
    lags = np.array(sorted(wanted), float)
    still = np.array([np.maximum(0, 1 - lags / constant) for constant in constants] + [np.ones(len(lags))]).T
    right = [wanted[lag] for lag in sorted(wanted)]
    shares, _ = scipy.optimize.nnls(np.vstack([still, 1e3 * np.ones(still.shape[1])]), np.append(right, 1e3))
    found: Floats = shares / shares.sum()
    return found
