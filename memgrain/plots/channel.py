"""A scatter of DRAM channels: predicted ÷ reference bandwidth and activates, one marker per row, coloured by
standard."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from memgrain.plots.ratios import frame, mark
from memgrain.plots.style import new_figure

BAND = 0.05
"""Relative error up to which a prediction counts as good."""
PANELS = (
    ("bandwidth_gb_s", "bandwidth_error", "bandwidth (GB/s)"),
    ("activates", "activates_error", "row activations"),
)


def scatter(data: pd.DataFrame) -> Figure:
    """Draw rows with the columns `standard`, `bandwidth_gb_s`, `activates` and their errors."""
    figure = new_figure(9.0, 4.2)
    axes = figure.subplots(1, 2)
    standards = [str(name) for name in dict.fromkeys(data["standard"])]
    for axis, (measured, error, title) in zip(axes, PANELS, strict=True):
        frame(axis, BAND)
        for standard in standards:
            rows = data[data["standard"] == standard].dropna(subset=[error])
            mark(axis, standards, standard, rows[measured], rows[error], f"{standard}: {len(rows)} rows")
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        worst = max(float(data[error].abs().max()), 2 * BAND)
        axis.set_ylim(1 - 1.15 * worst, 1 + 1.15 * worst)
        axis.set_xlabel(f"{title}, cycle-level simulator")
        axis.set_ylabel("predicted ÷ reference")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="band: ±5 %", loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle("One DRAM channel against a cycle-level simulator", x=0.01, ha="left", fontsize=10.5)
    return figure
