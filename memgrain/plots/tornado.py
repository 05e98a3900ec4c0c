"""A tornado plot: the effect of each uncertain parameter of a chip on a metric, one bar for each end of its range."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from memgrain.plots.style import new_figure
from memgrain.runs.labels import metric_label, scale
from memgrain.runs.provenance import with_unit
from memgrain.uncertainty.ends import Span

MOST = 12
"""Maximum number of bars; the title counts the others."""
HATCHES = {"assumed": "////", "derived": "....", "measured": "", "vendor": "xxxx"}
"""Hatch of a bar by the kind of its parameter's source."""
PARTS = (0.95, 0.55)
"""Positions in the colour map of the bars for the lowest and the highest value."""
ROOM = 0.34
"""Margin beside the bars for the texts at their ends, as a fraction of the plotted range."""
DWARF = 4.0
"""A bar dwarfs the following ones if it is this many times as long as the next."""
CUTS = 2
"""Maximum number of bars that are cut off."""
CUT = 1.3
"""Length at which such bars are cut off, relative to the longest of the others."""
LINE = 100
"""Characters in a line of the title."""


def tornado(bars: Sequence[Span], nominal: float, metric: str, title: str) -> Figure:
    """Draw the bars, the widest on top. The text at each end is the parameter's value there."""
    telling = [bar for bar in bars if bar.reach(nominal)[0] < bar.reach(nominal)[1]]
    shown, factor = telling[:MOST], scale(metric)
    figure = new_figure(8.5, 1.9 + 0.34 * max(len(shown), 1))
    axis = figure.subplots()
    low, high = _limits(shown, nominal, factor)
    for row, bar in enumerate(shown):
        _draw(axis, row, bar, nominal, factor, (low, high))
    axis.axvline(nominal * factor, color="0.2", linewidth=1.0, zorder=3)
    width = high - low or 1.0
    axis.set_xlim(low - ROOM * width, high + ROOM * width)
    axis.set_yticks(range(len(shown)), [f"{bar.path} = {with_unit(bar.value)}" for bar in shown])
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(metric_label(metric))
    axis.grid(axis="x", color="0.9")
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    kinds = [kind for kind in HATCHES if any(bar.kind == kind for bar in shown)]
    patches = [Patch(facecolor=_colour(end), label=f"at its {name}") for end, name in enumerate(("lowest", "highest"))]
    patches += [Patch(facecolor="white", edgecolor="0.2", hatch=HATCHES[kind], label=kind) for kind in kinds]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    left = len(bars) - len(shown)
    what = "One number at a time at the ends of its range" + (f" ({left} more do less or nothing)" if left else "")
    figure.suptitle(
        "\n".join([what, *textwrap.wrap(title, LINE, max_lines=2, placeholder=" …")]), x=0.01, ha="left", fontsize=10.5
    )
    return figure


def _limits(shown: Sequence[Span], nominal: float, factor: float) -> tuple[float, float]:
    """Left and right limits of the bars: the ends of the longest one, unless it dwarfs the others."""
    middle = nominal * factor
    ends = [[abs(bar.reach(nominal)[side] * factor - middle) for bar in shown] for side in (0, 1)]
    lengths = sorted((max(both) for both in zip(*ends, strict=True)), reverse=True) or [0.0]
    first = 0  # index of the first bar that is not cut off
    while first < min(CUTS, len(lengths) - 1) and lengths[first] > DWARF * lengths[first + 1]:
        first += 1
    most = CUT * lengths[first] if first else lengths[0]
    left, right = (min(max(side, default=0.0), most) for side in ends)
    return middle - left, middle + right


def _draw(axis: Axes, row: int, bar: Span, nominal: float, factor: float, limits: tuple[float, float]) -> None:
    """Draw the two bars of one parameter, the longer one behind, and label them with the parameter's values. A bar that
    is cut off at the limits also shows the metric's value that it reaches."""
    ends = []
    for end, value in enumerate(bar.values):
        if value is not None:
            at = min(max(value * factor, limits[0]), limits[1])
            beyond = "" if at == value * factor else f": {value * factor:,.4g}, cut off"
            ends.append((at, end, with_unit(bar.ends[end]) + beyond))
    middle = nominal * factor
    for value, end, _ in sorted(ends, key=lambda item: -abs(item[0] - middle)):
        axis.barh(
            row,
            value - middle,
            left=middle,
            height=0.62,
            color=_colour(end),
            edgecolor="0.2",
            linewidth=0.6,
            hatch=HATCHES[bar.kind],
            zorder=2,
        )
    ends.sort()
    if len(ends) == 1:
        known, refused = ends[0], next(bar.ends[end] for end, value in enumerate(bar.values) if value is None)
        other = (middle, -1, f"{with_unit(refused)} refused")
        ends = [known, other] if known[0] < middle else [other, known]
    for (value, _, text), side in zip(ends, ("right", "left"), strict=True):
        edge = min(value, middle) if side == "right" else max(value, middle)
        away = -4 if side == "right" else 4
        axis.annotate(text, (edge, row), (away, 0), textcoords="offset points", ha=side, va="center", fontsize=8)


def _colour(end: int) -> tuple[float, float, float, float]:
    return mpl.colormaps["cividis"](PARTS[end])
