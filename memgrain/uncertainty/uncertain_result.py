"""What uncertain numbers and the model's own error make of a result: medians and intervals from 5 to 95 %."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from memgrain.errors import MemgrainError
from memgrain.runs.validated import Joint
from memgrain.uncertainty.error import OF_TIME, factors, model_error
from memgrain.uncertainty.sampling import SampledPoints

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
class UncertainResult:
    """A figure, and what may be true instead."""

    what: str
    """What the figure is."""
    nominal: float
    """With the numbers of the chips' files."""
    assumptions: Quantiles | None
    """With the chips' numbers drawn from their ranges; None if none has one."""
    model: Quantiles | None
    """With the files' numbers, but the model off as it was in validation, its bias included; None for what is no matter
    of time."""
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
        first, last = min(self.combined.low, self.nominal), max(self.combined.high, self.nominal)
        if low <= first and last <= high:
            return True
        return False if last < low or high < first else None


def uncertain_result(
    sampled: SampledPoints, metric: str, what: str, combine: Combine, seed: int = 0
) -> UncertainResult:
    """The spread of a metric of one point, or of what `combine` makes of those of several.

    Raises MemgrainError if no number has a range and the metric is no matter of time: then nothing says how wide it is.
    """
    errors, notes = model_error(sampled.points, sampled.nominal_values("time_us").tolist(), metric)
    return uncertain_result_of(
        what,
        sampled.nominal_values(metric),
        sampled.values(metric),
        errors,
        OF_TIME.get(metric, 0),
        combine,
        notes,
        [point.chip.name for point in sampled.points],
        seed,
    )


def uncertain_result_of(
    what: str,
    nominal: NDArray[np.float64],
    drawn: NDArray[np.float64],
    errors: Joint | None,
    power: int,
    combine: Combine,
    notes: Sequence[str],
    chips: Sequence[str],
    seed: int = 0,
) -> UncertainResult:
    """The spread of what `combine` makes of values of points: `nominal` with the chips' own numbers, and `drawn`, a row
    for each draw; a point's value goes with that power of its time, and `errors` is the joint law of how far these are
    off, None if the values are no matter of time.

    `notes` state what is known about each point's error, `chips` the chip of each point. Raises MemgrainError as
    `uncertain_result` does.
    """
    if not len(drawn) and errors is None:
        raise MemgrainError(
            f"no number of {', '.join(dict.fromkeys(chips))} has a range and the model's error is known of times only, "
            f"so there is no interval of {what}; give numbers a range in the YAML, or choose a time"
        )
    nominal = nominal[np.newaxis]
    combined = _combined(drawn if len(drawn) else nominal, errors, power, combine, seed)
    figure, said = float(_columns(nominal, combine)[0]), dict.fromkeys(notes)
    assumptions = _quantiles(_columns(drawn, combine)) if len(drawn) else None
    if assumptions and not assumptions.low <= figure <= assumptions.high:
        said[OUTSIDE] = None
    return UncertainResult(
        what,
        figure,
        assumptions,
        _quantiles(_combined(nominal, errors, power, combine, seed)) if errors is not None else None,
        _quantiles(combined),
        combined,
        tuple(said),
    )


def _combined(
    values: NDArray[np.float64], errors: Joint | None, power: int, combine: Combine, seed: int
) -> NDArray[np.float64]:
    """What the values make with errors of the model, each taken several times with other errors."""
    if errors is None:
        return _columns(values, combine)
    times = -(-ERRORS // len(values))
    cube = qmc.LatinHypercube(values.shape[1], seed=np.random.default_rng([seed, 1]))
    levels = cube.random(times * len(values))
    return _columns(np.repeat(values, times, axis=0) * factors(errors, levels) ** power, combine)


def _columns(values: NDArray[np.float64], combine: Combine) -> NDArray[np.float64]:
    found = combine(*values.T)
    if not np.isfinite(found).all():
        raise MemgrainError("a ratio to 0 is no number; compare by a difference, or choose another metric")
    return found


def _quantiles(values: NDArray[np.float64]) -> Quantiles:
    return Quantiles(*(float(value) for value in np.quantile(values, LEVELS)))
