"""Figures are readable: axes have units, labels do not overlap, numbers have contrast, the verdict is in the title."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import memgrain
from memgrain.errors import MemgrainError
from memgrain.plots import figures
from memgrain.plots.heatmap import MAP, shades
from memgrain.runs.labels import metric_label, setting, value_text
from memgrain.runs.pivot import in_order, panels, varying, where

DIMS = [64, 80, 96, 112, 128, 192, 256]
RATIOS = [0.01, 0.02, 0.05, 0.1, 0.25, 1.0]
LENGTHS = [131072, 1048576]


@pytest.fixture
def frame(rows_of: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    """The rows of the demo, invented."""
    return rows_of(["ascend_910b1", "h100_sxm"], DIMS, RATIOS, LENGTHS)


def check_readable(figure: Figure) -> None:
    """Nothing is cut off, and no texts overlap."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes: list[tuple[str, Bbox]] = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            box = text.get_window_extent(renderer)
            if box.width and box.height:
                boxes.append((text.get_text(), box))
    assert boxes
    for name, box in boxes:
        assert figure.bbox.padded(1).contains(box.x0, box.y0), name
        assert figure.bbox.padded(1).contains(box.x1, box.y1), name
    for (a, first), (b, second) in itertools.combinations(boxes, 2):
        over = Bbox.intersection(first.padded(-1), second.padded(-1))
        assert over is None or over.width * over.height < 1, (a, b)


def test_a_heatmap_for_each_chip(frame: pd.DataFrame) -> None:
    drawn = figures(frame)
    assert [name for name, _ in drawn] == [
        "ascend_910b1_effective_bandwidth_share",
        "h100_sxm_effective_bandwidth_share",
    ]
    for _, figure in drawn:
        check_readable(figure)
        left, right, bar = figure.axes
        assert left.get_ylabel() == "head dimension (elements)"
        assert left.get_xlabel() == right.get_xlabel() == "tokens selected (%)"
        assert bar.get_ylabel() == "effective bandwidth (% of DRAM peak)"
        assert [axis.get_title() for axis in (left, right)] == ["Context 128K tokens", "Context 1M tokens"]
        assert [label.get_text() for label in left.get_xticklabels()] == ["1", "2", "5", "10", "25", "100"]
        assert [label.get_text() for label in left.get_yticklabels()] == [str(dim) for dim in DIMS]
        assert [label.get_text() for label in left.get_yticklabels() if label.get_fontweight() == "bold"] == ["96"]
        assert len(left.texts) == len(DIMS) * len(RATIOS)


def test_the_numbers_stand_out_against_their_colours(frame: pd.DataFrame) -> None:
    def luminance(colour: object) -> float:
        rgb = np.array(mpl.colors.to_rgb(colour))  # type: ignore[arg-type]
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    figure = figures(frame)[0][1]
    axis = figure.axes[0]
    image = axis.images[0]
    for text in axis.texts:
        column, row = map(int, text.get_position())
        cell = image.cmap(image.norm(image.get_array()[row, column]))[:3]
        light, dark = sorted((luminance(cell), luminance(text.get_color())), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 4.5


def test_the_colour_map_reads_in_grey() -> None:
    colours = mpl.colormaps[MAP](np.linspace(0, 1, 64))[:, :3]
    assert (np.diff(colours @ [0.299, 0.587, 0.114]) > 0).all()


@pytest.mark.parametrize("metric", ["time_us", "l2.hits"])
def test_other_metrics_are_drawn_too(frame: pd.DataFrame, metric: str) -> None:
    for _, figure in figures(frame, metric):
        check_readable(figure)


@pytest.mark.parametrize(
    ("dims", "ratios", "lengths"), [([64, 128], [0.1, 0.2], [1024]), (DIMS, RATIOS, [2**17, 2**18, 2**20])]
)
def test_small_and_large_grids_stay_readable(
    rows_of: Callable[..., pd.DataFrame], dims: list[int], ratios: list[float], lengths: list[int]
) -> None:
    for _, figure in figures(rows_of(["toy"], dims, ratios, lengths)):
        check_readable(figure)


def test_one_varying_key_gives_lines(rows_of: Callable[..., pd.DataFrame]) -> None:
    ((name, figure),) = figures(rows_of(["toy", "h100_sxm"], DIMS, [0.1], [131072]))
    assert name == "effective_bandwidth_share_by_shape.head_dim"
    check_readable(figure)
    axis = figure.axes[0]
    assert axis.get_xlabel() == "head dimension (elements)"
    assert axis.get_ylabel() == "effective bandwidth (% of DRAM peak)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Title of toy", "Title of h100_sxm"]


def swept(key: str, values: list[Any], times: list[float], chip: str = "toy") -> pd.DataFrame:
    """Rows of one chip in which one key varies."""
    shared = {"chip": chip, "chip_title": chip, "workload": "w", "overrides": [key]}
    return pd.DataFrame([{**shared, key: value, "time_us": time} for value, time in zip(values, times, strict=True)])


