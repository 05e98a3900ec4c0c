"""Quality against budget: published scores minus those of full attention, and recalled attention mass."""

from __future__ import annotations

from itertools import groupby

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from memgrain.errors import MemgrainError
from memgrain.plots.style import STYLES, new_figure
from memgrain.quality.recall import MODEL, RATIOS, recall
from memgrain.quality.tables import AVERAGE, PublishedScore, published

MARKS = "osD^vPX*<>"
BANDED = 0
"""Index in LINES of the line whose range over layers is drawn."""
LINES = (
    ("tokens", "tokens", 1, "head"),
    ("tokens, one list for all heads", "tokens", 1, "layer"),
    ("pages of 64 by sum", "pages_sum", 64, "head"),
    ("pages of 64 by highest", "pages_max", 64, "head"),
    ("pages of 64 by Quest's bound", "pages_bound", 64, "head"),
    ("4 sinks and newest", "window", 1, "layer"),
)
"""Name, selection, page size in tokens and sharing of each line of recalled mass."""


def scores(benchmark: str) -> Figure:
    """Draw published scores minus full attention's: one panel per model, one marker per method; points of one context
    are joined.

    The axis is in tokens if the benchmark states budgets in tokens because its texts vary in length.
    """
    rows = [row for row in published() if row.benchmark == benchmark and row.task == AVERAGE]
    if not rows:
        known = ", ".join(dict.fromkeys(row.benchmark for row in published()))
        raise MemgrainError(f"no published row of benchmark '{benchmark}'; there are {known}")
    in_shares = all(row.share is not None for row in rows)
    names, methods = (list(dict.fromkeys(getattr(row, key) for row in rows)) for key in ("model", "method"))
    figure = new_figure(2.6 + 2.9 * len(names), 4.6)
    axes = figure.subplots(1, len(names), sharex=True, squeeze=False)[0]
    for axis, name in zip(axes, names, strict=True):
        _model(axis, [row for row in rows if row.model == name], methods, in_shares)
        axis.set_title(name, loc="left", fontsize=10)
    _budgets(axes[0], in_shares, [row.share if in_shares else row.tokens for row in rows])
    axes[0].set_ylabel("score less full attention's (points)")
    figure.supxlabel(f"budget ({'share of the context' if in_shares else 'tokens'})", fontsize=10)
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False)
    figure.suptitle(f"{benchmark}, published scores; a scale for each model", x=0.01, ha="left", fontsize=11)
    return figure


def _model(axis: Axes, rows: list[PublishedScore], methods: list[str], in_shares: bool) -> None:
    """Draw the methods of one model."""
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(len(methods), 2)))
    axis.axhline(0.0, color="0.4", linewidth=1.0, zorder=1)
    for (method, context), group in groupby(
        sorted(rows, key=lambda r: (methods.index(r.method), r.context or 0, r.budget)),
        key=lambda r: (r.method, r.context),
    ):
        drawn = list(group)
        x = np.array([row.share if in_shares else row.tokens for row in drawn], float)
        y = np.array([row.score - row.full for row in drawn])
        index = methods.index(method)
        axis.plot(
            x,
            y,
            color=colours[index],
            marker=MARKS[index % len(MARKS)],
            markersize=6,
            linestyle="-" if len(drawn) > 1 else "",
            linewidth=1.2,
            label=method,
        )
        if len(drawn) > 1 and context is not None:
            axis.annotate(
                f"{context // 1024}K",
                (x[-1], y[-1]),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _budgets(axis: Axes, in_shares: bool, budgets: list[float | None]) -> None:
    """Set a logarithmic scale with margins at both ends."""
    known = [budget for budget in budgets if budget is not None]
    low, high = min(known), max(known)
    axis.set_xscale("log", base=2)
    axis.set_xlim(low / 2, high * 3)  # room for the contexts beside the last marks
    ticks = [2.0**power for power in range(round(np.log2(low)), int(np.ceil(np.log2(high))) + 1, 2)]
    axis.set_xticks(ticks)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{100 * at:.3g} %" if in_shares else f"{at:.0f}"))


def masses() -> Figure:
    """Draw recalled mass against the selection ratio, one line per selection, with a band over the layers for exact
    tokens."""
    figure = new_figure(9.2, 4.8)
    axis = figure.subplots()
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.88, len(LINES)))
    for index, (name, selection, page, share) in enumerate(LINES):
        found = []
        for ratio in RATIOS:
            try:
                found.append(recall(ratio, selection, page, share))
            except MemgrainError:  # a budget below one page
                continue
        x = [item.ratio for item in found]
        axis.plot(
            x,
            [item.mean for item in found],
            color=colours[index],
            linestyle=STYLES[index],
            marker=MARKS[index],
            markersize=4.5,
            label=name,
        )
        if index == BANDED:
            low, high = ([getattr(item, end)[0] for item in found] for end in ("low", "high"))
            axis.fill_between(x, low, high, color=colours[index], alpha=0.13, linewidth=0, label="its layers, range")
    axis.set_xscale("log")
    axis.set_xticks([0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{100 * at:g} %"))
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("selected share of the context")
    axis.set_ylabel("attention mass recalled (not a score)")
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    context = recall(1.0).context
    figure.suptitle(
        f"Recalled attention mass, {MODEL}, {context:,} tokens, mean of layers", x=0.01, ha="left", fontsize=10.5
    )
    return figure
