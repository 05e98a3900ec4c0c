"""Time with prefetch ÷ time without: accuracy of the prediction along y, lead time of the prefetch along x."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from memgrain.analysis.prefetch import PrefetchStudy
from memgrain.plots.style import new_figure

MAP = "PuOr_r"
"""Diverging colour map around 1, readable with colour blindness: purple is quicker, orange slower."""
LEAST = 0.02
"""Smallest distance from 1 to the ends of the colour scale, so that noise stays pale."""


def grid(found: PrefetchStudy, chip: str) -> Figure:
    """Draw a cell for each pair of accuracy and lead; colour and number show the ratio."""
    wide = found.table().sort_index()
    values = wide.to_numpy(float)
    reach = max(LEAST, float(np.nanmax(np.abs(values - 1))))
    figure = new_figure(7.5, 4.6)
    axis = figure.subplots()
    norm = TwoSlopeNorm(1.0, 1 - reach, 1 + reach)
    axis.imshow(values, cmap=MAP, norm=norm, aspect="auto", origin="lower")
    for row, column in np.ndindex(*values.shape):
        ink = "white" if abs(values[row, column] - 1) > 0.7 * reach else "black"
        axis.text(column, row, f"{values[row, column]:.3f}", ha="center", va="center", fontsize=9, color=ink)
    axis.set_xticks(range(values.shape[1]), [f"{lead:.0%}" for lead in wide.columns])
    axis.set_yticks(range(values.shape[0]), [f"{hits:.0%}" for hits in wide.index])
    axis.set_xlabel("begins ahead (share of the time of the kernels before)")
    axis.set_ylabel("guesses that are right")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.colorbar(mpl.cm.ScalarMappable(norm, MAP), ax=axis, label="time with prefetch ÷ time without")
    figure.suptitle(f"Prefetch of {', '.join(found.tensors)} for {found.kernel}, {chip}", x=0.01, ha="left")
    return figure
