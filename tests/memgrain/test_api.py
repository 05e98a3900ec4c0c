"""Is everything that the command line does a function of the package, found at once and under one name?"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import memgrain
from memgrain.cli import VERBS, call
from memgrain.cli.map import VERBS as MAPS
from memgrain.cli.model import VERBS as MODELS
from memgrain.cli.trace import VERBS as TRACES
from memgrain.runs.options import RunOptions

DOCUMENT = Path(__file__).parents[2] / "docs" / "python.md"
SMALL = {"shape.kv_len": 2048}


def _functions() -> dict[str, list[str]]:
    """The functions of each verb of the command line, from the table of docs/python.md."""
    rows = re.findall(r"^\| `memgrain ([^`]+)` \| ([^|]+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return {verb: re.findall(r"`(\w+)`", names) for verb, names in rows}


def test_every_verb_has_its_function() -> None:
    groups = {"map": MAPS, "model": MODELS, "trace": TRACES}
    verbs = {f"{verb} {inner}".strip() for verb in VERBS for inner in groups.get(verb, [""])}
    functions = _functions()
    assert set(functions) == verbs
    for name in (name for names in functions.values() for name in names):
        assert name in memgrain.__all__
        assert callable(getattr(memgrain, name))


def test_every_name_is_found_and_none_is_a_module() -> None:
    assert dir(memgrain) == sorted(memgrain.__all__)
    assert set(memgrain._homes()) == set(memgrain.__all__)
    rooms = {path.stem for path in Path(str(memgrain.__file__)).parent.iterdir()}
    assert not rooms & set(memgrain.__all__)
    for name in memgrain.__all__:
        assert getattr(memgrain, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'explore_everything'"):
        memgrain.explore_everything  # noqa: B018


def test_import_takes_no_time_and_no_simulator() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import memgrain; took = time.perf_counter() - start;"
        "print(took, 'memgrain.sim' in sys.modules); memgrain.run; print('pandas' in sys.modules)"
    )
    took, *loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert float(took) < 0.2
    assert loaded == ["False", "False"]


def test_results_are_compared_beside_the_first() -> None:
    results = {chip: memgrain.run(chip, "decode_topk", set=SMALL) for chip in ("toy", "h100_sxm")}
    frame = memgrain.compare(results)
    assert frame["name"].tolist() == frame["chip"].tolist() == ["toy", "h100_sxm"]
    assert frame["time_us_ratio"].tolist() == pytest.approx([1, results["h100_sxm"].time / results["toy"].time])
    assert "effective_bandwidth_share_ratio" not in frame
    with pytest.raises(memgrain.MemgrainError, match="1 result to compare"):
        memgrain.compare([results["toy"]])
    with pytest.raises(memgrain.MemgrainError, match="no metric or counter 'tim'"):
        memgrain.compare(results.values(), metrics=["tim"])


def test_a_frame_has_numbers_for_sizes_and_short_ids_last(tmp_path: Path) -> None:
    grid = {"chip.l2.capacity": ["1 MiB", "512 KiB"], "shape.kv_len": [1024, 512]}
    spec = {"name": "sizes", "chips": ["toy"], "workload": "decode_dense", "grid": grid}
    frame = memgrain.sweep(spec, tmp_path, options=RunOptions(jobs=1))
    assert frame["chip.l2.capacity_bytes"].tolist() == [1 << 20, 1 << 20, 1 << 19, 1 << 19]
    assert frame["shape.kv_len"].tolist() == [1024, 512, 1024, 512]
    assert list(frame.columns)[-2:] == ["overrides", "id"]
    assert frame["id"].str.len().unique().tolist() == [12]
    assert frame["id"].is_unique
    assert memgrain.load_rows(tmp_path).equals(frame)
    assert memgrain.plot(frame)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"jobs": 0}, "jobs is 0, must be at least 1"),
        ({"samples": 1}, "samples is 1, must be at least 2"),
        ({"seed": -1}, "seed is -1, must be 0 or more"),
    ],
)
def test_options_that_cannot_be_are_one_line(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(memgrain.MemgrainError, match=words):
        RunOptions(**wrong)


def test_maps_are_frames() -> None:
    cells = memgrain.over_fetch("toy", head_dims=[128], dtypes=["bf16"], granules=[128], layouts=["rows"])
    assert cells["ratio"].tolist()[0] == 1.0
    assert cells["simulated"].notna().sum() == 1
    stalls = memgrain.stalls("toy", "decode_topk", over=("shape.kv_len", [1024, 2048]))
    parts = stalls.filter(regex="(?<!time)_us$")
    assert parts.sum(axis=1).tolist() == pytest.approx(stalls["time_us"].tolist())
    counts = memgrain.tensors("toy", "decode_topk", set=SMALL)
    assert {"K", "V"} <= set(counts["tensor"])
    curve = memgrain.curve("toy", "decode_topk", set=SMALL).frame()
    assert curve[curve["tensor"] == "all"]["miss_ratio"].is_monotonic_decreasing


def test_traces_go_out_and_come_back(tmp_path: Path) -> None:
    written = memgrain.traces("toy", "decode_dense", set=SMALL)
    memgrain.save_trace(written, tmp_path / "dense.npz")
    read = memgrain.load_trace(tmp_path / "dense.npz")
    assert memgrain.trace_statistics(read) == memgrain.trace_statistics(written)
    chip = memgrain.load_chip("toy")
    assert memgrain.simulate(chip, read).time == memgrain.run("toy", "decode_dense", set=SMALL).time


def test_steps_of_models_are_compared_and_cost_something() -> None:
    few, many = (memgrain.run_model("h100_sxm", "llama31_8b", 4096, batch=batch) for batch in (1, 8))
    frame = memgrain.compare([few, many])
    assert 1 < frame["time_us_ratio"].iloc[1] < 8
    with pytest.raises(memgrain.MemgrainError, match="phase training is none of decode, prefill"):
        memgrain.run_model("h100_sxm", "llama31_8b", 4096, phase="training")


def test_intervals_hold_the_nominal_value() -> None:
    options = RunOptions(jobs=1, samples=4)
    found = memgrain.interval("mlu370_x4", "decode_topk", set={"shape.kv_len": 1024}, options=options)
    assert found.combined.low <= found.combined.median <= found.combined.high
    step = memgrain.model_interval("h100_sxm", "llama31_8b", 1024, options=options)
    assert step.combined.low < step.combined.high


def test_a_value_is_solved_for() -> None:
    found = memgrain.solve("shape.kv_len", "toy", "decode_dense", "time_us >= 1", values=[256, 512, 1024])
    assert found.found is not None
    assert found.found.value == 256
    with pytest.raises(memgrain.MemgrainError, match="give one goal"):
        memgrain.solve("shape.kv_len", "toy", "decode_dense")


@pytest.mark.parametrize(
    ("ask", "command", "line"),
    [
        (
            lambda: memgrain.solve("l2.ways", "toy", "decode_topk"),
            "solve l2.ways toy decode_topk",
            "give one goal: a condition",
        ),
        (
            lambda: memgrain.solve("tiling.block_kv", "toy", "decode_topk", "time_us <= 3"),
            "solve tiling.block_kv toy decode_topk --for time_us<=3",
            "give low",
        ),
        (
            lambda: memgrain.latency("toy", "decode_topk", head_dims=[64]),
            "map latency toy decode_topk --head-dim 64",
            "head dimension 64 alone",
        ),
        (
            lambda: memgrain.curve("toy", "decode_topk", line="128B"),
            "curve toy decode_topk --line 128B",
            "override l2.line and l2.capacity in place of line and sets",
        ),
        (
            lambda: memgrain.run_model("toy", "llama31_8b", 64, prefetch_lead=2),
            "model run toy llama31_8b --context 64 --prefetch-lead 2",
            "prefetch lead says how",
        ),
        (
            lambda: memgrain.token_cost("h100_sxm", "llama31_8b", 64, cached_from="0 GB/s"),
            "cost h100_sxm llama31_8b --context 64 --cached-from 0GB/s",
            "a cached prefix at 0",
        ),
    ],
)
def test_an_error_reads_alike_from_python_and_from_a_shell(
    ask: Callable[[], object], command: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(memgrain.MemgrainError) as refused:
        ask()
    assert line in str(refused.value)
    assert "--" not in str(refused.value)
    assert call(command.split()) == 2
    assert line in capsys.readouterr().err


def test_published_quality_is_a_frame() -> None:
    everything = memgrain.quality_scores()
    method = everything["method"].iloc[0]
    assert set(memgrain.quality_scores(method)["method"]) == {method}


def test_loaded_chips_and_workloads_stand_for_their_names() -> None:
    chip, workload = memgrain.load_chip("toy"), memgrain.load_workload("decode_dense")
    assert memgrain.run(chip, workload, set=SMALL) == memgrain.run("toy", "decode_dense", set=SMALL)
    slow = memgrain.load_chip("toy", {"launch_overhead": "1 ms"})
    assert memgrain.run(slow, "decode_dense", set=SMALL).breakdown["launch"] == 10**9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda chip, workload: memgrain.simulate(chip, workload), "takes a Trace.*memgrain.run"),
        (lambda chip, workload: memgrain.simulate("toy", memgrain.traces(chip, workload)[0]), "takes a Chip"),
        (lambda chip, workload: memgrain.run(chip, workload, set={"l2.ways": 8}), "loaded chip.*overrides beside"),
        (lambda chip, workload: memgrain.interval(chip, workload), "loaded chip.*its name"),
        (lambda chip, workload: memgrain.scaling(chip), "loaded chip.*its name"),
    ],
)
def test_what_a_loaded_chip_cannot_do_is_said_in_a_line(call: Any, words: str) -> None:
    with pytest.raises(memgrain.MemgrainError, match=words):
        call(memgrain.load_chip("toy"), memgrain.load_workload("decode_dense"))
