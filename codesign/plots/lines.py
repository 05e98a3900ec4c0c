"""Lines: a metric against one swept key, a line for each chip or each value of another key, with intervals if known."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from codesign.errors import CodesignError
from codesign.intervals_file import HIGH, LOW
from codesign.labels import key_label, metric_label, scale, value_text
from codesign.pivot import comparable, series, varying

DPI = 150
MARKERS = "osD^vPX*"
APART = 0.08
"""Steps between lines side by side where they have intervals, so that these do not cover each other."""


def lines(frame: pd.DataFrame, metric: str, x: str, by: str | None = None) -> Figure:
    """The figure, `x` in equal steps so that 64, 80, 96, 256 do not crowd; raises CodesignError if rows collide.

    Where the frame has the columns LOW and HIGH, each point has a bar from one to the other.
    """
    if x not in frame.columns:
        raise CodesignError(f"no key '{x}' in these rows; keys that vary: {', '.join(varying(frame)) or 'none'}")
    split = by or "chip"
    if split not in frame.columns:
        raise CodesignError(f"no key '{split}' in these rows; keys that vary: {', '.join(varying(frame)) or 'none'}")
    frame = frame.assign(**{key: comparable(frame, key) for key in (x, split)})
    data = frame[[x, split]].assign(value=series(frame, metric))
    if data.duplicated([x, split]).any():
        vary = ["chip", *varying(frame)]
        others = [key for key in vary if key not in (x, split) and comparable(frame, key).nunique() > 1]
        raise CodesignError(
            f"several rows for one {x} and {split}; these vary too: {', '.join(others) or 'the workload'}; "
            "keep one value of each with --where KEY=VALUE"
        )
    table = data.pivot(index=x, columns=split, values="value")
    bars = _bars(frame, metric, x, split)
    figure = Figure(figsize=(7.5, 4.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(len(table.columns), 2)))
    titles = dict(zip(frame["chip"], frame["chip_title"], strict=True))
    for place, name in enumerate(table.columns):
        label: Any = titles[name] if split == "chip" else value_text(split, name)
        places = np.arange(len(table.index)) + (APART * (place - (len(table.columns) - 1) / 2) if bars else 0)
        if bars:
            low, high = (end[name].to_numpy(float) for end in bars)
            axis.vlines(places, low, high, color=colours[place], linewidth=1.2, zorder=3)
            for end in (low, high):
                axis.plot(places, end, color=colours[place], linestyle="", marker="_", markersize=6, zorder=3)
        axis.plot(
            places,
            table[name].to_numpy(float),
            color=colours[place],
            label=str(label),
            marker=MARKERS[place % len(MARKERS)],
            markersize=5,
            linewidth=1.6,
        )
    axis.set_xticks(range(len(table.index)), [value_text(x, value) for value in table.index])
    axis.set_xlabel(key_label(x))
    axis.set_ylabel(metric_label(metric))
    lowest = float(np.nanmin([table.to_numpy(float), *(end.to_numpy(float) for end in bars)]))
    if (table.to_numpy(float) >= 0).any():
        axis.set_ylim(bottom=min(0.0, lowest))
    axis.grid(axis="y", color="0.9")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(title=key_label(split), loc="outside right upper", frameon=False)
    said = "; bars: intervals from 5 to 95 %" if bars else ""
    axis.set_title(f"{frame.iloc[0]['workload']}{said}", loc="left", fontsize=10.5)
    return figure


def _bars(frame: pd.DataFrame, metric: str, x: str, split: str) -> tuple[pd.DataFrame, ...]:
    """Lower and upper ends of intervals, as tables of `x` by `split`; none if the frame holds no intervals."""
    if not {LOW, HIGH} <= set(frame.columns):
        return ()
    return tuple((frame.pivot(index=x, columns=split, values=end) * scale(metric)).astype(float) for end in (LOW, HIGH))
