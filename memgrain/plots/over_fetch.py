"""The over-fetch map: bytes fetched ÷ bytes needed by row size and access granularity, one panel per layout and element
type."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from memgrain.analysis.over_fetch import LAYOUTS, LayoutOptions, OverFetchCell, agreement
from memgrain.hwmodels import Chip
from memgrain.plots.heatmap import REVERSED, ink
from memgrain.plots.style import new_figure
from memgrain.sim.levels.granules import granule_of

LEAST = 2.0
"""Smallest upper end of the colour scale, so that a map without over-fetch is not drawn in all colours."""
LETTERS = 12.0
"""Characters of the title per inch of width."""
NOTICED = 0.01
"""Smallest relative difference at which the simulated ratio is written below the formula's."""


def panels(
    cells: Sequence[OverFetchCell], own: Sequence[OverFetchCell], chip: Chip | None, terms: LayoutOptions
) -> Figure:
    """Draw the map. The granularity of `chip`, whose cells are `own`, is outlined. Where its simulated ratio differs
    from the formula's, both are written."""
    layouts, dtypes = list(dict.fromkeys(c.layout for c in cells)), list(dict.fromkeys(c.row.dtype for c in cells))
    labels = list(dict.fromkeys(c.row.label for c in cells))
    granules = sorted({c.granule for c in [*cells, *own]})
    height = 0.9 + len(dtypes) * (0.75 + 0.32 * max(4, len(labels)))
    width = max(6.5, 1.5 + len(layouts) * max(2.4, 0.3 + 0.5 * len(granules)))
    figure = new_figure(width, height)
    grid = figure.subplots(len(dtypes), len(layouts), sharex=True, sharey=True, squeeze=False)
    most = max([LEAST, *(c.ratio for c in [*cells, *own] if c.ratio)])
    norm = LogNorm(1.0, most)
    for (row, column), axis in np.ndenumerate(grid):
        mine = [c for c in [*cells, *own] if (c.layout, c.row.dtype) == (layouts[column], dtypes[row])]
        _panel(axis, mine, granules, labels, norm)
        if chip is not None:
            _outline(axis, granules.index(granule_of(chip)[1]), len(labels))
        if row == 0:
            axis.set_title(LAYOUTS[layouts[column]].title(terms), fontsize=9.5)
        if row == len(dtypes) - 1:
            axis.set_xlabel("granule (B)")
        if column == 0:
            axis.set_ylabel(f"head dimension, {dtypes[row]}" if dtypes[row] else "row")
    bar = figure.colorbar(mpl.cm.ScalarMappable(norm, REVERSED), ax=grid, pad=0.01, fraction=0.03, aspect=30)
    bar.set_label("bytes fetched ÷ needed")
    powers = range(int(math.log2(most)) + 1)
    bar.set_ticks([2.0**power for power in powers], labels=[f"{2**power}" for power in powers])
    bar.ax.yaxis.set_minor_locator(NullLocator())
    title = textwrap.fill(_title(cells, own, chip), int(width * LETTERS))
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5)
    return figure


def _title(cells: Sequence[OverFetchCell], own: Sequence[OverFetchCell], chip: Chip | None) -> str:
    """The title: what the map shows, what the outline marks, and what a dash means."""
    title = "Bytes fetched for each byte that is needed"
    if chip is not None:
        name, granule = granule_of(chip)
        title += f"; outlined: {chip.title}, {name} {granule} B, {agreement(own)}"
    if any(cell.ratio is None for cell in cells):
        title += "; –: no layout of this kind for such rows"
    return title


def _panel(axis: Axes, cells: Sequence[OverFetchCell], granules: list[int], labels: list[str], norm: LogNorm) -> None:
    """Draw the cells of one layout and element type, with a number in each."""
    values = np.full((len(labels), len(granules)), np.nan)
    texts: dict[tuple[int, int], str] = {}
    for cell in cells:
        at = labels.index(cell.row.label), granules.index(cell.granule)
        if cell.ratio is not None:
            values[at], texts[at] = cell.ratio, _number(cell.ratio)
            if cell.simulated is not None and abs(cell.difference) > NOTICED:
                texts[at] += f"\n({_number(cell.simulated)})"
        else:
            texts[at] = "–"
    axis.imshow(values, cmap=REVERSED, norm=norm, aspect="auto", origin="lower")
    axis.set_facecolor("0.93")
    for (row, column), text in texts.items():
        colour = "black" if text == "–" else ink(norm(values[row, column]), REVERSED)
        axis.text(column, row, text, ha="center", va="center", fontsize=8.5, color=colour, linespacing=1.0)
    axis.set_xticks(range(len(granules)), [str(granule) for granule in granules])
    axis.set_yticks(range(len(labels)), labels)
    axis.tick_params(length=0, labelsize=8.5)
    axis.spines[:].set_visible(False)


def _outline(axis: Axes, column: int, rows: int) -> None:
    """Outline the granularity of the chip."""
    for colour, width in (("white", 3.0), ("black", 1.4)):
        frame = Rectangle((column - 0.5, -0.5), 1, rows, fill=False, edgecolor=colour, linewidth=width, zorder=3)
        frame.set_clip_on(False)
        axis.add_patch(frame)


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"
