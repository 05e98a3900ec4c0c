"""Where the time goes: a bar of shares for each result, parts joined that are below a hundredth of it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from memgrain.hwmodels.units import format_duration
from memgrain.plots.model_run import HATCHES
from memgrain.plots.ratios import DPI

OTHER = "other"
"""Name of what is joined."""
SMALL = 0.01
"""Share below which parts are joined."""
WRITTEN = 0.06
"""Share from which on a part has room for its number."""
LETTERS = 105
"""Letters of a line of the title."""
COLUMNS = 6
"""Entries of a row of the legend, at most."""
GREY = (0.88, 0.88, 0.88, 1.0)
"""Colour of what is joined."""


@dataclass(frozen=True)
class Bar:
    """One result."""

    label: str
    """What stands beside its bar."""
    time: int
    """Its time in ps."""
    breakdown: Mapping[str, int]
    """Where that went, in ps."""

    def shares(self) -> dict[str, float]:
        """Shares of the time from the largest to the smallest; those below SMALL are joined as OTHER."""
        return joined({part: time / self.time for part, time in self.breakdown.items()})


def joined(shares: Mapping[str, float]) -> dict[str, float]:
    """Shares from the largest to the smallest; those below SMALL are joined as OTHER, which comes last."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    found = {part: share for part, share in ordered if share >= SMALL}
    rest = sum(share for _, share in ordered if share < SMALL)
    return found | ({OTHER: rest} if rest > 0 else {})


def bars(found: Sequence[Bar], title: str) -> Figure:
    """The figure: parts in the order of their shares over all bars, the time at the end of each bar."""
    ends = [format_duration(float(f"{bar.time:.4g}")).replace("us", "µs") for bar in found]
    return stacked([bar.label for bar in found], [bar.shares() for bar in found], ends, title, "share of the time (%)")


def stacked(
    labels: Sequence[str], shares: Sequence[Mapping[str, float]], ends: Sequence[str], title: str, what: str
) -> Figure:
    """A horizontal bar for each of the `labels`, made of `shares` by part, with a text at its end."""
    sums: dict[str, float] = {}
    for bar in shares:
        for part, share in bar.items():
            sums[part] = sums.get(part, 0.0) + share
    parts = sorted(sums, key=lambda part: (part == OTHER, -sums[part]))
    rows = -(-len(parts) // COLUMNS)
    figure = Figure(figsize=(9.5, 1.35 + 0.42 * len(labels) + 0.25 * rows), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    styles = _styles(parts)
    for place, bar in enumerate(shares):
        left = 0.0
        for part in parts:
            if share := bar.get(part, 0.0):
                axis.barh(place, 100 * share, left=100 * left, height=0.68, edgecolor="white", **styles[part])
                _number(axis, place, left, share)
                left += share
        axis.annotate(ends[place], (100, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9)
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
    """Colour and hatch of each part, so that neighbours differ in both and in grey."""
    coloured = [part for part in parts if part != OTHER]
    colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.95, max(len(coloured), 2)))
    order = [*range(0, len(coloured), 2), *range(1, len(coloured), 2)]
    found: dict[str, dict[str, Any]] = {
        part: {"facecolor": tuple(colours[order.index(place)]), "hatch": HATCHES[place % len(HATCHES)]}
        for place, part in enumerate(coloured)
    }
    return {**found, OTHER: {"facecolor": GREY, "hatch": ""}}


def _number(axis: Axes, place: int, left: float, share: float) -> None:
    """The share within its part, on a plate that keeps it readable over the hatch."""
    if share < WRITTEN:
        return
    axis.text(
        100 * (left + share / 2),
        place,
        f"{100 * share:.0f}",
        ha="center",
        va="center",
        fontsize=8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "boxstyle": "round,pad=0.15", "alpha": 0.9},
    )
