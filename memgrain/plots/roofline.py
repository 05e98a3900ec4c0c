"""A roofline plot: one roof per memory level and per request limit, ceilings of compute units, one point per roof."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from memgrain.analysis.roofline import Roof, Roofline
from memgrain.inputs.quantities import format_bandwidth, format_duration
from memgrain.plots.style import STYLES, new_figure

MARKERS = "osD^vPX<>"
COLOURS = ("#0072b2", "#009e73", "#56b4e9", "#e69f00", "#8c6d31", "#5e3c99", "#666666")
"""Colours of levels, distinguishable with colour blindness (Okabe and Ito, except the last three)."""
REQUESTS = (("#d55e00", (0, (4, 1.2))), ("#cc79a7", (0, (1.2, 1))))
"""Colour and line style of request roofs, which are drawn thicker."""
CEILINGS = (
    *(("0.1", (0, (7, 2))), ("0.45", (0, (2, 1.5))), ("0.3", (0, (5, 1, 1, 1)))),
    *(("0.6", (0, (7, 2, 1, 2))), ("0.2", (0, (1, 2))), ("0.5", (0, (10, 3)))),
)
"""Grey level and line style of each ceiling."""
MOST_TICKS = 12
"""Maximum number of ticks at 1, 2 and 5 times powers of ten; if there were more, only powers of ten are marked."""
LETTERS = 85
"""Characters in a line of the title, which must end before the legend."""
MARGIN = 3.0
"""Factor by which the axes extend beyond points and ridges."""


def roofs(found: Roofline) -> Figure:
    """Draw the roofline. The vertical distance from a point to its roof is the unused capability of that level."""
    figure = new_figure(10.5, 5.0)
    axis = figure.subplots()
    peaks = [ceiling.throughput for ceiling in found.ceilings]
    every = (*found.roofs, *found.requests)
    turns = [min(peaks) / roof.bandwidth for roof in every]
    ends = [found.intensity(roof) for roof in every] + turns
    span = np.geomspace(min(ends) / MARGIN, max(ends) * MARGIN, 256)
    strokes: list[tuple[str, Any, float]] = [
        (COLOURS[index % len(COLOURS)], STYLES[index % len(STYLES)], 1.7) for index in range(len(found.roofs))
    ]
    strokes += [(*REQUESTS[index % len(REQUESTS)], 3.0) for index in range(len(found.requests))]
    for index, (roof, (colour, stroke, width)) in enumerate(zip(every, strokes, strict=True)):
        line = {"color": colour, "linestyle": stroke, "linewidth": width}
        _level(axis, found, roof, index, span, min(peaks), line)
    _ceilings(axis, found)
    _scales(axis, (float(span[0]), float(span[-1])), (found.throughput / 4, max(peaks) * 4))
    figure.legend(
        title="level or request: bandwidth, share of it used\nhollow: what its roof allows",
        loc="outside right upper",
        frameon=False,
        alignment="left",
    )
    settings = "".join(f" {key}={value}" for key, value in found.point.overrides.items())
    name, allowed = found.lowest()
    time = format_duration(float(f"{found.result.time:.4g}")).replace("us", "µs")
    figure.suptitle(
        f"{textwrap.fill(f'{found.point.workload.name}{settings} on {found.point.chip.title}', LETTERS)}\n"
        f"{time}, {_digits(found.throughput / 1e12)} TFLOP/s; lowest roof: {name}, {_digits(allowed / 1e12)} TFLOP/s",
        x=0.01,
        ha="left",
        fontsize=10.5,
    )
    return figure


def _level(
    axis: Axes, found: Roofline, roof: Roof, index: int, span: NDArray[np.float64], peak: float, line: dict[str, Any]
) -> None:
    """Draw the roof of a level up to `peak`, the result below it, and a hollow marker on it."""
    x, top = found.intensity(roof), min(roof.bandwidth * found.intensity(roof), peak)
    mark: dict[str, Any] = {"marker": MARKERS[index % len(MARKERS)], "markeredgecolor": "black"}
    ridge = peak / roof.bandwidth
    axis.plot([*span[span < ridge], ridge], [*(roof.bandwidth * span[span < ridge]), peak], zorder=2, **line)
    axis.plot([x, x], [found.throughput, top], color=line["color"], linewidth=1.0, alpha=0.7, zorder=2)
    axis.plot([x], [top], linestyle="", markersize=7, markerfacecolor="white", zorder=3, **mark)
    axis.plot([x], [found.throughput], markersize=9, zorder=4, label=_label(found, roof), **mark, **line)


def _scales(axis: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Set logarithmic axes with these limits and ticks at 1, 2 and 5 times powers of ten, or at powers of ten alone."""
    axis.set(xscale="log", yscale="log", xlim=x, ylim=y)
    for side, (low, high), unit in ((axis.xaxis, x, 1.0), (axis.yaxis, y, 1e12)):
        powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
        ticks = [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]
        if len(ticks) > MOST_TICKS:
            ticks = [10.0**power for power in powers if low <= 10.0**power <= high]
        side.set_ticks(ticks, labels=[f"{tick / unit:,g}" for tick in ticks])
        side.set_minor_formatter(NullFormatter())
    axis.set_xlabel("operational intensity (FLOP for each byte that the level moved)")
    axis.set_ylabel("throughput (TFLOP/s)")
    axis.grid(color="0.9")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _digits(number: float) -> str:
    """A number with four significant digits and no exponent."""
    return f"{float(f'{number:.4g}'):,g}"


def _label(found: Roofline, roof: Roof) -> str:
    many = f"{roof.count} x " if roof.count > 1 else ""
    each = float(f"{roof.bandwidth / roof.count:.4g}")
    used = found.reach(roof)
    return f"{roof.name}: {many}{format_bandwidth(round(each))}, {f'{used:.0%}' if used >= 0.01 else 'below 1%'}"


def _ceilings(axis: Axes, found: Roofline) -> None:
    """Draw a horizontal line for each compute unit and each fixed cost, each in its own grey and line style."""
    for index, ceiling in enumerate(found.ceilings):
        label = f"{ceiling.name}: {_digits(ceiling.throughput / 1e12)} TFLOP/s"
        colour, stroke = CEILINGS[index % len(CEILINGS)]
        axis.axhline(ceiling.throughput, color=colour, linewidth=1.3, linestyle=stroke, zorder=1, label=label)
