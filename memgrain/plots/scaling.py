"""Costs of a decode step against the context length: one panel per cost, one line per mechanism."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from memgrain.analysis.scaling import COSTS, Scaling
from memgrain.plots.style import MARKERS, new_figure

UNITS = {"read_bytes": (1e6, "MB"), "operations": (1e9, "GFLOP"), "time_us": (1.0, "µs")}
"""Divisor of each cost and the resulting unit."""


def curves(found: Scaling, chip: str) -> Figure:
    """Draw the costs, with the fitted exponents in the legend."""
    figure = new_figure(11, 4.6)
    axes = figure.subplots(1, len(COSTS))
    names = list(dict.fromkeys(found.rows["mechanism"]))
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.9, max(len(names), 2)))
    exponents = found.exponents().set_index("mechanism")
    contexts = sorted(set(found.rows["context"]))
    for axis, (cost, title) in zip(axes, COSTS.items(), strict=True):
        scale, unit = UNITS[cost]
        for index, name in enumerate(names):
            rows = found.rows[found.rows["mechanism"] == name]
            axis.plot(
                rows["context"],
                rows[cost] / scale,
                color=colours[index],
                marker=MARKERS[index % len(MARKERS)],
                label=name,
            )
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(contexts)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1024:.0f}K"))
        axis.set_xlabel("context (tokens)")
        axis.set_ylabel(f"{title} ({unit})")
        axis.grid(color="0.9")
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    shown = [f"{name}: bytes ~ n^{exponents['read_bytes'].get(name, np.nan):.2f}" for name in labels]
    figure.legend(handles, shown, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(f"A decode step of one layer against the context, {chip}", x=0.01, ha="left")
    return figure
