"""The model's own error: how measured times lie about predicted ones, as far as validation rows tell.

Of each family, validated.csv holds the mean of the absolute errors, the one that nine rows of ten stay within, and the
worst. The law taken here has exactly these three and no other feature:

    quantile q of |error|  =  p90 (q / 0.9)^k                            up to q = 0.9
                              p90 + (worst - p90) (q - 0.9) / 0.1        beyond

with the k that gives the mean. A bell curve would not do: it has one width, cannot match three figures, and its tails
would be an invention. Nothing beyond the worst row is assumed, which is too little where a family has few rows; their
number stands beside every interval.

The file does not say which way a family errs, so either sign is as likely; a family that always errs one way gets an
interval that is too wide, not one that is shifted by mistake. An error is predicted / measured - 1, so measured is
predicted / (1 + error); a time cannot be negative, so an error of 1 or more is one of a prediction that is too long.

Errors of two points are drawn independently. Those of one family on one chip will have something in common, which would
cancel in a ratio; as the file does not say how much, an interval of a ratio is at most too wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.task import Point
from codesign.validated import Validated, family, trust

OF_TIME = {"time_us": 1, "effective_bandwidth_gb_s": -1, "effective_bandwidth_share": -1, "tflop_s": -1}
"""Metrics that are a power of the time, times what is known exactly; the error of the time is theirs too."""
BODY = 0.9
"""Share of rows within `Validated.p90`."""


@dataclass(frozen=True)
class ModelError:
    """The error of a family's times on a chip, as a law."""

    found: Validated
    """The figures that it has."""

    def quantile(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Absolute errors, as fractions, that shares `levels` of predictions stay within."""
        p90, worst = self.found.p90, self.found.worst
        tail = p90 + (worst - p90) * (levels - BODY) / (1 - BODY)
        return np.where(levels <= BODY, p90 * (np.minimum(levels, BODY) / BODY) ** self._power(), tail)

    def factors(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Measured / predicted time at `levels`, uniform in 0 to 1: below a half the prediction was too long."""
        size = self.quantile(np.abs(2 * levels - 1))
        sign = np.where((levels < 0.5) | (size >= 1), 1.0, -1.0)
        return 1 / (1 + sign * size)

    def _power(self) -> float:
        """The k that gives the mean error; 0 or more, as p90 is the largest of the body."""
        mean = (self.found.error - (1 - BODY) * (self.found.p90 + self.found.worst) / 2) / BODY
        return max(self.found.p90 / mean - 1, 0.0) if mean > 0 else np.inf


def model_error(point: Point, metric: str) -> tuple[ModelError | None, str]:
    """The error that validation found for a metric of this point, and a sentence on what it rests on.

    None for a family that was not validated on the chip and for a metric that is no matter of time. A chip with other
    numbers than the shipped one has the shipped one's error: less is known of it, not more.
    """
    known = trust(point.chip, point.workload, point.before)
    what = f"{family(point.workload)} on {point.chip.name}: {known.sentence}"
    if known.found is None:
        return None, f"{what}, so no model error is counted"
    if metric not in OF_TIME:
        return None, f"{what}; that is an error of times, so none is counted for {metric}"
    return ModelError(known.found), what
