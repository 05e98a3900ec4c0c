"""The x axis of a swept key: positions of its values, numeric where they are quantities, and ticks that do not
overlap."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from memgrain.runs.labels import key_label, words
from memgrain.runs.quantities import numbers

DECADE = 10.0
"""An axis is logarithmic if its largest value is at least this many times its smallest."""
EVENER = 1.5
"""A logarithmic axis is also chosen if the closest two values lie this many times farther apart on it than on a linear
axis."""
ROOM = 0.06
"""Margin at either end of an axis, as a fraction of the values' span."""
LETTER = 0.12
"""Width of one character of a tick label in inches, including its share of the gap between labels."""


def wide(values: list[float]) -> bool:
    """Whether a logarithmic axis suits the numbers: they span a decade, or are spaced more evenly on it (powers of
    two)."""
    low, high = min(values), max(values)
    if low <= 0 or low == high:
        return False
    return high >= DECADE * low or _closest(np.log(values)) >= EVENER * _closest(np.array(values))


def log_ticks(axis: Axis) -> None:
    """Set ticks of a logarithmic axis at 1, 2 and 5 times powers of ten, labelled with plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_locator(NullLocator())


def _closest(values: NDArray[np.float64]) -> float:
    """The smallest distance between two of the numbers, as a fraction of their span."""
    return float(np.diff(np.unique(values)).min() / np.ptp(values))


def along(axis: Axes, key: str, values: list[Any], inches: float) -> tuple[list[float], int]:
    """Place the values of a key, in the given order, along an x axis that is `inches` wide, and label them.

    Returns the position of each value and how many of them, from the first on, a line may join. Quantities of one kind
    get a numeric scale, logarithmic if their range is wide, and all of them may be joined. Other values are spaced
    equally, and only the leading numbers among them may be joined.
    """
    found = numbers(values)
    at = list(map(float, range(len(values)))) if found is None else found
    joined = len(values) if found is not None else _leading(values)
    log = found is not None and wide(found)
    if log:
        axis.set_xscale("log")
        axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(*_ends(at, log))
    _ticks(axis, at, [words(key, value) for value in values], log, inches)
    axis.set_xlabel(key_label(key))
    return at, joined


def _ends(at: list[float], log: bool) -> tuple[float, float]:
    """Limits of an axis with a margin for the markers at both ends."""
    low, high = (np.log(end) if log else end for end in (min(at), max(at)))
    room = ROOM * (high - low) or 0.5
    ends = low - room, high + room
    return (float(np.exp(ends[0])), float(np.exp(ends[1]))) if log else ends


def _leading(values: list[Any]) -> int:
    """Number of leading values that are quantities of one kind."""
    return max((count for count in range(len(values) + 1) if numbers(values[:count]) is not None), default=0)


def _ticks(axis: Axes, at: list[float], texts: list[str], log: bool, inches: float) -> None:
    """Set a tick for each value. A label that would overlap another is omitted; the last value always has its label."""
    scaled = np.log(at) if log else np.array(at)
    span = float(np.ptp(scaled)) or 1.0
    x = (scaled - scaled.min()) / span * inches
    shown: list[int] = []
    for index in [len(at) - 1, *range(len(at) - 1)]:
        half = LETTER * len(texts[index]) / 2
        if all(abs(x[index] - x[other]) >= half + LETTER * len(texts[other]) / 2 for other in shown):
            shown.append(index)
    axis.set_xticks(at, [text if index in shown else "" for index, text in enumerate(texts)])
