"""Time of a model's step: one bar per kind of layer, divided into components."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from memgrain.models import ModelRun
from memgrain.plots.style import HATCHES, new_figure
from memgrain.workloads.layers.step import COMPONENTS


def bars(found: ModelRun) -> Figure:
    """Draw the milliseconds of all layers of each kind."""
    kinds = list(dict.fromkeys(line.layer for line in found.lines))
    figure = new_figure(9, 1.6 + 0.55 * len(kinds))
    axis = figure.subplots()
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.95, len(COMPONENTS)))
    left = dict.fromkeys(kinds, 0.0)
    for index, component in enumerate(COMPONENTS):
        sums = [
            sum(line.layers * line.time for line in found.lines if (line.layer, line.component) == (kind, component))
            for kind in kinds
        ]
        if any(sums):
            widths = [total / 1e9 for total in sums]
            axis.barh(
                range(len(kinds)),
                widths,
                left=list(left.values()),
                color=colours[index],
                hatch=HATCHES[index],
                edgecolor="white",
                label=component,
            )
            left = {kind: left[kind] + width for kind, width in zip(kinds, widths, strict=True)}
    counts = {line.layer: line.layers for line in found.lines}
    axis.set_yticks(range(len(kinds)), [f"{counts[kind]} x {kind}" for kind in kinds])
    axis.invert_yaxis()
    axis.set_xlabel("time of all layers of the kind (ms)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(COMPONENTS), frameon=False)
    request = found.request
    many = f"{request.shard.chips} x " if request.shard.chips > 1 else ""
    figure.suptitle(
        f"{request.model.title}, {request.step.phase} at {request.step.context:,} tokens on "
        f"{many}{request.chip.title}: {found.time / 1e9:,.4g} ms",
        x=0.01,
        ha="left",
    )
    return figure
