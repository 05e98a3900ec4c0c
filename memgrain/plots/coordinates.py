"""Parallel coordinates: one axis per key and objective, one line per trial of a search, the front drawn on top."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from memgrain.plots.style import new_figure
from memgrain.runs.labels import key_label, key_name, metric_label, scale, words
from memgrain.runs.quantities import numbers, ordered

MAP = "viridis"
SINGLE = 10
"""Up to this many distinct values, each has its own position and label on an axis."""
WIDE = 10.0
"""An axis is logarithmic if its largest value is more than this many times its smallest."""
LETTERS = 18
"""Characters in a line of an axis label."""
BESIDE = 0.05
"""Lines of the front that pass through one value are spread over this fraction of the axis, so that they can be told
apart."""
OTHERS = "0.72"
"""Grey level of trials that are not on the front."""


@dataclass(frozen=True)
class AxisPositions:
    """Positions of a column's values on an axis from 0 to 1."""

    positions: NDArray[np.float64]
    """Position of each row; NaN where it has no value."""
    ticks: tuple[float, ...]
    """Positions of the tick labels."""
    labels: tuple[str, ...]
    """Texts of the tick labels."""


def label_of(name: str) -> str:
    """The axis label of a key or an objective."""
    return key_label(name) if "." in name else metric_label(name)


def factor(name: str) -> float:
    """Factor from a key's or an objective's stored value to the displayed one."""
    return 100.0 if name == "selection.ratio" else scale(name)


def tick(frame: pd.DataFrame, name: str, value: float) -> str:
    """The tick label for a value of an objective that is already multiplied by `factor`."""
    unit = frame.attrs.get("units", {}).get(name)
    return f"{value:.3g}" if unit is None else unit.format(value)


def label_ticks(axis: Axis, frame: pd.DataFrame, name: str) -> None:
    """If an objective is a quantity, set ticks at its values (five evenly spaced ones if there are many) with their
    units."""
    unit = frame.attrs.get("units", {}).get(name)
    if unit is None:
        return
    values = sorted(set(frame[name].dropna().tolist()))
    ends = values if len(values) <= SINGLE else np.linspace(values[0], values[-1], 5).tolist()
    axis.set_ticks(ends, [unit.format(value) for value in ends])


def positions_of(frame: pd.DataFrame, name: str) -> AxisPositions:
    """Positions of a column: one position per distinct value for texts and for few values, a numeric scale for many
    numbers."""
    column = [words(name, value) if isinstance(value, Mapping) else value for value in frame[name].tolist()]
    found = numbers(column)
    unit = frame.attrs.get("units", {}).get(name)
    single = "." in name or unit is not None

    choices = frame.attrs.get("choices", {}).get(name, ()) if unit is None else ()

    def text(value: Any) -> str:
        return words(name, value) if unit is None else unit.format(value)

    if found is None or (single and len(set(found)) <= SINGLE):
        order = [*dict.fromkeys(map(text, ordered([*choices, *column])))]
        texts = list(map(text, column))
        order = [known for known in order if known in texts]
        at = np.linspace(0, 1, len(order)) if len(order) > 1 else np.array([0.5])
        where = dict(zip(order, at.tolist(), strict=True))
        return AxisPositions(np.array([where[text] for text in texts]), tuple(where.values()), tuple(where))
    values = np.array(found)
    if len(set(values)) == 1:
        return AxisPositions(np.full(len(values), 0.5), (0.5,), (tick(frame, name, factor(name) * float(values[0])),))
    low, high = float(values.min()), float(values.max())
    log = low > 0 and high / low > WIDE
    ends = np.geomspace(low, high, 5) if log else np.linspace(low, high, 5)
    bent, first, last = (np.log(values), math.log(low), math.log(high)) if log else (values, low, high)
    positions: NDArray[np.float64] = (bent - first) / (last - first)
    labels = tuple(tick(frame, name, factor(name) * value) for value in ends.tolist())
    return AxisPositions(positions, (0.0, 0.25, 0.5, 0.75, 1.0), labels)


