"""`memgrain map`: nothing exceeds a roof, shares add up, lines of equal time are in place, figures are readable."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memgrain.analysis.over_fetch import DTYPES, GRANULES, LayoutOptions, on_chip, over_fetch_map, rows_of
from memgrain.analysis.roofline import roofline
from memgrain.cli import call
from memgrain.hwmodels import load_chip
from memgrain.plots.contours import contours
from memgrain.plots.over_fetch import panels
from memgrain.plots.roofline import roofs
from memgrain.plots.stalls import OTHER, Bar, bars, joined
from memgrain.plots.tensors import TensorCount, attribution, evictors, needed, shares
from memgrain.runs.task import Point, Task
from tests.memgrain.test_plots import check_readable

Ask = Callable[..., tuple[int, str, str]]
POINTS = (
    ("toy", "decode_topk", {"shape.kv_len": 4096}),
    ("toy", "decode_mla", {"shape.kv_len": 1024}),
    ("h100_sxm", "decode_dsa", {"attention.shape.kv_len": 4096}),
    ("ascend_910b1", "prefill_causal", {"shape.kv_len": 512, "shape.q_len": 512}),
    ("mlu370_x4", "decode_topk", {"shape.kv_len": 4096}),
)


def point(chip: str, workload: str, settings: dict[str, int]) -> Point:
    return Task(chip, {}, workload, settings).resolve()


@pytest.mark.parametrize(("chip", "workload", "settings"), POINTS)
def test_nothing_rises_above_its_roof(chip: str, workload: str, settings: dict[str, int]) -> None:
    found = roofline(point(chip, workload, settings))
    result = found.result
    assert [roof.name for roof in found.roofs][-1] == found.point.chip.dram.name
    for roof in found.roofs:
        assert 0 < found.reach(roof) <= 1, roof
        assert found.throughput <= roof.bandwidth * found.intensity(roof)
        assert found.intensity(roof) * roof.bytes == pytest.approx(2 * result.macs)
    for roof in found.requests:
        assert 0.01 <= found.reach(roof) <= 1, roof
    for ceiling in found.ceilings:
        assert found.throughput <= ceiling.throughput
    matmul = found.ceilings[0].throughput
    assert 2 * result.macs / matmul * 1e12 == pytest.approx(result.bounds.items["matmul"], rel=1e-4)
    _, allowed = found.lowest()
    assert found.throughput <= allowed <= matmul
    check_readable(roofs(found))


def test_the_roofs_of_the_toy_chip_are_those_of_its_file() -> None:
    found = roofline(point("toy", "decode_topk", {"shape.kv_len": 4096}))
    assert {roof.name: (roof.count, roof.bandwidth) for roof in found.roofs} == {
        "smem": (4, 4 * 32 * 8 * 10**9),
        "port": (4, 4 * 64 * 10**9),
        "l2": (1, 256 * 10**9),
        "hbm": (1, 64 * 10**9),
    }
    assert found.ceilings[0].throughput == pytest.approx(2 * 4 * 1024 * 10**9)
    assert found.roofs[-1].bytes == found.result.counters["hbm.read_bytes"]


def test_commands_are_the_lowest_roof_of_a_gather_row_by_row() -> None:
    found = roofline(point("ascend_910b1", "decode_topk", {"shape.kv_len": 32768}))
    (roof,) = [roof for roof in found.requests if roof.name == "DMA commands"]
    commands = found.result.counters["l1.commands"] - found.result.counters["l1.write_commands"]
    assert roof.bandwidth == pytest.approx(24 * roof.bytes / (commands * 11e-9), rel=1e-3)
    assert found.lowest()[0] == roof.name
    figure = roofs(found)
    check_readable(figure)
    drawn = {line.get_label().split(":")[0]: line for line in figure.axes[0].lines}
    strokes = {(str(line.get_color()), str(line.get_linestyle()), line.get_linewidth()) for line in drawn.values()}
    assert len({line.get_color() for name, line in drawn.items() if ": " not in name}) > 6
    assert len(strokes) >= len(found.roofs) + len(found.requests)


@pytest.mark.parametrize(("chip", "workload", "settings"), POINTS)
def test_counts_of_tensors_add_up_to_those_of_their_level(chip: str, workload: str, settings: dict[str, int]) -> None:
    asked = point(chip, workload, settings)
    result = asked.simulate()
    counts = attribution(asked, result)
    keys = {"read": "read_bytes", "written": "write_bytes", "evicted lines": "evictions"}
    keys |= {"read first": "first_bytes", "read again": "repeated_bytes"}
    assert counts
    for count in counts:
        assert count.total == result.counters[f"{count.level}.{keys.get(count.name, count.name)}"]
    assert sum(needed(asked).values()) > 0
    check_readable(shares(counts, "tensors"))


def test_what_a_tensor_lost_went_to_others_or_itself() -> None:
    asked = point("toy", "decode_dense", {"shape.kv_len": 4096})
    result = asked.simulate()
    lost = {count.name.removesuffix(" evicted by"): count.total for count in evictors(asked, result)}
    assert lost == {name: result.counters[f"l2.{name}.evictions"] for name in lost}
    assert {"K", "V"} <= set(lost)


@pytest.mark.parametrize(("total", "text"), [(512, "512 B"), (860000, "860 kB"), (6_780_000, "6.78 MB")])
def test_bytes_beside_a_bar_are_decimal(total: int, text: str) -> None:
    assert TensorCount("hbm", "read", "B", {"K": total}).text == text


def test_small_parts_are_joined_and_large_ones_come_first() -> None:
    found = joined({"a": 0.004, "b": 0.3, "c": 0.006, "d": 0.69, "e": 0.0})
    assert list(found.items()) == [("d", 0.69), ("b", 0.3), (OTHER, pytest.approx(0.01))]
    assert joined({"a": 0.5, "b": 0.5}) == {"a": 0.5, "b": 0.5}


def test_bars_of_stalls_are_whole() -> None:
    found = []
    for chip, workload, settings in POINTS[:2]:
        result = point(chip, workload, settings).simulate()
        found.append(Bar(workload, result.time, result.breakdown))
        assert sum(found[-1].shares().values()) == pytest.approx(1.0)
    figure = bars(found, "stalls")
    check_readable(figure)
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    assert sum(widths) == pytest.approx(200.0)
    named = {text.get_text() for text in figure.legends[0].get_texts()}
    assert named == {part for bar in found for part in bar.shares()}


def test_lines_lie_where_the_times_are_equal() -> None:
    dims, ratios = (64, 80, 96, 128, 256), (0.01, 0.02, 0.1, 1.0)
    frame = pd.DataFrame(
        [
            {
                "chip_title": "A chip",
                "workload": "work",
                "overrides": ["shape.kv_len", "shape.head_dim", "selection.ratio"],
                "shape.kv_len": 4096,
                "shape.head_dim": dim,
                "selection.ratio": ratio,
                "time_us": 10 * dim * ratio,
            }
            for dim, ratio in itertools.product(dims, ratios)
        ]
    )
    figure = contours(frame, [20.0, 200.0])
    axis = figure.axes[0]
    assert list(axis.get_xticks()) == list(dims)
    (drawn,) = [item for item in axis.collections if getattr(item, "labelTexts", None)]
    assert sorted(text.get_text() for text in drawn.labelTexts) == ["20 µs", "200 µs"]
    for level, segments in zip((20.0, 200.0), drawn.allsegs, strict=True):
        corners = [corner for segment in segments for corner in segment if corner[0] in dims]
        assert len(corners) >= 2
        for dim, log_ratio in corners:
            assert 10 * dim * np.exp(log_ratio) == pytest.approx(level)
    assert "context 4096 tokens" in figure.get_suptitle()
    check_readable(figure)


def test_the_over_fetch_map_can_be_read() -> None:
    chip, rows, layouts = load_chip("toy"), rows_of([64, 96, 112], DTYPES), ["rows", "random", "nz"]
    figure = panels(over_fetch_map(rows, GRANULES, layouts), on_chip(chip, rows, layouts), chip, LayoutOptions())
    check_readable(figure)
    assert len(figure.axes) == len(layouts) * len(DTYPES) + 1
    few = rows_of([96], ["bf16"])
    check_readable(panels(over_fetch_map(few, [64], ["rows"]), [], None, LayoutOptions()))


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """`memgrain map` in this process, in an empty folder: status, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = call(["map", *arguments])
        return status, *capsys.readouterr()

    return run


