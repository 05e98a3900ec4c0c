"""Shared parts of the scatters of predicted ÷ measured: the band of good predictions and the markers."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from memgrain.plots.style import MARKERS


def frame(axis: Axes, band: float) -> None:
    """Draw the line of equality and a grey band of relative errors up to `band`."""
    axis.axhspan(1 - band, 1 + band, color="0.93", zorder=0)
    axis.axhline(1.0, color="0.4", linewidth=1.0, zorder=1)
    axis.grid(axis="y", color="0.9")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def mark(axis: Axes, groups: Sequence[str], group: str, measured: pd.Series, error: pd.Series, label: str) -> None:
    """Draw the rows of one of the `groups` in the group's colour and marker."""
    index = groups.index(group)
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(len(groups), 2)))
    axis.scatter(
        measured,
        1 + error,
        s=20,
        color=colours[index],
        marker=MARKERS[index % len(MARKERS)],
        alpha=0.8,
        linewidths=0,
        label=label,
        zorder=2,
    )