def apart(frame: pd.DataFrame, keys: list[str]) -> dict[str, list[str]]:
    """Group keys whose values determine each other; maps the first key of each group to the others."""
    found: dict[str, list[str]] = {}
    for key in keys:
        codes = pd.factorize(frame[key].map(lambda value, key=key: words(key, value)))[0]
        for other in found:
            beside = pd.factorize(frame[other].map(lambda value, other=other: words(other, value)))[0]
            pairs = len(set(zip(codes.tolist(), beside.tolist(), strict=True)))
            if pairs == len(set(codes.tolist())) == len(set(beside.tolist())):
                found[other].append(key)
                break
        else:
            found[key] = []
    return found


def heading(key: str, others: list[str]) -> str:
    """The axis label of a group of keys: the first key, followed by the names of the others."""
    return label_of(key) + (f", with {', '.join(map(key_name, others))}" if others else "")


def coordinates(frame: pd.DataFrame, keys: list[str], objectives: Mapping[str, str], title: str) -> Figure:
    """Draw the trials that meet every constraint. The front is coloured by the first objective; the best is darkest.

    `frame` has a column for each key and objective, plus `state` and `front` (see `Explored.frame`).
    """
    rows = frame[frame["state"] == "feasible"].reset_index(drop=True)
    rows.attrs.update(frame.attrs)
    alone = apart(rows, keys)
    names = [*alone, *objectives]
    columns = {name: positions_of(rows, name) for name in names}
    figure = new_figure(max(7.5, 1.2 + 1.55 * len(names)), 4.8)
    axis = figure.subplots()
    table = np.column_stack([columns[name].positions for name in names])
    first = next(iter(objectives))
    shades = _shades(rows, first, objectives[first])
    for index in np.flatnonzero(~rows["front"].to_numpy(bool)):
        axis.plot(range(len(names)), table[index], color=OTHERS, linewidth=0.7, alpha=0.6, zorder=1)
    best = np.flatnonzero(rows["front"].to_numpy(bool))
    for rank, index in enumerate(best):
        heights = table[index] + BESIDE * ((rank + 0.5) / len(best) - 0.5)
        axis.plot(range(len(names)), heights, color=shades[index], linewidth=1.8, marker="o", markersize=4, zorder=3)
    for number, name in enumerate(names):
        _axis(axis, number, columns[name])
    arrows = {"minimise": "↓", "maximise": "↑"}
    heads = [
        f"{label_of(name)} {arrows[objectives[name]]}" if name in objectives else heading(name, alone[name])
        for name in names
    ]
    axis.set_xticks(range(len(names)), [textwrap.fill(head, LETTERS) for head in heads], fontsize=8)
    axis.set_yticks([])
    axis.set_xlim(-0.3, len(names) - 0.3)
    axis.tick_params(axis="x", length=0)
    axis.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axis.set_title(
        f"{title}: front in colour, {len(rows)} trials that meet every constraint", loc="left", fontsize=10.5
    )
    return figure


def _axis(axis: Axes, number: int, column: AxisPositions) -> None:
    """Draw one of the parallel axes, with its labels on the right."""
    axis.plot([number, number], [0, 1], color="0.3", linewidth=1.0, zorder=2)
    for tick, label in zip(column.ticks, column.labels, strict=True):
        axis.annotate(
            label,
            (number, tick),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
        )


def _shades(rows: pd.DataFrame, first: str, direction: str) -> NDArray[np.float64]:
    values = rows[first].to_numpy(float) * (1 if direction == "minimise" else -1)
    front = values[rows["front"].to_numpy(bool)]
    norm = Normalize(float(front.min()), float(front.max()) if front.max() > front.min() else float(front.min()) + 1)
    shades: NDArray[np.float64] = mpl.colormaps[MAP](0.88 * np.clip(np.asarray(norm(values)), 0, 1))
    return shades
