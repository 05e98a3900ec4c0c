"""A scatter of predicted ÷ measured time against measured time, one marker per row. Colour shows the head dimension and
shape the pattern; both show the family if the rows have no head dimension."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from memgrain.plots.ratios import frame
from memgrain.plots.style import MARKERS, new_figure

BAND = 0.1
"""Relative error up to which a prediction counts as good."""
TICKS = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
MOST = 24
"""Maximum length of a name in the legend, in characters."""
MOST_CHIPS = 3
"""Most chips that the title names; more do not fit its line."""


def scatter(rows: pd.DataFrame) -> Figure:
    """Draw rows with the columns `kernel_time_us`, `predicted_time_us`, `time_error` and `family`. The columns
    `head_dim` and `pattern` are optional."""
    data = rows.dropna(subset=["time_error"])
    figure = new_figure(7.5, 5.0)
    axis = figure.subplots()
    frame(axis, BAND)
    if "head_dim" in data and data["head_dim"].notna().any():
        data = data.dropna(subset=["head_dim"]).assign(shape=lambda found: _shape(found))
        handles = _marks(axis, data, "head_dim", "shape")
        title = "colour: head dimension, shape: pattern, with the mean error; band: ±10 %"
    else:
        handles = _marks(axis, data, "family", "family")
        title = "family, with the mean error; band: ±10 %"
    axis.set_xscale("log")
    axis.set_yscale("log")
    low, high = float(data["time_error"].min()) + 1, float(data["time_error"].max()) + 1
    axis.set_ylim(min(0.7, low / 1.05), max(1.4, high * 1.05))
    axis.set_yticks([tick for tick in TICKS if axis.get_ylim()[0] <= tick <= axis.get_ylim()[1]])
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ticks.set_minor_formatter(NullFormatter())
    axis.tick_params(axis="y", which="minor", length=0)
    axis.set_xlabel("measured time (µs)")
    axis.set_ylabel("predicted ÷ measured time")
    figure.legend(handles=handles, title=title, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    chips = list(dict.fromkeys(data["device"]))
    named = ", ".join(chips) if len(chips) <= MOST_CHIPS else f"{len(chips)} chips"
    axis.set_title(f"Predicted against measured time, {named}", loc="left", fontsize=10.5)
    return figure


def _shape(rows: pd.DataFrame) -> pd.Series[str]:
    """Family and pattern as one label."""
    return rows["family"] + " " + rows["pattern"]


def _marks(axis: Axes, data: pd.DataFrame, colour: str, shape: str) -> list[Line2D]:
    """Draw a marker for each row; returns the entries of the legend."""
    values, shapes = sorted(data[colour].unique()), list(dict.fromkeys(data[shape]))
    colours = dict(zip(values, mpl.colormaps["turbo"](np.linspace(0.05, 0.92, max(len(values), 2))), strict=False))
    markers = {name: MARKERS[index % len(MARKERS)] for index, name in enumerate(shapes)}
    for (value, name), rows in data.groupby([colour, shape], sort=False):
        axis.scatter(
            rows["kernel_time_us"],
            1 + rows["time_error"],
            s=22,
            color=colours[value],
            marker=markers[name],
            alpha=0.8,
            linewidths=0,
            zorder=2,
        )

    def label(column: str, value: object) -> str:
        errors = data.loc[data[column] == value, "time_error"]
        name = f"{value:g}" if isinstance(value, float) else str(value)[:MOST]
        return f"{name}: {errors.mean():+.1%} ({len(errors)})"

    if colour == shape:
        return [_entry(label(colour, value), colours[value], markers[value]) for value in values]
    own = [_entry(label(colour, value), colours[value], "o") for value in values]
    return own + [_entry(label(shape, name), "0.4", markers[name]) for name in shapes]


def _entry(label: str, colour: object, marker: str) -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, markersize=5, color=colour, label=label)  # type: ignore[arg-type]