def test_over_fetch_as_json_and_figure(ask: Ask, tmp_path: Path) -> None:
    status, said, _ = ask("overfetch", "toy", "--bytes", "656", "--layout", "rows", "--json")
    assert status == 0
    found = json.loads(said)
    assert [round(100 / cell["ratio"]) for cell in found["cells"]] == [98, 93, 85, 73, 57]
    assert found["granule"] == {"l2.fill_granule": 64}
    assert found["on_chip"][0]["simulated"] == found["on_chip"][0]["ratio"]
    assert (tmp_path / "out" / "map_overfetch.png").stat().st_size > 10_000


def test_latency_goes_on_where_it_was(ask: Ask, tmp_path: Path) -> None:
    grid = ("--head-dim", "64", "--head-dim", "96", "--ratio", "0.05", "--ratio", "0.1")
    asked = ("latency", "toy", "decode_topk", *grid, "--set", "shape.kv_len=4096", "-j", "1", "--json")
    status, first, _ = ask(*asked)
    assert status == 0
    rows = json.loads(first)
    assert [(row["shape.head_dim"], row["selection.ratio"]) for row in rows] == list(
        itertools.product((64, 96), (0.05, 0.1))
    )
    assert (tmp_path / "out" / "map_latency.png").exists()
    status, again, told = ask(*asked)
    assert "4 of 4 points have their rows already" in told
    assert json.loads(again) == rows


