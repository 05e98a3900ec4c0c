"""A result under uncertain parameters and the model's own error: medians and intervals from 5 to 95 %."""

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
"""Number of draws of the model's error, distributed over the draws of the parameters; quantiles are then accurate to 1
%."""
OUTSIDE = "the chip's own numbers lie near ends of their ranges, so that its figure lies outside their interval"
"""Note if the interval of the draws excludes the nominal figure."""
Combine = Callable[..., NDArray[np.float64]]
"""Combines one array per point into one figure, such as a ratio or a difference."""


@dataclass(frozen=True)
class Quantiles:
    """An interval of a distribution."""

    low: float
    """5 % quantile."""
    median: float
    """50 % quantile."""
    high: float
    """95 % quantile."""


@dataclass(frozen=True)
class UncertainResult:
    """A figure and its distribution."""

    what: str
    """Name of the figure."""
    nominal: float
    """The figure with nominal parameters."""
    assumptions: Quantiles | None
    """The interval over draws of the chips' parameters; None if none has a range."""
    model: Quantiles | None
    """The interval over the model's validated error with nominal parameters, bias included; None if the figure does not
    depend on time."""
    combined: Quantiles
    """The interval over both, independent of each other."""
    draws: NDArray[np.float64]
    """The draws over both."""
    notes: tuple[str, ...]
    """The evidence of each point's error, and a note if the interval excludes the nominal figure."""

    def within(self, low: float, high: float) -> float:
        """The fraction of draws from `low` to `high`."""
        return float(np.mean((low <= self.draws) & (self.draws <= high)))

    def decides(self, low: float, high: float) -> bool | None:
        """Whether the figure lies from `low` to `high`: True if all of the interval does, False if none, else None.

        The nominal figure counts as part of the interval, so that nothing is decided against the nominal parameters.
        """
        first, last = min(self.combined.low, self.nominal), max(self.combined.high, self.nominal)
        if low <= first and last <= high:
            return True
        return False if last < low or high < first else None


def uncertain_result(
    sampled: SampledPoints, metric: str, what: str, combine: Combine, seed: int = 0
) -> UncertainResult:
    """The uncertain result of a metric of one point, or of `combine` applied to the metric of several.

    Raises MemgrainError if no parameter has a range and the metric does not depend on time: then there is no interval.
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
    """The uncertain result of `combine` applied to the values of points. `nominal` are the values with nominal
    parameters, `drawn` those of the draws (one row per draw). A point's value is proportional to its time to `power`,
    and `errors` is the joint law of the errors of the times, None if the values do not depend on time.

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
    figure, remarks = float(_columns(nominal, combine)[0]), dict.fromkeys(notes)
    assumptions = _quantiles(_columns(drawn, combine)) if len(drawn) else None
    if assumptions and not assumptions.low <= figure <= assumptions.high:
        remarks[OUTSIDE] = None
    return UncertainResult(
        what,
        figure,
        assumptions,
        _quantiles(_combined(nominal, errors, power, combine, seed)) if errors is not None else None,
        _quantiles(combined),
        combined,
        tuple(remarks),
    )


def _combined(
    values: NDArray[np.float64], errors: Joint | None, power: int, combine: Combine, seed: int
) -> NDArray[np.float64]:
    """The combined figure of the values under model errors; each value is used several times with different errors."""
    if errors is None:
        return _columns(values, combine)
    times = -(-ERRORS // len(values))
    cube = qmc.LatinHypercube(values.shape[1], seed=np.random.default_rng([seed, 1]))
    levels = cube.random(times * len(values))
    return _columns(np.repeat(values, times, axis=0) * factors(errors, levels) ** power, combine)


def _columns(values: NDArray[np.float64], combine: Combine) -> NDArray[np.float64]:
    found = combine(*values.T)
    if not np.isfinite(found).all():
        raise MemgrainError("a ratio to 0 is undefined; compare by a difference, or choose another metric")
    return found


def _quantiles(values: NDArray[np.float64]) -> Quantiles:
    return Quantiles(*(float(value) for value in np.quantile(values, LEVELS)))
