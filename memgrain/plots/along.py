"""Values of a key along x: where they lie, as numbers if they are some, and ticks that do not lie on each other."""

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
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""
EVENER = 1.5
"""How much farther apart the closest two values must lie on a logarithmic axis, so that it is chosen."""
ROOM = 0.06
"""Room at either end of an axis, as a share of the values' span."""
LETTER = 0.12
"""Width of a letter of a tick in inches, with its share of the space between two."""


def wide(values: list[float]) -> bool:
    """Whether a logarithmic axis shows numbers best: they span a decade, or lie more evenly on it, as powers of two."""
    low, high = min(values), max(values)
    if low <= 0 or low == high:
        return False
    return high >= DECADE * low or _closest(np.log(values)) >= EVENER * _closest(np.array(values))


def log_ticks(axis: Axis) -> None:
    """Ticks of a logarithmic axis at 1, 2 and 5 times powers of ten, as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axis.set_minor_locator(NullLocator())


def _closest(values: NDArray[np.float64]) -> float:
    """The least distance between two of several numbers, as a share of their span."""
    return float(np.diff(np.unique(values)).min() / np.ptp(values))


def along(axis: Axes, key: str, values: list[Any], inches: float) -> tuple[list[float], int]:
    """Put ticks for the values of a key, in the order of an axis, along an axis that is so many inches wide.

    Returns where each value lies, and how many of them, from the first on, a line may join: all where they are
    quantities of one kind, which have a scale of their own, logarithmic where it is wide; else the values lie in equal
    steps and only the numbers among them are joined.
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
    """Ends of an axis with room for the marks at both of its ends."""
    low, high = (np.log(end) if log else end for end in (min(at), max(at)))
    room = ROOM * (high - low) or 0.5
    ends = low - room, high + room
    return (float(np.exp(ends[0])), float(np.exp(ends[1]))) if log else ends


def _leading(values: list[Any]) -> int:
    """How many values from the first on are quantities of one kind."""
    return max((count for count in range(len(values) + 1) if numbers(values[:count]) is not None), default=0)


def _ticks(axis: Axes, at: list[float], texts: list[str], log: bool, inches: float) -> None:
    """A tick for each value, its text where that does not reach into the one before; the last always has one."""
    places = np.log(at) if log else np.array(at)
    span = float(np.ptp(places)) or 1.0
    x = (places - places.min()) / span * inches
    shown: list[int] = []
    for place in [len(at) - 1, *range(len(at) - 1)]:
        half = LETTER * len(texts[place]) / 2
        if all(abs(x[place] - x[other]) >= half + LETTER * len(texts[other]) / 2 for other in shown):
            shown.append(place)
    axis.set_xticks(at, [text if place in shown else "" for place, text in enumerate(texts)])