@pytest.mark.parametrize(
    ("verb", "rest"),
    [("roofline", ()), ("tensors", ()), ("stalls", ("--over", "shape.head_dim=64,96"))],
)
def test_other_maps_print_tables_and_draw(verb: str, rest: tuple[str, ...], ask: Ask, tmp_path: Path) -> None:
    asked = (verb, "toy", "decode_topk", "--set", "shape.kv_len=1024", *rest)
    status, said, _ = ask(*asked, "-o", "drawn/it.png")
    assert status == 0
    assert said.strip().endswith("it.png")
    assert (tmp_path / "drawn" / "it.png").stat().st_size > 10_000
    assert json.loads(ask(*asked, "--json")[1])


def test_causes_of_what_is_read(ask: Ask) -> None:
    """The causes sum to the bytes read from DRAM, and show conflicts if interleaved heads share few sets."""
    asked = ("tensors", "toy", "prefill_causal", "--causes", "--set", "shape.kv_len=1024", "--set", "shape.q_len=1024")
    sides = (*asked, "--set", "layout.kind=bsnd", "--set", "shape.kv_heads=8", "--set", "l2.capacity=256 KiB")
    found = {hash_: json.loads(ask(*sides, "--set", f"l2.set_hash={hash_}", "--json")[1]) for hash_ in ("none", "xor")}
    for answer in found.values():
        parts = answer["causes"]["all"]
        assert parts["read"] == sum(answer["levels"]["hbm"]["read"].values())
        assert parts["read"] == sum(parts[name] for name in ("needed", "unasked", "capacity", "copies", "conflicts"))
    conflicts = {hash_: answer["causes"]["all"]["conflicts"] for hash_, answer in found.items()}
    assert conflicts["none"] > 2 * max(conflicts["xor"], 1)
    assert "conflicts" in ask(*sides, "--set", "l2.set_hash=none")[1]


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (("overfetch", "--granule", "48"), "power of two"),
        (("waste",), "memgrain map overfetch"),
        (("overfetch", "--bytes", "100", "--dtype", "bf16"), "leave either out"),
        (("overfetch", "-o", "map.txt"), ".png"),
        (("overfetch", "--set", "l2.ways=8"), "name one"),
        (("latency", "toy", "decode_dense"), "selection"),
        (("latency", "toy", "decode_topk", "--ratio", "0.1"), "two values"),
        (("roofline", "toy", "decode_topkk"), "'decode_topk'"),
        (("stalls", "toy", "decode_topk", "--over", "shape.head_dim"), "KEY=V1,V2"),
        (("tensors", "nochip", "decode_topk"), "nochip"),
        (("tensors", "mlu370_x4", "decode_topk", "--causes"), "leave --causes out"),
        (("tensors", "toy", "decode_topk", "--causes", "--before", "warm"), "cold caches"),
    ],
)
def test_errors_are_one_line_with_the_mend(arguments: tuple[str, ...], mend: str, ask: Ask) -> None:
    status, _, told = ask(*arguments)
    assert status == 2
    assert mend in told
    assert len(told.strip().splitlines()) == 1
