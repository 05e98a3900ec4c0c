"""A scatter: predicted ÷ measured time against measured time, a mark for each row, a colour for each family."""

from __future__ import annotations

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from codesign.plots.ratios import DPI, frame, mark

BAND = 0.1
"""Errors within which a prediction counts as good."""
TICKS = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)


def scatter(rows: pd.DataFrame) -> Figure:
    """The figure for rows with `kernel_time_us`, `predicted_time_us`, `time_error` and `family`."""
    data = rows.dropna(subset=["time_error"])
    figure = Figure(figsize=(7.5, 4.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    frame(axis, BAND)
    families = [str(name) for name in dict.fromkeys(data["family"])]
    for family in families:
        own = data[data["family"] == family]
        error = float(own["time_error"].abs().mean())
        label = f"{family}: {len(own)} rows, off by {error:.1%}"
        mark(axis, families, family, own["kernel_time_us"], own["time_error"], label)
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
    figure.legend(title="family; band: ±10 %", loc="outside lower center", ncols=2, frameon=False)
    axis.set_title(
        f"Predicted against measured time, {', '.join(dict.fromkeys(data['device']))}", loc="left", fontsize=10.5
    )
    return figure
