"""Can a figure be read: axes with units, no label over another, numbers that stand out, the answer at a glance?"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import codesign
from codesign.errors import CodesignError
from codesign.labels import metric_label, setting, value_text
from codesign.pivot import panels, varying, where
from codesign.plots import figures
from codesign.plots.heatmap import MAP
from codesign.verdict import verdict

DIMS = [64, 80, 96, 112, 128, 192, 256]
RATIOS = [0.01, 0.02, 0.05, 0.1, 0.25, 1.0]
LENGTHS = [131072, 1048576]


@pytest.fixture
def frame(rows_of: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    """The rows of the demo, invented."""
    return rows_of(["ascend_910b1", "h100_sxm"], DIMS, RATIOS, LENGTHS)


def check_readable(figure: Figure) -> None:
    """Nothing is cut off, and no text lies on another."""
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


def test_axes_can_be_chosen(frame: pd.DataFrame) -> None:
    chosen = figures(frame, x="shape.kv_len", y="selection.ratio", by="shape.head_dim")
    assert len(chosen) == 2
    assert len(chosen[0][1].axes) == len(DIMS) + 1
    one = where(frame, {"chip": "h100_sxm", "selection.ratio": 0.1})
    ((_, figure),) = figures(one, x="shape.head_dim", by="shape.kv_len")
    check_readable(figure)


def test_rows_that_collide_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(CodesignError, match=r"these vary too: shape\.kv_len"):
        panels(where(frame, {"chip": "h100_sxm"}), "time_us", "shape.head_dim", "selection.ratio", None)
    with pytest.raises(CodesignError, match="no key varies"):
        figures(frame.head(1))
    with pytest.raises(CodesignError, match="no key varies"):
        codesign.plot(frame.head(1))


def test_the_verdict_says_which_chip_dislikes_96(frame: pd.DataFrame) -> None:
    bad, good = (verdict(where(frame, {"chip": chip})) for chip in ("ascend_910b1", "h100_sxm"))
    assert bad.startswith("Is 96 good here? No, below the trend: 5")
    assert good.startswith("Is 96 good here? On the trend, but larger is faster: 89% of 128's")
    assert "60% of the trend from 64 to 128 (median of 12 points)" in bad
    assert verdict(where(frame, {"chip": "h100_sxm"}).query("`shape.head_dim` != 64")) == ""


def test_missing_points_leave_cells_empty(frame: pd.DataFrame) -> None:
    holes = where(frame, {"chip": "h100_sxm"}).drop(index=frame.index[-3:])
    ((_, figure),) = figures(holes)
    check_readable(figure)
    assert verdict(holes)


def test_keys_values_and_metrics_have_names() -> None:
    assert setting("shape.kv_len", np.int64(2**20)) == "context 1M tokens"
    assert setting("selection.ratio", 0.01) == "tokens selected 1 %"
    assert setting("chip.l2.ways", 16) == "l2.ways 16"
    assert value_text("chip.hbm.channel_hash", True) == "True"
    assert metric_label("dram_row_hit_rate") == "DRAM row hits (%)"
    assert metric_label("hbm.read_bytes") == "hbm.read (bytes)"
    assert metric_label("effective_bandwidth_gb_s") == "effective bandwidth gb s (GB/s)"
    assert varying(pd.DataFrame({"overrides": [["a"], ["a"]], "a": [1, 1]})) == []
