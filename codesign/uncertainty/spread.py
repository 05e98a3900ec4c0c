"""What uncertain numbers and the model's own error make of a result: medians and intervals from 5 to 95 %."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from codesign.errors import CodesignError
from codesign.uncertainty.error import OF_TIME, ModelError, model_error
from codesign.uncertainty.sampling import Sampled

LEVELS = (0.05, 0.5, 0.95)
"""Quantiles of an interval."""
ERRORS = 20_000
"""Draws of the model's error, spread over the draws of the numbers; a quantile of it is then good to 1 %."""
OUTSIDE = "the chip's own numbers lie near ends of their ranges, so that its figure lies outside their interval"
"""What is said where the draws leave the usual figure out."""
Combine = Callable[..., NDArray[np.float64]]
"""Makes one figure of an array for each point: a ratio, a difference."""


@dataclass(frozen=True)
class Quantiles:
    """An interval."""

    low: float
    """Nineteen draws of twenty lie above."""
    median: float
    """Half of the draws lie above."""
    high: float
    """Nineteen draws of twenty lie below."""


@dataclass(frozen=True)
class Spread:
    """A figure, and what may be true instead."""

    what: str
    """What the figure is."""
    usual: float
    """With the numbers of the chips' files."""
    assumptions: Quantiles | None
    """With the chips' numbers drawn from their ranges; None if none has one."""
    model: Quantiles | None
    """With the files' numbers, but the model off as it was in validation; None if that is not known of any point."""
    combined: Quantiles
    """With both, independent of each other."""
    draws: NDArray[np.float64]
    """The draws of both."""
    notes: tuple[str, ...]
    """For each point, what validation says; and whether the interval leaves the usual figure out."""

    def within(self, low: float, high: float) -> float:
        """The share of draws from `low` to `high`."""
        return float(np.mean((low <= self.draws) & (self.draws <= high)))

    def decides(self, low: float, high: float) -> bool | None:
        """Whether the figure lies from `low` to `high`: True if all of the interval does, False if none, else None.

        The usual figure counts as a part of the interval, so that nothing is decided against the files' own numbers.
        """
        first, last = min(self.combined.low, self.usual), max(self.combined.high, self.usual)
        if low <= first and last <= high:
            return True
        return False if last < low or high < first else None


def spread(sampled: Sampled, metric: str, what: str, combine: Combine, seed: int = 0) -> Spread:
    """The spread of a metric of one point, or of what `combine` makes of those of several.

    Raises CodesignError if no number has a range and no family was validated: then nothing says how wide it is.
    """
    known = [model_error(point, metric) for point in sampled.points]
    return spread_of(
        what,
        sampled.usual_values(metric),
        sampled.values(metric),
        [error for error, _ in known],
        OF_TIME.get(metric, 0),
        combine,
        [note for _, note in known],
        [point.chip.name for point in sampled.points],
        seed,
    )


def spread_of(
    what: str,
    usual: NDArray[np.float64],
    drawn: NDArray[np.float64],
    errors: Sequence[ModelError | None],
    power: int,
    combine: Combine,
    notes: Sequence[str],
    chips: Sequence[str],
    seed: int = 0,
) -> Spread:
    """The spread of what `combine` makes of values of points: `usual` with the chips' own numbers, and `drawn`, a row
    for each draw; a point's value goes with that power of its time, which is off by its one of `errors`.

    `notes` say what is known of each point's error, `chips` where it runs. Raises CodesignError as `spread` does.
    """
    if not len(drawn) and not any(errors):
        raise CodesignError(
            f"no number of {', '.join(dict.fromkeys(chips))} has a range and none of the model's error is known, so "
            f"there is no interval; {notes[0]}; give numbers a range in the YAML"
        )
    usual = usual[np.newaxis]
    combined = _combined(drawn if len(drawn) else usual, errors, power, combine, seed)
    figure, said = float(_columns(usual, combine)[0]), dict.fromkeys(notes)
    assumptions = _quantiles(_columns(drawn, combine)) if len(drawn) else None
    if assumptions and not assumptions.low <= figure <= assumptions.high:
        said[OUTSIDE] = None
    return Spread(
        what,
        figure,
        assumptions,
        _quantiles(_combined(usual, errors, power, combine, seed)) if any(errors) else None,
        _quantiles(combined),
        combined,
        tuple(said),
    )


def _combined(
    values: NDArray[np.float64], errors: Sequence[ModelError | None], power: int, combine: Combine, seed: int
) -> NDArray[np.float64]:
    """What the values make with errors of the model, each taken several times with other errors."""
    if not any(errors):
        return _columns(values, combine)
    times = -(-ERRORS // len(values))
    levels = qmc.LatinHypercube(len(errors), seed=np.random.default_rng([seed, 1])).random(times * len(values))
    spread_out = np.repeat(values, times, axis=0)
    for place, error in enumerate(errors):
        if error is not None:
            spread_out[:, place] *= error.factors(levels[:, place]) ** power
    return _columns(spread_out, combine)


def _columns(values: NDArray[np.float64], combine: Combine) -> NDArray[np.float64]:
    found = combine(*values.T)
    if not np.isfinite(found).all():
        raise CodesignError("a ratio to 0 is no number; compare by a difference, or choose another metric")
    return found


def _quantiles(values: NDArray[np.float64]) -> Quantiles:
    return Quantiles(*(float(value) for value in np.quantile(values, LEVELS)))