@pytest.mark.parametrize(
    ("values", "order", "scale"),
    [
        (["100 MiB", "12.5 MiB", "25 MiB", "51200 KiB"], [1, 2, 3, 0], "log"),
        (["1 MiB", "512 KiB", "768 KiB"], [1, 2, 0], "linear"),
        (["2 TB/s", "1.6 TB/s"], [1, 0], "linear"),
        (["1 us", "100 ns"], [1, 0], "log"),
        (["32K tokens", 4096, "1M"], [1, 0, 2], "log"),
        ([0.01, 1.0, 0.05], [0, 2, 1], "log"),
        ([0, 8, 4], [0, 2, 1], "linear"),
    ],
)
def test_quantities_lie_along_an_axis_of_numbers(values: list[Any], order: list[int], scale: str) -> None:
    frame = swept("chip.l2.capacity", values, [float(10 + place) for place in range(len(values))])
    ((_, figure),) = figures(frame, "time_us")
    check_readable(figure)
    axis = figure.axes[0]
    line = axis.lines[0]
    assert axis.get_xscale() == scale
    assert line.get_ydata().tolist() == [10.0 + place for place in order]
    assert (np.diff(line.get_xdata()) > 0).all()
    assert axis.get_xlim()[0] < line.get_xdata()[0]
    assert axis.get_xlim()[1] > line.get_xdata()[-1]
    assert axis.get_ylim()[1] > max(line.get_ydata()) * 1.03
    table = panels(frame.assign(all=0), "time_us", "chip.l2.capacity", "all", None)[0].table
    assert list(table.index) == [values[place] for place in order]


@pytest.mark.parametrize(
    ("values", "labels", "joined"),
    [
        (["paged", "bnsd", "nz"], ["paged", "bnsd", "nz"], 0),
        (["auto", 8, 2, None], ["2", "8", "auto", "none"], 2),
        ([True, False], ["False", "True"], 0),
        (["1 MiB", "20 ns", 4], ["1 MiB", "20 ns", "4"], 1),
    ],
)
def test_choices_stay_in_their_order_and_are_not_joined(values: list[Any], labels: list[str], joined: int) -> None:
    frame = swept("chip.l2.choice", values, [float(10 + place) for place in range(len(values))])
    axis = figures(frame, "time_us")[0][1].axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == labels
    assert len(axis.lines[0].get_xdata()) == joined
    assert len(axis.lines[1].get_xdata()) == len(values)


def test_rows_are_put_in_order_key_by_key() -> None:
    frame = pd.DataFrame({"a": ["1 MiB", "512 KiB", "1 MiB", "512 KiB"], "b": [16, np.nan, 2, 4]})
    assert in_order(frame, ["a", "b"])["b"].tolist()[::2] == [4, 2]
    assert in_order(frame, ["b"])["a"].tolist() == ["1 MiB", "512 KiB", "1 MiB", "512 KiB"]


def test_values_are_found_however_they_are_written() -> None:
    frame = swept("chip.l2.capacity", ["512 KiB", "1 MiB"], [1.0, 2.0])
    assert where(frame, {"chip.l2.capacity": "0.5 MiB"})["time_us"].tolist() == [1.0]
    with pytest.raises(MemgrainError, match="values there: 512 KiB, 1 MiB"):
        where(frame, {"chip.l2.capacity": "2 MiB"})


def test_values_that_hardly_differ_look_alike() -> None:
    norm = shades(np.array([254.4785, 254.4798, np.nan]))
    assert abs(norm(254.4798) - norm(254.4785)) < 0.001
    assert 0.4 < norm(254.479) < 0.6
    wide = shades(np.array([10.0, 20.0]))
    assert (wide(10.0), wide(20.0)) == (0.0, 1.0)


def test_axes_can_be_chosen(frame: pd.DataFrame) -> None:
    chosen = figures(frame, x="shape.kv_len", y="selection.ratio", by="shape.head_dim")
    assert len(chosen) == 2
    assert len(chosen[0][1].axes) == len(DIMS) + 1
    one = where(frame, {"chip": "h100_sxm", "selection.ratio": 0.1})
    ((_, figure),) = figures(one, x="shape.head_dim", by="shape.kv_len")
    check_readable(figure)


def test_rows_that_collide_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(MemgrainError, match=r"these vary too: shape\.kv_len"):
        panels(where(frame, {"chip": "h100_sxm"}), "time_us", "shape.head_dim", "selection.ratio", None)
    with pytest.raises(MemgrainError, match="no key varies"):
        figures(frame.head(1))
    with pytest.raises(MemgrainError, match="no key varies"):
        memgrain.plot(frame.head(1))


def test_missing_points_leave_cells_empty(frame: pd.DataFrame) -> None:
    holes = where(frame, {"chip": "h100_sxm"}).drop(index=frame.index[-3:])
    ((_, figure),) = figures(holes)
    check_readable(figure)


def test_keys_values_and_metrics_have_names() -> None:
    assert setting("shape.kv_len", np.int64(2**20)) == "context 1M tokens"
    assert setting("selection.ratio", 0.01) == "tokens selected 1 %"
    assert setting("chip.l2.ways", 16) == "l2.ways 16"
    assert value_text("chip.hbm.channel_hash", True) == "True"
    assert metric_label("dram_row_hit_rate") == "DRAM row hits (%)"
    assert metric_label("hbm.read_bytes") == "hbm.read (bytes)"
    assert metric_label("effective_bandwidth_gb_s") == "effective bandwidth gb s (GB/s)"
    assert varying(pd.DataFrame({"overrides": [["a"], ["a"]], "a": [1, 1]})) == []
