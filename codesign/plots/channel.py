"""A scatter of DRAM channels: predicted ÷ reference bandwidth and activates, a mark for each row, by standard."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

DPI = 150
MARKERS = "osD^v"
BAND = 0.05
"""Errors within which a prediction counts as good."""
PANELS = (
    ("bandwidth_gb_s", "bandwidth_error", "bandwidth (GB/s)"),
    ("activates", "activates_error", "row activations"),
)


def scatter(frame: pd.DataFrame) -> Figure:
    """The figure for rows with `standard`, `bandwidth_gb_s`, `activates` and their errors."""
    figure = Figure(figsize=(9.0, 4.2), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    standards = list(dict.fromkeys(frame["standard"]))
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(len(standards), 2)))
    for axis, (measured, error, title) in zip(axes, PANELS, strict=True):
        axis.axhspan(1 - BAND, 1 + BAND, color="0.93", zorder=0)
        axis.axhline(1.0, color="0.4", linewidth=1.0, zorder=1)
        for place, standard in enumerate(standards):
            rows = frame[frame["standard"] == standard].dropna(subset=[error])
            axis.scatter(
                rows[measured],
                1 + rows[error],
                s=22,
                color=colours[place],
                marker=MARKERS[place % len(MARKERS)],
                alpha=0.8,
                linewidths=0,
                label=f"{standard}: {len(rows)} rows",
                zorder=2,
            )
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        worst = max(float(frame[error].abs().max()), 2 * BAND)
        axis.set_ylim(1 - 1.15 * worst, 1 + 1.15 * worst)
        axis.set_xlabel(f"{title}, cycle-level simulator")
        axis.set_ylabel("predicted ÷ reference")
        axis.grid(axis="y", color="0.9")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="band: ±5 %", loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle("One DRAM channel against a cycle-level simulator", x=0.01, ha="left", fontsize=10.5)
    return figure
