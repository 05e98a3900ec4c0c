"""Lines: a metric against one swept key, a line for each chip or each value of another key."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from codesign.errors import CodesignError
from codesign.labels import key_label, metric_label, value_text
from codesign.pivot import series, varying

DPI = 150
MARKERS = "osD^vPX*"


def lines(frame: pd.DataFrame, metric: str, x: str, by: str | None = None) -> Figure:
    """The figure, `x` in equal steps so that 64, 80, 96, 256 do not crowd; raises CodesignError if rows collide."""
    if x not in frame.columns:
        raise CodesignError(f"no key '{x}' in these rows; keys that vary: {', '.join(varying(frame)) or 'none'}")
    split = by or "chip"
    if split not in frame.columns:
        raise CodesignError(f"no key '{split}' in these rows; keys that vary: {', '.join(varying(frame)) or 'none'}")
    data = frame[[x, split]].assign(value=series(frame, metric))
    if data.duplicated([x, split]).any():
        others = [key for key in ["chip", *varying(frame)] if key not in (x, split) and frame[key].nunique() > 1]
        raise CodesignError(
            f"several rows for one {x} and {split}; these vary too: {', '.join(others) or 'the workload'}; "
            "keep one value of each with --where KEY=VALUE"
        )
    table = data.pivot(index=x, columns=split, values="value")
    figure = Figure(figsize=(7.5, 4.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(len(table.columns), 2)))
    titles = dict(zip(frame["chip"], frame["chip_title"], strict=True))
    for place, name in enumerate(table.columns):
        label: Any = titles[name] if split == "chip" else value_text(split, name)
        axis.plot(
            range(len(table.index)),
            table[name].to_numpy(float),
            color=colours[place],
            label=str(label),
            marker=MARKERS[place % len(MARKERS)],
            markersize=5,
            linewidth=1.6,
        )
    axis.set_xticks(range(len(table.index)), [value_text(x, value) for value in table.index])
    axis.set_xlabel(key_label(x))
    axis.set_ylabel(metric_label(metric))
    if (table.to_numpy(float) >= 0).any():
        axis.set_ylim(bottom=min(0.0, float(np.nanmin(table.to_numpy(float)))))
    axis.grid(axis="y", color="0.9")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(title=key_label(split), loc="outside right upper", frameon=False)
    axis.set_title(str(frame.iloc[0]["workload"]), loc="left", fontsize=10.5)
    return figure
