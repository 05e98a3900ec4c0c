"""Style of all figures: resolution, markers, line styles and hatches that are distinguishable in greyscale."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 150
MARKERS = "osD^vPX*"
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""Line styles, so that lines differ in greyscale too."""
HATCHES = ("", "//", "..", "\\\\", "xx", "--", "++")
"""Hatches, so that bars differ in greyscale too."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches. It has its own canvas, so that no global state of pyplot is involved."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
