"""The Pareto front of a search: two objectives against each other, the front as a staircase, dominated trials in
grey."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from memgrain.plots.along import log_ticks
from memgrain.plots.coordinates import MAP, WIDE, factor, label_of, label_ticks
from memgrain.plots.style import new_figure

GREY, PALE = "0.62", "0.78"
SIDES = {"minimise": "small is better", "maximise": "large is better"}


def pareto(frame: pd.DataFrame, objectives: Mapping[str, str], title: str) -> Figure:
    """Draw the front. A third objective gives the colour; further objectives appear in the other figures only.

    `frame` has a column for each objective, plus `state` and `front` (see `Explored.frame`).
    """
    names = list(objectives)
    figure = new_figure(7.8, 5.0)
    axis = figure.subplots()
    data = (
        frame[names]
        .astype(float)
        .mul([factor(name) for name in names])
        .assign(state=frame["state"], front=frame["front"].astype(bool))
    )
    _others(axis, data, names)
    best = data[data["front"]].sort_values(names[0])
    if len(names) == 2:
        steps = "steps-post" if objectives[names[0]] == "minimise" else "steps-pre"
        axis.plot(best[names[0]], best[names[1]], color="0.25", linewidth=1.2, drawstyle=steps, zorder=3)
        axis.scatter(
            best[names[0]], best[names[1]], s=46, color="#2a6f97", marker="D", label="front, by trial", zorder=4
        )
    else:
        drawn = axis.scatter(
            best[names[0]], best[names[1]], c=best[names[2]], cmap=MAP, s=60, marker="D", edgecolors="black",
            linewidths=0.6, label="front, by trial", zorder=4,
        )  # fmt: skip
        bar = figure.colorbar(drawn, ax=axis, label=f"{label_of(names[2])}, {SIDES[objectives[names[2]]]}", pad=0.02)
        label_ticks(bar.ax.yaxis, frame[frame["front"].astype(bool)], names[2])
    _scales(axis, data, names)
    _number(axis, frame.loc[best.index, "number"], best, names)
    label_ticks(axis.xaxis, frame, names[0])
    label_ticks(axis.yaxis, frame, names[1])
    axis.set_xlabel(f"{label_of(names[0])}, {SIDES[objectives[names[0]]]}")
    axis.set_ylabel(f"{label_of(names[1])}, {SIDES[objectives[names[1]]]}")
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    more = f" (by the first three of {len(names)} objectives)" if len(names) > 3 else ""
    axis.set_title(f"{title}: Pareto front, {len(best)} of {len(data)} trials{more}", loc="left", fontsize=10.5)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _others(axis: Axes, data: pd.DataFrame, names: list[str]) -> None:
    """Draw the trials that are not on the front."""
    beaten = data[(data["state"] == "feasible") & ~data["front"]]
    violating = data[data["state"] == "violates"]
    if len(beaten):
        axis.scatter(beaten[names[0]], beaten[names[1]], s=26, color=GREY, marker="o", label="dominated", zorder=2)
    if len(violating):
        axis.scatter(
            violating[names[0]], violating[names[1]], s=26, color=PALE, marker="x", label="violates a constraint"
        )


def _number(axis: Axes, numbers: pd.Series, best: pd.DataFrame, names: list[str]) -> None:
    """Write beside each point of the front the number of its trial, which tables and files use too."""
    seen: set[tuple[float, float]] = set()
    for number, x, y in zip(numbers, best[names[0]], best[names[1]], strict=True):
        if (x, y) not in seen:
            seen.add((x, y))
            label = axis.annotate(
                str(number), (x, y), (5, 5), textcoords="offset points", fontsize=7.5, color="0.2", zorder=5
            )
            label.set_path_effects([withStroke(linewidth=2.0, foreground="white")])


def _scales(axis: Axes, data: pd.DataFrame, names: list[str]) -> None:
    """Use a logarithmic axis where the values range widely."""
    sides = ((names[0], axis.set_xscale, axis.xaxis), (names[1], axis.set_yscale, axis.yaxis))
    for name, set_scale, side in sides:
        values = data[name].dropna()
        if (values > 0).all() and values.max() > WIDE * values.min():
            set_scale("log")
            log_ticks(side)
