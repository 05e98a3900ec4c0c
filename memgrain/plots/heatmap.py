"""A heatmap of a metric of one chip over two swept keys, one panel per value of a third; each cell shows its number."""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from memgrain.analysis.verdict import verdict
from memgrain.plots.style import new_figure
from memgrain.runs.labels import SHARE, better, directed_label, key_label, metric_label, setting, value_text
from memgrain.runs.pivot import ARTICLE_HEAD_DIM, HEAD_DIM, Panel, panels

MAP = "cividis"
"""Colour map: perceptually uniform, readable with colour blindness, monotonic in greyscale."""
REVERSED = f"{MAP}_r"
"""The colour map for metrics of which less is better. The bright end is always the better one."""
LETTERS = 13.0
"""Characters of the verdict per inch of width."""
ROOM = 0.62
"""Height in inches above the panels for a title and one line below it."""
LEAST = 0.1
"""Smallest span of the colour scale, as a fraction of the largest value."""
WIDEST = 6
"""Longest label, in characters, that fits beside its neighbours without rotation."""


def heatmap(frame: pd.DataFrame, metric: str, x: str, y: str, by: str | None) -> Figure:
    """Draw the rows of one chip. `y` goes upward in equal steps; colour and number show the metric, and bright is
    better.

    Raises MemgrainError if the rows do not form such tables.
    """
    tables = panels(frame, metric, y, x, by)
    rows, columns = max(len(p.table.index) for p in tables), max(len(p.table.columns) for p in tables)
    width = min(24.0, max(7.5, 1.9 + len(tables) * (0.9 + 0.62 * columns)))
    figure = new_figure(width, 2.3 + 0.42 * rows)
    axes: list[Axes] = list(figure.subplots(1, len(tables), sharey=True, squeeze=False)[0])
    norm = shades(np.concatenate([panel.table.to_numpy(float).ravel() for panel in tables]), metric == SHARE)
    colours = MAP if better(metric) != "less" else REVERSED
    for axis, panel in zip(axes, tables, strict=True):
        _panel(axis, panel, norm, colours, x, y)
        if by is not None:
            axis.set_title(_sentence(setting(by, panel.value)), fontsize=10)
    axes[0].set_ylabel(key_label(y))
    figure.colorbar(
        mpl.cm.ScalarMappable(norm, colours), ax=axes, label=metric_label(metric), pad=0.015, fraction=0.05, aspect=25
    )
    _titles(figure, frame, metric)
    return figure


def shades(values: np.ndarray[Any, Any], from_zero: bool = False) -> Normalize:
    """One colour scale for all values, from zero (`from_zero`) or from the smallest value. It spans at least LEAST of
    the largest value, so that values that hardly differ look alike."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if from_zero:
        return Normalize(0.0, high if high > 0 else 1.0)
    lacking = LEAST * max(abs(low), abs(high)) - (high - low)
    if lacking > 0:
        low, high = low - lacking / 2, high + lacking / 2
    return Normalize(low, high if high > low else low + 1.0)


def _panel(axis: Axes, panel: Panel, norm: Normalize, colours: str, x: str, y: str) -> None:
    table = panel.table
    values = table.to_numpy(float)
    axis.imshow(values, cmap=colours, norm=norm, aspect="auto", origin="lower")
    axis.set_xticks(range(len(table.columns)), [value_text(x, value) for value in table.columns])
    axis.set_yticks(range(len(table.index)), [value_text(y, value) for value in table.index])
    _turn(axis)
    axis.set_xlabel(key_label(x))
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    size = 9 if len(table.columns) <= 12 else 7
    digits = _digits(values)
    for row, column in np.ndindex(*values.shape):
        value = float(values[row, column])
        if np.isfinite(value):
            text, colour = _number(value, digits), ink(norm(value), colours)
            axis.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    if y == HEAD_DIM and ARTICLE_HEAD_DIM in table.index:
        _emphasise(axis, list(table.index).index(ARTICLE_HEAD_DIM), len(table.columns))


def _turn(axis: Axes) -> None:
    """Rotate the x labels if they are too long to fit beside each other."""
    if max(len(label.get_text()) for label in axis.get_xticklabels()) > WIDEST:
        axis.tick_params(axis="x", labelrotation=35)
        for label in axis.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")


def _emphasise(axis: Axes, row: int, columns: int) -> None:
    """Outline one row and set its label in bold."""
    axis.add_patch(
        Rectangle((-0.5, row - 0.5), columns, 1, fill=False, edgecolor="white", linewidth=3.5, clip_on=False, zorder=3)
    )
    axis.add_patch(
        Rectangle((-0.5, row - 0.5), columns, 1, fill=False, edgecolor="black", linewidth=1.6, clip_on=False, zorder=4)
    )
    for label in axis.get_yticklabels()[row : row + 1]:
        label.set_fontweight("bold")


def _titles(figure: Figure, frame: pd.DataFrame, metric: str) -> None:
    """Write chip, workload and metric in bold and the verdict below, and make room for both above the panels."""
    width, height = figure.get_size_inches()
    first: Any = frame.iloc[0]
    heads = textwrap.wrap(
        f"{first['chip_title']}, {first['workload']}: {directed_label(metric)}", int(width * LETTERS * 0.8)
    )
    lines = verdict(frame, metric).splitlines()
    answer = [part for line in lines for part in textwrap.wrap(line, int(width * LETTERS))]
    below = 0.10 + 0.24 * len(heads)
    room = below + 0.11 + 0.17 * len(answer)
    height += room - ROOM
    figure.set_size_inches(width, height)
    title = figure.text(0.012, 1 - 0.10 / height, "\n".join(heads), fontsize=12, fontweight="bold", va="top")
    text = figure.text(0.012, 1 - below / height, "\n".join(answer), fontsize=9.5, va="top")
    for label in (title, text):
        label.set_in_layout(False)
    figure.set_layout_engine("constrained", rect=(0.0, 0.0, 1.0, 1 - room / height))


def ink(shade: Any, colours: str = MAP) -> str:
    """Black or white, whichever contrasts with the colour (luminance by WCAG 2)."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mpl.colormaps[colours](float(shade))[:3]
    )
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "white"


def _digits(values: np.ndarray[Any, Any]) -> int:
    """Number of decimals that distinguishes cells without crowding them."""
    largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
    return 0 if largest >= 100 else 1 if largest >= 1 else 2


def _number(value: float, digits: int) -> str:
    if abs(value) >= 1e5:
        return f"{value:.1e}".replace("e+0", "e").replace("e+", "e")
    return f"{value:.{digits}f}"


def _sentence(text: str) -> str:
    """Capitalise the first letter, unless the text begins with a dotted key."""
    return text if "." in text.split()[0] else text[:1].upper() + text[1:]
