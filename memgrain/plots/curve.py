"""Miss ratio against capacity: one line per tensor and one for all; the chip's own capacity is marked."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from memgrain.analysis.curve import ALL, MissRatios
from memgrain.inputs.quantities import format_bytes
from memgrain.plots.style import STYLES, new_figure

BAND = 2
"""Half width of the band around a sampled line, in standard errors."""
MOST_TICKS = 7


def curves(found: MissRatios) -> Figure:
    """Draw the miss-ratio curves."""
    figure = new_figure(8.5, 4.6)
    axis, drawn = figure.subplots(), found.drawn()
    _lines(axis, found, drawn)
    _own(axis, found)
    _capacities(axis, drawn[0], drawn[-1])
    axis.set_ylim(-2, 102)
    axis.set_ylabel("reads that miss (%)")
    ways = found.curve.axis == "ways"
    axis.set_xlabel("capacity (1 to 64 ways of the same sets, LRU)" if ways else "capacity (fully associative, LRU)")
    axis.grid(color="0.9")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    band = f"band: ±{BAND} standard errors" if found.curve.groups else None
    figure.legend(title=band, loc="outside right upper", frameon=False)
    figure.suptitle(found.title, x=0.01, ha="left", fontsize=10.5)
    return figure


def _lines(axis: Axes, found: MissRatios, drawn: list[int]) -> None:
    """Draw a line for each tensor and a black one for all."""
    ratios, errors = 100 * found.ratios(drawn), 100 * found.errors(drawn)
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.8, max(len(found.names) - 1, 2)))
    for index, name in enumerate(found.names):
        # Lines drawn first are wider, so that they remain visible under lines that coincide with them.
        wide = 1.6 + 1.1 * min(len(found.names) - 2 - index, 3)
        colour, style, width = ("black", "-", 1.2) if name == ALL else (colours[index], STYLES[index % 6], wide)
        if np.isnan(ratios[index]).all():
            continue
        axis.plot(drawn, ratios[index], color=colour, linestyle=style, linewidth=width, label=name)
        if found.curve.groups:
            low, high = (ratios[index] + sign * BAND * errors[index] for sign in (-1, 1))
            axis.fill_between(drawn, low, high, color=colour, alpha=0.18, linewidth=0)


def _own(axis: Axes, found: MissRatios) -> None:
    """Mark the capacity of the chip's cache and the miss ratio that the simulation counted."""
    own, cache = found.curve.own, found.point.chip.cache
    if own is None or cache is None:
        return
    axis.axvline(own, color="0.45", linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axis.plot(
        [own],
        [100 * found.simulated()],
        marker="D",
        markersize=7,
        markerfacecolor="white",
        markeredgecolor="black",
        linestyle="",
        zorder=3,
        clip_on=False,
        label=f"all, simulated: {cache.ways} ways",
    )
    axis.annotate(
        f"{cache.name}, {format_bytes(own)}",
        (own, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(4, 2),
        textcoords="offset points",
        fontsize=9,
        color="0.3",
    )


def _capacities(axis: Axes, low: int, high: int) -> None:
    """Set a logarithmic scale of bytes with ticks at powers of two."""
    first, last = low.bit_length() - 1, high.bit_length()
    every = -(-(last - first) // MOST_TICKS)
    ticks = [1 << power for power in range(first, last + 1, every) if low <= 1 << power <= high]
    axis.set_xscale("log", base=2)
    axis.set_xlim(low * 0.93, high * 1.07)
    axis.set_xticks(ticks)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_bytes(round(value))))
