"""The value of a key that an inverse query (`memgrain solve`) finds, over the values of another key."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from memgrain.explore.solver import SolveQuery, SolveResult, TriedValue
from memgrain.hwmodels import load_chip
from memgrain.plots.along import DECADE, along, log_ticks
from memgrain.plots.coordinates import factor
from memgrain.plots.style import new_figure
from memgrain.runs.labels import key_label, key_name, metric_label, scale
from memgrain.runs.quantities import identity, ordered, plain, read

LETTERS = 88
"""Characters in a line of the title."""
WIDTH = 6.0
"""Width of the x axis in inches."""
STEPS = (1, 2, 2.5, 5, 10)
"""Distances between ticks, times any power of ten."""
INK, GREY = "#2a6f97", "0.35"


def solved(name: str, answers: Sequence[tuple[Any, SolveResult]], largest: bool = False) -> Figure:
    """Draw the results over the values of the key `name`. At least one of them must have found a value.

    Results for which the condition holds nowhere are drawn at the lower edge if the `largest` value was sought, else at
    the upper edge.
    """
    figure = new_figure(7.8, 4.6)
    axis, first = figure.subplots(), answers[0][1]
    axis.margins(0.09, 0.17)
    by_value = {identity(value): answer for value, answer in answers}
    others = ordered(value for value, _ in answers)
    across, joined = along(axis, name, others, WIDTH)
    both = [(x, by_value[identity(value)]) for x, value in zip(across, others, strict=True)]
    found = [(x, answer, answer.found) for x, answer in both if answer.found]
    heights, numbers = _upward(axis, first.query, [tried.value for _, _, tried in found])
    line = [(x, y) for (x, _, _), y in zip(found, heights, strict=True) if x in across[:joined]]
    if line and numbers:
        axis.plot(*zip(*line, strict=True), color=INK, linewidth=1.4)
    _found(axis, found, heights)
    nowhere = [x for x, answer in both if not answer.found]
    if nowhere:
        axis.plot(
            nowhere, [0.0 if largest else 1.0] * len(nowhere), transform=axis.get_xaxis_transform(), marker="X",
            markersize=10, linestyle="", color=GREY, markeredgecolor="white", clip_on=False, zorder=4,
            label=f"{first.wanted} holds at no value tried",
        )  # fmt: skip
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if not first.best:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(_title(first, name, largest), x=0.01, ha="left", fontsize=10.5)
    return figure


def _upward(axis: Axes, query: SolveQuery, values: list[Any]) -> tuple[list[float], bool]:
    """Positions of the found values along y, and whether they are numbers. Quantities use the unit of the largest one;
    texts keep the order in which they were tried."""
    key = query.key
    numbers = [number for number in map(plain, values) if number is not None]
    if len(numbers) < len(values):
        options = list(map(str, query.bounds.values))
        axis.set_yticks(range(len(options)), options)
        axis.set_ylim(-0.6, len(options) - 0.4)
        axis.set_ylabel(key_label(key))
        return [float(options.index(str(value))) for value in values], False
    unit = read(values[0], key)[1]
    base, label = 1 / factor(key), key_label(key)
    if unit is not None:
        suffix = unit.format(max(numbers)).partition(" ")[2]
        base, label = unit.parse(f"1 {suffix}"), f"{key_name(key)} ({suffix})"
    axis.set_ylabel(label)
    if min(numbers) > 0 and max(numbers) >= DECADE * min(numbers):
        axis.set_yscale("log")
        log_ticks(axis.yaxis)
    else:
        whole = unit is None and all(isinstance(value, int) for value in values)
        axis.yaxis.set_major_locator(MaxNLocator("auto", steps=STEPS, integer=whole))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    return [number / base for number in numbers], True


def _found(axis: Axes, found: list[tuple[float, SolveResult, TriedValue]], heights: list[float]) -> None:
    """Draw a labelled marker for each found value; it is hollow if the condition holds up to the end of the range."""
    edge = [answer.beyond is None and not answer.best for _, answer, _ in found]
    kinds = {
        "the next value fails": (False, INK),
        "holds up to the end of the range": (True, "white"),
    }
    for label, (ends, fill) in kinds.items():
        these = [(x, y) for (x, _, _), y, at_end in zip(found, heights, edge, strict=True) if at_end is ends]
        if these:
            axis.plot(
                *zip(*these, strict=True), marker="o", markersize=8, linestyle="", markerfacecolor=fill,
                markeredgecolor=INK, markeredgewidth=1.5, label=label, zorder=3,
            )  # fmt: skip
    for (x, answer, tried), y in zip(found, heights, strict=True):
        more = f"\n{_metric(answer, tried)}" if answer.best else ""
        label = f"{tried.text}{more}"
        drawn = axis.annotate(label, (x, y), (0, 8), textcoords="offset points", ha="center", fontsize=8.5, zorder=5)
        drawn.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _metric(answer: SolveResult, tried: TriedValue) -> str:
    """The metric at the found value, with its unit."""
    unit = metric_label(answer.column).rpartition("(")[2].rstrip(")") if "(" in metric_label(answer.column) else ""
    return f"{scale(answer.column) * (tried.metric or 0.0):.4g} {unit}".rstrip()


def _title(answer: SolveResult, name: str, largest: bool) -> str:
    """The query in words: what is sought, and for which workload and chip, without the key `name`."""
    query = answer.query
    sought = (
        f"{query.key} at which {answer.metric} is {answer.wanted}"
        if answer.best
        else f"{'Largest' if largest else 'Smallest'} {query.key} for which {answer.wanted}"
    )
    workload = query.workload
    named = str(workload.get("name", "workload")) if isinstance(workload, dict) else Path(str(workload)).stem
    before = "" if query.before == "cold" else f", caches {query.before} before"
    fixed = "".join(f", {key}={value}" for key, value in query.overrides.items() if key != name)
    where = f"{named} on {load_chip(query.chip).title}"
    return "\n".join(textwrap.wrap(sought, LETTERS) + textwrap.wrap(f"{where}{fixed}{before}", LETTERS))
