"""Addresses over access number: one panel per tensor of a trace, one dot per access (or per N accesses)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray

from memgrain.inputs.quantities import format_bytes
from memgrain.plots.style import new_figure
from memgrain.workloads import Tensor
from memgrain.workloads.formats.flat import FLAT
from memgrain.workloads.trace import Records

DOTS = 200_000
"""Maximum number of dots. Of a longer trace only every second, third, … access is drawn."""
LABELS = (("read", "#31688e"), ("write", "#d1495b"))


def picture(blocks: Iterable[Records], total: int, tensors: Sequence[Tensor], title: str) -> Figure:
    """Draw `total` accesses (records of `memgrain.workloads.formats.flat`) to `tensors`. A tensor without an access
    gets no panel."""
    every = max(1, -(-total // DOTS))
    numbers, dots = _sample(blocks, every)
    touched = [number for number in range(len(tensors)) if (dots["tensor"] == number).any()]
    figure = new_figure(8.0, 0.9 + 1.5 * max(1, len(touched)))
    panels = figure.subplots(max(1, len(touched)), 1, sharex=True, squeeze=False)[:, 0]
    for axis, number in zip(panels, touched, strict=False):
        tensor, here = tensors[number], dots["tensor"] == number
        for write, (label, colour) in enumerate(LABELS):
            some = here & (dots["write"] == bool(write))
            offsets = dots["address"][some].astype(np.int64) - tensor.base
            axis.plot(numbers[some], offsets, ".", color=colour, markersize=1.5, label=label, rasterized=True)
        axis.set_ylabel(tensor.name)
        axis.yaxis.set_major_locator(MultipleLocator(1 << max(0, (tensor.bytes // 3).bit_length() - 1)))
        axis.yaxis.set_major_formatter(FuncFormatter(_offset))
        axis.set_ylim(0 - 0.03 * tensor.bytes, 1.03 * tensor.bytes)
        axis.spines[["top", "right"]].set_visible(False)
    panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panels[-1].set_xlabel("access number" + (f" (one of every {every:,} drawn)" if every > 1 else ""))
    marks = [mpl.lines.Line2D([], [], marker="o", linestyle="", color=colour, label=label) for label, colour in LABELS]
    figure.legend(handles=marks, loc="outside right upper", frameon=False)
    figure.suptitle(f"{title} (bytes from the start of each tensor)", x=0.01, ha="left", fontsize=10.5)
    return figure


def _sample(blocks: Iterable[Records], every: int) -> tuple[NDArray[np.int64], Records]:
    """Take one of `every` accesses; returns the access numbers and the records."""
    numbers, dots, first = [np.zeros(0, np.int64)], [np.zeros(0, FLAT)], 0
    for block in blocks:
        at = np.arange(-first % every, len(block), every)
        numbers.append(first + at)
        dots.append(block[at])
        first += len(block)
    return np.concatenate(numbers), np.concatenate(dots)


def _offset(value: float, _: object) -> str:
    return format_bytes(round(value)) if value >= 0 else ""
