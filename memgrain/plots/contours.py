"""Lines of equal time over head dimension and selection ratio."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from memgrain.plots.heatmap import REVERSED
from memgrain.plots.style import new_figure
from memgrain.runs.labels import key_label, setting, value_text
from memgrain.runs.pivot import ARTICLE_HEAD_DIM, HEAD_DIM, panels

RATIO = "selection.ratio"
TIME = "time_us"
LINES = 9
"""Approximate number of contour lines in a figure."""
STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
"""Round numbers at which lines are drawn, times any power of ten."""
LETTERS = 95
"""Characters in a line of the title."""
SHORT = 0.15
"""A line shorter than this fraction of the axes gets no label; the colour bar shows its time."""
SHADES = 64
"""Number of colours between the shortest and the longest time."""
SPAN = 1.1
"""Smallest ratio of the times at the two ends of the colour scale."""
PALE = 0.25
"""Fraction of white mixed into the colours, so that black lines and labels stand out."""


def contours(frame: pd.DataFrame, times: Sequence[float] = ()) -> Figure:
    """Draw the rows of one chip with contour lines at `times` (us), or at round numbers if none are given.

    Dots mark the simulated points. Between them the logarithm of the time is interpolated linearly over the head
    dimension and the logarithm of the selection ratio. Raises MemgrainError if the rows do not form a table.
    """
    table = panels(frame, TIME, RATIO, HEAD_DIM, None)[0].table
    low, high = float(np.nanmin(table.to_numpy(float))), float(np.nanmax(table.to_numpy(float)))
    levels = [level for level in sorted(times) or _round(low, high) if low < level < high]
    figure = new_figure(8.5, 5.2)
    axis = figure.subplots()
    norm = _scale(low, high)
    pale = ListedColormap(PALE + (1 - PALE) * mpl.colormaps[REVERSED](np.linspace(0, 1, 256))[:, :3])
    _fill(axis, table, levels, norm, pale)
    marked = frame[HEAD_DIM].min() <= ARTICLE_HEAD_DIM <= frame[HEAD_DIM].max()
    if marked:
        axis.axvline(ARTICLE_HEAD_DIM, color="0.15", linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
    axis.set_xlabel(key_label(HEAD_DIM))
    axis.set_ylabel(key_label(RATIO))
    axis.spines[["top", "right"]].set_visible(False)
    bar = figure.colorbar(mpl.cm.ScalarMappable(norm, pale), ax=axis, pad=0.02, fraction=0.05)
    marks = levels or [float(np.sqrt(low * high))]
    bar.set_ticks(list(np.log(marks)), labels=[f"{mark:,.4g}" for mark in marks])
    bar.set_label("time (µs)")
    title = f"Lines of equal time: {_workload(frame)}, on {frame.iloc[0]['chip_title']}"
    notes = ["dots: simulated"]
    notes += [f"dashed: head dimension {ARTICLE_HEAD_DIM}"] if marked else []
    notes += [] if levels else [f"no line: all times lie between {low:,.6g} and {high:,.6g} µs"]
    figure.suptitle(
        f"{textwrap.fill(title, LETTERS)}\n{'; '.join(notes)}",
        x=0.01,
        ha="left",
        fontsize=10.5,
    )
    return figure


def _scale(low: float, high: float) -> Normalize:
    """A colour scale over the logarithm of the times. It covers at least a ratio of SPAN, so that times that hardly
    differ look alike."""
    middle, half = np.log(low * high) / 2, max(np.log(high / low), np.log(SPAN)) / 2
    return Normalize(middle - half, middle + half)


def _fill(axis: Axes, table: pd.DataFrame, levels: list[float], norm: Normalize, pale: ListedColormap) -> None:
    """Draw colours, contour lines at the `levels`, a dot for each simulated point, and ticks at the points' values."""
    x, y = table.columns.to_numpy(float), np.log(table.index.to_numpy(float))
    mesh = np.log(table.to_numpy(float))
    axis.contourf(x, y, mesh, norm.inverse(np.linspace(0.0, 1.0, SHADES + 1)), cmap=pale, norm=norm)
    if levels:
        _name(axis, axis.contour(x, y, mesh, np.log(levels), colors="black", linewidths=1.3))
    points = np.argwhere(np.isfinite(mesh))
    axis.plot(x[points[:, 1]], y[points[:, 0]], ".", color="black", markersize=3.5, clip_on=False, zorder=3)
    axis.set_xticks(x, [value_text(HEAD_DIM, value) for value in table.columns])
    axis.set_yticks(y, [value_text(RATIO, value) for value in table.index])


def _name(axis: Axes, drawn: ContourSet) -> None:
    """Label each line with its time, in the middle of its longest segment, if there is room."""
    positions, size = [], np.array([np.ptp(axis.get_xlim()), np.ptp(axis.get_ylim())])
    for parts in drawn.allsegs:
        lengths = [
            np.append(0.0, np.hypot(*(np.diff(part, axis=0) / size).T).cumsum()) for part in parts if len(part) > 1
        ]
        if lengths and max(length[-1] for length in lengths) > SHORT:
            which = max(range(len(lengths)), key=lambda number: float(lengths[number][-1]))
            line = [part for part in parts if len(part) > 1][which]
            positions.append(
                tuple(np.interp(lengths[which][-1] / 2, lengths[which], along) for along in np.asarray(line).T)
            )
    if not positions:
        return
    axis.clabel(drawn, manual=positions, fmt=lambda level: f"{np.exp(level):,.4g} µs", fontsize=8.5, inline_spacing=4)
    for label in drawn.labelTexts:
        label.set(zorder=5, path_effects=[withStroke(linewidth=2.5, foreground="white")])


def _workload(frame: pd.DataFrame) -> str:
    """The workload and the overrides that all points share."""
    first = frame.iloc[0]
    fixed = [key for key in first["overrides"] if key not in (HEAD_DIM, RATIO)]
    return ", ".join([str(first["workload"]), *(setting(key, first[key]) for key in fixed)])


def _round(low: float, high: float) -> list[float]:
    """About LINES round numbers between `low` and `high`, spaced evenly on a logarithmic scale."""
    every = [step * 10.0**power for power in range(-3, 10) for step in STEPS]
    wanted = np.geomspace(low, high, LINES + 2)[1:-1]
    return sorted({min(every, key=lambda value: abs(np.log(value / aim))) for aim in wanted})
