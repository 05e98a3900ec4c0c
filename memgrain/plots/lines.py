"""A metric against one swept key: one line per chip or per value of another key, with intervals if the rows have
them."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from memgrain.errors import MemgrainError
from memgrain.plots.along import LETTER, along
from memgrain.plots.style import MARKERS, new_figure
from memgrain.runs.intervals import HIGH, LOW
from memgrain.runs.labels import better, key_label, metric_label, scale, words
from memgrain.runs.pivot import comparable, series, table_of, varying

APART = 0.06
"""Horizontal offset in inches between lines with intervals, so that the intervals do not cover each other."""
WIDTH = 6.4
"""Width of axis and legend together, in inches."""
ROOM = 0.06
"""Margin above the highest marker, as a fraction of the axis."""


def lines(frame: pd.DataFrame, metric: str, x: str, by: str | None = None) -> Figure:
    """Draw the rows. The x axis is numeric if the values of `x` are quantities, and logarithmic if they span a decade.
    Other values are spaced equally and not joined. Raises MemgrainError if several rows share one point.

    If the frame has the columns LOW and HIGH, each point has an error bar between them.
    """
    split = by or "chip"
    for key in (x, split):
        if key not in frame.columns:
            raise MemgrainError(f"no key '{key}' in these rows; keys that vary: {', '.join(varying(frame)) or 'none'}")
    data = pd.DataFrame({"x": comparable(frame, x), "split": comparable(frame, split), "value": series(frame, metric)})
    if data.duplicated(["x", "split"]).any():
        vary = ["chip", *varying(frame)]
        others = [key for key in vary if key not in (x, split) and comparable(frame, key).nunique() > 1]
        raise MemgrainError(
            f"several rows for one {x} and {split}; these vary too: {', '.join(others) or 'the workload'}; "
            "keep rows with one value of each (where KEY=VALUE)"
        )
    table, bars = table_of(data, "x", "split"), _bars(frame, data, metric)
    figure = new_figure(7.5, 4.4)
    axis = figure.subplots()
    titles = dict(zip(frame["chip"], frame["chip_title"], strict=True))
    names = [str(titles[name]) if split == "chip" else words(split, name) for name in table.columns]
    positions, joined = along(axis, x, list(table.index), WIDTH - LETTER * max(map(len, [*names, key_label(split)])))
    _draw(axis, positions, joined, table, bars, names)
    axis.set_ylabel(metric_label(metric))
    _upward(axis, [table, *bars])
    axis.grid(axis="y", color="0.9")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(title=key_label(split), loc="outside right upper", frameon=False)
    direction = f"; {better(metric)} is better" if better(metric) else ""
    note = "; bars: intervals from 5 to 95 %" if bars else ""
    axis.set_title(f"{frame.iloc[0]['workload']}{direction}{note}", loc="left", fontsize=10.5)
    return figure


def _draw(
    axis: Axes, positions: list[float], joined: int, table: pd.DataFrame, bars: Sequence[pd.DataFrame], names: list[str]
) -> None:
    """Draw a line for each column: its first `joined` values are connected, the others are markers only."""
    at, many = np.array(positions), len(table.columns)
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(many, 2)))
    for index, name in enumerate(names):
        aside = APART * (index - (many - 1) / 2) if bars else 0.0
        moved = axis.transData + ScaledTranslation(aside, 0, axis.figure.dpi_scale_trans)
        values, colour = table.iloc[:, index].to_numpy(float), colours[index]
        if bars:
            low, high = (end.iloc[:, index].to_numpy(float) for end in bars)
            axis.vlines(at, low, high, color=colour, linewidth=1.2, zorder=3, transform=moved)
            for end in (low, high):
                axis.plot(at, end, color=colour, linestyle="", marker="_", markersize=6, zorder=3, transform=moved)
        there = np.flatnonzero(np.isfinite(values))
        first = there[there < joined]  # also across a gap: a refused point does not affect its neighbours
        axis.plot(at[first], values[first], color=colour, linewidth=1.6, zorder=3, transform=moved)
        axis.plot(
            at, values, color=colour, linestyle="", marker=MARKERS[index % len(MARKERS)], markersize=5, zorder=3,
            label=name, transform=moved,
        )  # fmt: skip


def _upward(axis: Axes, tables: Sequence[pd.DataFrame]) -> None:
    """Start the y axis at zero if no value is negative, with a margin for the markers at the top."""
    values = np.concatenate([table.to_numpy(float).ravel() for table in tables])
    values = values[np.isfinite(values)]
    if values.size:
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        room = ROOM * (high - low or 1.0)
        ends = low - room * (low < 0), high + room * (high > 0 or low == 0)
        axis.set_ylim(*ends)
        axis.set_yticks([tick for tick in axis.get_yticks() if ends[0] <= tick <= ends[1]])


def _bars(frame: pd.DataFrame, data: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, ...]:
    """Lower and upper ends of the intervals as tables of the values' shape; empty if the frame has no intervals."""
    if not {LOW, HIGH} <= set(frame.columns):
        return ()
    ends = (data.assign(value=frame[end].astype(float) * scale(metric)) for end in (LOW, HIGH))
    return tuple(table_of(end, "x", "split") for end in ends)
