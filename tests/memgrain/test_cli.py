"""Does every verb answer, and does every mistake give one line, exit status 2 and no traceback?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from memgrain.cli import call

SHORT = ["--set", "shape.kv_len=4096"]


def test_json_is_one_object_with_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["run", "toy", "decode_topk", *SHORT, "--set", "l2.ways=32", "--before", "warm", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    wanted = {"time_us", "dram_read_bytes", "l2_hit_rate", "useful_bytes", "amplification", "bound", "model_version"}
    assert wanted <= set(row)
    assert (row["chip.l2.ways"], row["shape.kv_len"], row["before"]) == (32, 4096, "warm")
    assert {"l2.hits", "l2.K.misses", "hbm.read_bytes"} <= set(row)


def test_json_has_null_without_a_cache(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["run", "mlu370_x8", "decode_topk", *SHORT, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["l2_hit_rate"] is None


def test_the_table_shows_time_bound_levels_tensors_and_assumptions(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["run", "toy", "decode_topk", *SHORT]) == 0
    text = capsys.readouterr().out
    for part in (
        "decode_topk on Toy",
        "bound",
        "% of the time",
        "l2",
        "indices",
        "where the time went",
        "launch",
        "numbers are assumed",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 120


def test_sweep_then_plot(tmp_path: Path, small: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(small, sort_keys=False))
    folder = str(tmp_path / "rows")
    assert call(["sweep", str(tmp_path / "sweep.yaml"), "-o", folder, "-j", "1"]) == 0
    said = capsys.readouterr()
    assert "head dimension" in said.out
    assert "Is 96 good here?" in said.out
    assert "6 rows in" in said.err
    assert call(["plot", folder]) == 0
    figure = Path(capsys.readouterr().out.strip())
    assert figure.name == "toy_effective_bandwidth_share.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert (
        call(
            [
                "plot",
                folder,
                "--x",
                "shape.head_dim",
                "--by",
                "selection.ratio",
                "--metric",
                "time_us",
                "-o",
                str(tmp_path / "new" / "lines.png"),
            ]
        )
        == 0
    )
    assert (tmp_path / "new" / "lines.png").exists()


def test_a_sweep_with_a_point_that_fails_ends_with_2(
    tmp_path: Path, small: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    spec = {**small, "grid": {"shape.head_dim": [64, 65536]}, "set": {"shape.kv_len": 4096, "tiling.block_kv": 64}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    assert call(["sweep", str(tmp_path / "sweep.yaml"), "-o", str(tmp_path / "rows"), "-j", "1"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len([line for line in errors if "shape.head_dim=65536" in line]) == 1
    assert "1 of 2 points have no answer" in errors[-1]
    assert (tmp_path / "rows" / "rows.jsonl").read_text().count("\n") == 1


@pytest.fixture
def spoiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files that are wrong in one way each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "syntax.yaml").write_text("a: [\n")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9t\xe9\n")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "rows.jsonl").write_text('{"id": "1"}\n{"id": ')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "rows.jsonl").write_text('{"id": "1"}\n{"id": \n{"id": "3"}\n')
    (tmp_path / "toy2.yaml").write_text("extends: toy\nwayz: 3\n")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run toy decode_topk --set l2.capacity=50", "expected a size such as '50 MiB'"),
        ("run toy decode_topk --set l2.capacity=50GHz", "expected a size such as '50 MiB'"),
        ("run toy decode_topk --set l2.wayz=5", "did you mean 'ways'"),
        ("run toy decode_topk --set l2.ways=-1", "l2"),
        ("run toy decode_topk --set l22.ways=5", "did you mean 'l2'"),
        ("run toy decode_topk --set shape.head_dim=-5", "shape.head_dim"),
        ("run toy decode_topk --set shape.headdim=5", "did you mean 'shape.head_dim'"),
        ("run toy decode_topk --set l2.ways", "expected KEY=VALUE"),
        ("run toy decode_topk --set l2.ways=1 --set l2.ways=2", "set twice"),
        ("run toi decode_topk", "did you mean 'toy'"),
        ("run toy decode_tokp", "did you mean 'decode_topk'"),
        ("run toy nothing.yaml", "no workload file nothing.yaml"),
        ("run nothing.yaml decode_topk", "cannot be read"),
        ("run toy2.yaml decode_topk", "unknown key 'wayz'"),
        ("run folder.yaml decode_topk", "cannot be read"),
        ("run toy folder.yaml", "no workload file"),
        ("run toy syntax.yaml", "not valid YAML"),
        ("run toy list.yaml", "expected a mapping"),
        ("run toy latin.yaml", "cannot be read"),
        ("run toy decode_topk --before hot", "none of cold, dirty, warm"),
        ("run toy decode_dense --set shape.kv_len=1048576 --set shape.batch=64", "shorten shape.kv_len"),
        ("run toy", "missing argument"),
        ("run toy decode_topk --jsn", "no such option"),
        ("rnu", "no such command"),
        ("sweep nothing.yaml", "no sweep file"),
        ("sweep head_dim_by_ration", "did you mean 'head_dim_by_ratio'"),
        ("sweep syntax.yaml", "not valid YAML"),
        ("sweep list.yaml", "expected a mapping"),
        ("sweep latin.yaml", "cannot be read"),
        ("sweep head_dim_by_ratio -o broken", "line 2 is not a row"),
        ("sweep head_dim_by_ratio -o syntax.yaml", "cannot write"),
        ("sweep head_dim_by_ratio -j 0", "jobs is 0"),
        ("sweep head_dim_by_ratio -j x", "valid integer"),
        ("plot nothing", "run a sweep with the folder nothing"),
        ("plot cut", "line 2 is cut off; run the sweep again"),
        ("plot broken", "line 2 is not a row"),
        ("chips toi", "did you mean 'toy'"),
        ("examples toi", "no workload, sweep, search or claim"),
        ("explain l2.wayz", "did you mean 'l2.ways'"),
        ("explain l2.ways --chip toi", "did you mean 'toy'"),
        ("explain l2.ways --chip mlu370_x8", "on mlu370_x8"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_mend(
    spoiled: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    before = {path: path.read_bytes() for path in spoiled.rglob("*") if path.is_file()}
    assert call(line.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("memgrain: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert {path: path.read_bytes() for path in before} == before


def test_rows_that_do_not_make_a_figure_say_why(
    tmp_path: Path, rows_of: Callable[..., pd.DataFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(["toy", "h100_sxm"], [64, 96, 128], [0.1, 0.2], [1024, 2048])
    (tmp_path / "rows.jsonl").write_text(rows.to_json(orient="records", lines=True))
    for arguments, message in {
        "--metric amplificaton": "no metric 'amplificaton'",
        "--metric bound": "is no number",
        "--where chip=toi": "values there: toy, h100_sxm",
        "--where chp=toi": "no key 'chp'",
        "--x shape.head_dim --by chip": "several rows for one",
        "--x shape.headdim --y selection.ratio": "no key 'shape.headdim'",
        "-o one.png": "give -o a folder",
    }.items():
        assert call(["plot", str(tmp_path), *arguments.split()]) == 2
        said = capsys.readouterr()
        assert message in said.err
        assert said.err.count("\n") == 1


def test_debug_shows_the_traceback(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = command("--debug", "run", "toi", "decode_topk")
    assert "Traceback" in done.stderr
    assert "HardwareError" in done.stderr


def test_a_fault_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("memgrain.runs.task.simulate", lambda *a, **k: 1 / 0)
    assert call(["run", "toy", "decode_topk"]) == 1
    assert capsys.readouterr().err == (
        "memgrain: ZeroDivisionError: division by zero; a fault here, please report what --debug shows\n"
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from memgrain.cli import call; status = call(sys.argv[1:]); "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'numba', 'pandas', 'matplotlib', 'numpy', 'sim'}))"
    )
    for arguments in (["--help"], [], ["run", "--help"], ["sweep", "--help"], ["plot", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0
        assert done.stdout.splitlines()[-1] == "[]", arguments
        assert "Usage: memgrain" in done.stdout


def test_a_closed_pipe_ends_quietly(tmp_path: Path, memgrain: list[str]) -> None:
    for arguments in (["run", "toy", "decode_topk", *SHORT, "--json"], ["chips", "toy"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([*memgrain, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
        os.close(writing)
        assert done.stderr == ""


def test_chips_and_examples_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["chips"]) == 0
    assert "Toy" in capsys.readouterr().out
    assert call(["chips", "toy"]) == 0
    shown = capsys.readouterr().out
    assert "l2.ways" in shown
    assert "numbers are assumed" in shown
    assert call(["chips", "toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "toy"
    assert call(["examples"]) == 0
    shown = capsys.readouterr().out
    for name in ("head_dim_by_ratio", "decode_topk", "head_dim_for_910b", "head_dim_96"):
        assert name in shown
    assert call(["examples", "decode_topk"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "decode_topk"
    assert call(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_the_first_simulation_says_that_it_compiles(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("memgrain.sim.native.jit.fresh", lambda: True)
    assert call(["run", "toy", "no_such_workload"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("memgrain: compiling the hot loops, once; they are kept in ")
    assert "no_such_workload" in second
    for quiet in (["run", "--help"], ["chips"]):
        assert call(quiet) == 0
        assert "compiling" not in capsys.readouterr().err
