"""Time breakdown: one bar of shares per result; parts below one hundredth are merged."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from memgrain.inputs.quantities import format_duration
from memgrain.plots.style import HATCHES, new_figure

OTHER = "other"
"""Name of the merged parts."""
SMALL = 0.01
"""Share below which parts are merged."""
WRITTEN = 0.06
"""Smallest share with room for its number."""
LETTERS = 105
"""Characters in a line of the title."""
COLUMNS = 6
"""Maximum number of entries in a row of the legend."""
GREY = (0.88, 0.88, 0.88, 1.0)
"""Colour of the merged parts."""


@dataclass(frozen=True)
class Bar:
    """The time breakdown of one result."""

    label: str
    """Label beside the bar."""
    time: int
    """Time in ps."""
    breakdown: Mapping[str, int]
    """Time of each part in ps."""

    def shares(self) -> dict[str, float]:
        """Shares of the time in decreasing order; those below SMALL are merged as OTHER."""
        return joined({part: time / self.time for part, time in self.breakdown.items()})


def joined(shares: Mapping[str, float]) -> dict[str, float]:
    """Shares in decreasing order; those below SMALL are merged as OTHER, which comes last."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    found = {part: share for part, share in ordered if share >= SMALL}
    rest = sum(share for _, share in ordered if share < SMALL)
    return found | ({OTHER: rest} if rest > 0 else {})


def bars(found: Sequence[Bar], title: str) -> Figure:
    """Draw the bars. Parts are ordered by their shares over all bars; the time is written at the end of each bar."""
    ends = [format_duration(float(f"{bar.time:.4g}")).replace("us", "µs") for bar in found]
    return stacked([bar.label for bar in found], [bar.shares() for bar in found], ends, title, "share of the time (%)")


def stacked(
    labels: Sequence[str], shares: Sequence[Mapping[str, float]], ends: Sequence[str], title: str, what: str
) -> Figure:
    """Draw a horizontal bar for each of the `labels`, divided into `shares` by part, with a text of `ends` at its
    end."""
    sums: dict[str, float] = {}
    for bar in shares:
        for part, share in bar.items():
            sums[part] = sums.get(part, 0.0) + share
    parts = sorted(sums, key=lambda part: (part == OTHER, -sums[part]))
    rows = -(-len(parts) // COLUMNS)
    figure = new_figure(9.5, 1.35 + 0.42 * len(labels) + 0.25 * rows)
    axis = figure.subplots()
    styles = _styles(parts)
    for row, bar in enumerate(shares):
        left = 0.0
        for part in parts:
            if share := bar.get(part, 0.0):
                axis.barh(row, 100 * share, left=100 * left, height=0.68, edgecolor="white", **styles[part])
                _number(axis, row, left, share)
                left += share
        axis.annotate(ends[row], (100, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9)
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.set_xlim(0, 100)
    axis.set_xlabel(what)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    handles = [Patch(edgecolor="white", label=part, **styles[part]) for part in parts]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(parts), COLUMNS), frameon=False)
    figure.suptitle(textwrap.fill(title, LETTERS), x=0.01, ha="left", fontsize=10.5)
    return figure


def _styles(parts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and hatch of each part; neighbours differ in both, and in greyscale."""
    coloured = [part for part in parts if part != OTHER]
    colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.95, max(len(coloured), 2)))
    order = [*range(0, len(coloured), 2), *range(1, len(coloured), 2)]
    found: dict[str, dict[str, Any]] = {
        part: {"facecolor": tuple(colours[order.index(row)]), "hatch": HATCHES[row % len(HATCHES)]}
        for row, part in enumerate(coloured)
    }
    return {**found, OTHER: {"facecolor": GREY, "hatch": ""}}


def _number(axis: Axes, row: int, left: float, share: float) -> None:
    """Write the share into its part, on a white box that keeps it readable over the hatch."""
    if share < WRITTEN:
        return
    axis.text(
        100 * (left + share / 2),
        row,
        f"{100 * share:.0f}",
        ha="center",
        va="center",
        fontsize=8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "boxstyle": "round,pad=0.15", "alpha": 0.9},
    )
