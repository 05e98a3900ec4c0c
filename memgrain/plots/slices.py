"""Slices of a search: each objective against each key, one point per trial, the front marked."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from memgrain.plots.along import log_ticks
from memgrain.plots.coordinates import LETTERS, MAP, WIDE, apart, factor, heading, label_of, label_ticks, positions_of
from memgrain.plots.style import new_figure

CROSSES = "0.6"
"""Grey level of trials that violate a constraint."""


def slices(frame: pd.DataFrame, keys: list[str], objectives: Mapping[str, str], title: str) -> Figure:
    """Draw a row of panels for each objective. Colour is the trial's number and shows where the search went last.
    Trials that violate a constraint are crosses; refused trials are omitted."""
    rows = frame[frame["state"] != "refused"]
    alone = apart(rows, keys)
    keys = list(alone)
    figure = new_figure(max(7.5, 1.8 + 2.1 * len(keys)), 0.9 + 2.4 * len(objectives))
    panels = figure.subplots(len(objectives), len(keys), sharex="col", sharey="row", squeeze=False)
    norm = Normalize(0, max(int(frame["number"].max()), 1))
    for line, (name, direction) in zip(panels, objectives.items(), strict=True):
        for axis, key in zip(line, keys, strict=True):
            _panel(axis, rows, key, name, norm)
        head = f"{label_of(name)} {'↓' if direction == 'minimise' else '↑'}"
        line[0].set_ylabel(textwrap.fill(head, LETTERS + 6), fontsize=9)
    for axis, key in zip(panels[-1], keys, strict=True):
        axis.set_xlabel(textwrap.fill(heading(key, alone[key]), LETTERS + 12), fontsize=9)
    figure.colorbar(
        mpl.cm.ScalarMappable(norm, MAP),
        ax=panels.ravel().tolist(),
        label="trial",
        ticks=MaxNLocator(integer=True),
        pad=0.015,
        fraction=0.05,
        aspect=30,
    )
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(f"{title}: slices", x=0.01, ha="left", fontsize=10.5)
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, key: str, name: str, norm: Normalize) -> None:
    where = positions_of(rows, key)
    at = pd.Series(where.positions, index=rows.index)
    values = rows[name].astype(float) * factor(name)
    fine, best = rows["state"] == "feasible", rows["front"].astype(bool)
    if (~fine).any():
        axis.scatter(
            at[~fine], values[~fine], marker="x", s=18, color=CROSSES, linewidths=0.9, label="violates a constraint"
        )
    axis.scatter(
        at[fine], values[fine], c=rows.loc[fine, "number"], cmap=MAP, norm=norm, s=18, linewidths=0, label="feasible"
    )
    axis.scatter(at[best], values[best], s=60, facecolors="none", edgecolors="black", linewidths=1.1, label="front")
    many = len(where.labels) > 5 or max(map(len, where.labels)) > 4
    axis.set_xticks(
        where.ticks, where.labels, fontsize=7.5, rotation=45 if many else 0, ha="right" if many else "center"
    )
    axis.set_xlim(-0.12, 1.12)
    if (values > 0).all() and values.max() > WIDE * values.min():
        axis.set_yscale("log")
        log_ticks(axis.yaxis)
    label_ticks(axis.yaxis, rows, name)
    axis.tick_params(axis="y", labelsize=8)
    axis.grid(axis="y", color="0.9")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
