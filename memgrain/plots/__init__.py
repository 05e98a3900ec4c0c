"""One file per kind of figure. `figures` chooses the kind that fits the rows of a sweep."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from memgrain.errors import MemgrainError
from memgrain.plots.heatmap import heatmap
from memgrain.plots.lines import lines
from memgrain.runs.labels import SHARE
from memgrain.runs.pivot import varying


def figures(
    frame: pd.DataFrame, metric: str | None = None, x: str | None = None, y: str | None = None, by: str | None = None
) -> list[tuple[str, Figure]]:
    """Draw the rows of a sweep; returns the figures with names for their files.

    If two or more keys vary, or `y` is given, the result is one heatmap per chip with a panel for each value of a third
    key. If one key varies, or `x` and `by` are given, it is one figure with a line for each chip or value of `by`.
    Raises MemgrainError if no figure fits the rows.
    """
    metric = metric or SHARE
    free = [key for key in varying(frame) if key not in (x, y, by)]
    if y is None and (x is None or by is None) and len(free) >= (2 if x is None else 1) and not (x and by):
        y = free.pop(0)
    if x is None:
        if not free:
            raise MemgrainError(
                "no key varies in these rows, so there is nothing to draw; give the sweep a grid, or a key for x"
            )
        x = free.pop(0)
    if y is None:
        return [(f"{metric}_by_{x}", lines(frame, metric, x, by))]
    if by is None and free:
        by = free.pop(0)
    return [(f"{chip}_{metric}", heatmap(group, metric, x, y, by)) for chip, group in frame.groupby("chip", sort=False)]
