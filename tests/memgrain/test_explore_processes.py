"""A study that several processes share, or that is killed or interrupted, loses nothing and resumes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from memgrain.explore import explore, load_search
from memgrain.explore.explored import DONE
from memgrain.runs.rows import read_rows
from tests.memgrain.searches import proposals


def await_rows(folder: Path, count: int) -> None:
    path, end = folder / "out" / "rows.jsonl", time.monotonic() + 240  # a first run compiles the hot loops
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < end, "no rows came"
        time.sleep(0.005)


def start(memgrain: list[str], folder: Path, spec: dict[str, Any], *options: str) -> subprocess.Popen[str]:
    (folder / "s.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return subprocess.Popen(
        [*memgrain, "explore", "s.yaml", "-o", "out", "--no-plot", "--json", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which jobs in the background ignore
    )


def states(folder: Path, name: str) -> list[str]:
    optuna = pytest.importorskip("optuna")
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'out' / 'study.db'}")
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        return [trial.state.name for trial in study.get_trials(deepcopy=False)]
    finally:
        storage.remove_session()
        storage.engine.dispose()


@pytest.mark.slow
def test_two_processes_on_one_study_lose_no_trial_and_make_none_twice(
    spec: dict[str, Any], tmp_path: Path, memgrain: list[str]
) -> None:
    spec["space"]["selection.ratio"] = np.linspace(0.05, 0.5, 10).round(3).tolist()
    spec["trials"] = 40
    both = [start(memgrain, tmp_path, spec) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    found = states(tmp_path, "small")
    assert sum(state in DONE for state in found) == 40
    assert set(found) <= {*DONE, "FAIL"}
    rows = [row["id"] for row in read_rows(tmp_path / "out" / "rows.jsonl")]
    assert len(rows) == len(set(rows)) == 40
    assert json.loads(said[-1][0])["trials"] in (39, 40)


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_trial(spec: dict[str, Any], tmp_path: Path, memgrain: list[str]) -> None:
    psutil = pytest.importorskip("psutil")
    spec["set"]["shape.kv_len"] = 65536
    process = start(memgrain, tmp_path, spec, "--jobs", "2")
    await_rows(tmp_path, 2)
    workers = [
        child for child in psutil.Process(process.pid).children() if "memgrain.runs.worker" in str(child.cmdline())
    ]
    workers[0].kill()
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert json.loads(output)["states"] == {"feasible": 24}
    assert sum(state in DONE for state in states(tmp_path, "small")) == 24


@pytest.mark.slow
def test_killed_and_run_again_it_ends_as_it_would_have(
    spec: dict[str, Any], tmp_path: Path, memgrain: list[str]
) -> None:
    process = start(memgrain, tmp_path, spec)
    await_rows(tmp_path, 6)
    process.kill()
    process.communicate()
    search = load_search(spec)
    again = explore(search, tmp_path / "out")
    assert proposals(again) == proposals(explore(search, tmp_path / "whole"))
    assert "RUNNING" not in states(tmp_path, "small")


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(spec: dict[str, Any], tmp_path: Path, memgrain: list[str]) -> None:
    spec["space"]["selection.ratio"] = {"low": 0.01, "high": 0.5}
    spec["trials"] = 5000
    process = start(memgrain, tmp_path, spec)
    await_rows(tmp_path, 3)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, output) == (130, "")
    assert "go on by running the same again" in errors.splitlines()[-1]
    found = states(tmp_path, "small")
    assert sum(state in DONE for state in found) >= 2
