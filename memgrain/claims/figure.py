"""A figure of a claim: the interval of each case beside its criterion, and below them the matrices of the
experiments."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from memgrain.claims.interval import ValueInterval
from memgrain.claims.result import ResultMatrix, rounded
from memgrain.claims.run import CaseResult, ClaimResult
from memgrain.plots.heatmap import REVERSED, ink
from memgrain.plots.style import new_figure

WIDTH = 46
"""Characters in a line of a case's label."""
STYLES = {True: ("o", "#1f6f8b", "holds"), False: ("X", "#b5460f", "does not hold"), None: ("D", "#777777", "open")}
"""Marker, colour and word of a case by whether the claim holds. The shapes differ, so that greyscale suffices."""


def claim_figure(result: ClaimResult) -> Figure:
    """Draw a row for each case, its interval and in grey the criterion, followed by the matrices."""
    rows = [case for case in result.cases if case.finding is not None and isinstance(case.finding.found, ValueInterval)]
    texts = [case for case in result.cases if case.finding is not None and isinstance(case.finding.found, str)]
    shown, tables = [*rows, *texts], result.matrices()
    heights = [*(1.0 for _ in rows), *(0.45 for _ in texts)] or [1.0]
    inches = [0.8 + 0.72 * sum(heights), *(0.9 + 0.4 * len(matrix.rows) for matrix in tables)]
    figure = new_figure(9.5, sum(inches))
    above, *below = figure.subfigures(len(inches), 1, squeeze=False, height_ratios=inches)[:, 0]
    axes = list(above.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
    for axis, case in zip(axes, shown, strict=False):
        _row(axis, case)
    above.suptitle(result.claim.title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    if rows:
        above.supxlabel("grey: what the claim asks for; line: the interval of what was found", fontsize=7.5)
    for part, matrix in zip(below, tables, strict=True):
        _matrix(part.subplots(), matrix)
    return figure


def _matrix(axis: Axes, matrix: ResultMatrix) -> None:
    """Draw a matrix of numbers of at least 1 as cells, shaded by the logarithm of the number."""
    values = np.array([numbers for _, numbers in matrix.rows])
    norm = LogNorm(1.0, max(2.0, float(values.max())))
    axis.imshow(values, cmap=REVERSED, norm=norm, aspect="auto")
    axis.set_title(matrix.title, fontsize=8.5, loc="left")
    axis.set_xticks(range(len(matrix.columns)), ["\n".join(textwrap.wrap(text, 14)) for text in matrix.columns])
    axis.set_yticks(range(len(matrix.rows)), ["\n".join(textwrap.wrap(name, WIDTH)) for name, _ in matrix.rows])
    axis.tick_params(length=0, labelsize=7)
    axis.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(values):
        shade = float(norm(max(value, 1.0)))
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color=ink(shade, REVERSED))


def _row(axis: Axes, case: CaseResult) -> None:
    """Draw one case on its own axis, since cases measure different quantities."""
    marker, colour, word = STYLES[case.holds]
    finding, criterion = case.finding, case.case.criterion
    assert finding is not None
    label = f"{'told' if case.case.as_claimed else 'facts'}: {case.case.condition}"
    axis.set_yticks([0], ["\n".join(textwrap.wrap(label, WIDTH))], fontsize=7.5)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=7)
    if isinstance(finding.found, str):
        axis.text(
            0.02, 0, f"{finding.found} ({word}; asked for: {criterion.text})", va="center", fontsize=8, color=colour
        )
        axis.set_xlim(0, 1)
        axis.set_xticks([])
        axis.spines["bottom"].set_visible(False)
        return
    found = finding.found
    ends = [end for end in (criterion.at_least, criterion.at_most) if end is not None]
    low, high = min([found.low, *ends]), max([found.high, *ends])
    room = 0.15 * (high - low or abs(high) or 1.0)
    low, high = low - room, high + room
    first = low if criterion.at_least is None else criterion.at_least
    last = high if criterion.at_most is None else criterion.at_most
    axis.axvspan(first, max(last, first + 0.004 * (high - low)), color="0.88", zorder=0)
    axis.plot([found.low, found.high], [0, 0], color=colour, linewidth=2.5, solid_capstyle="butt")
    axis.plot([found.value], [0], marker=marker, color=colour, markersize=7)
    axis.annotate(
        f"{rounded(found.value)}{' ' if finding.unit else ''}{finding.unit}, {word}",
        (found.value, 0),
        xytext=(0, 8),
        textcoords="offset points",
        ha="left" if found.value < (low + high) / 2 else "right",
        fontsize=7.5,
        color=colour,
    )
    axis.set_xlim(low, high)
    axis.set_ylim(-0.6, 1.0)
