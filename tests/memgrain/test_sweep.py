"""Does a sweep answer every point once, whatever happens on the way?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import yaml

import memgrain
from memgrain.errors import MemgrainError
from memgrain.runs import execute
from memgrain.runs.execute import run_sweep
from memgrain.runs.options import NoProgress, RunOptions
from memgrain.runs.rows import Row, read_rows
from memgrain.runs.sweep import load_sweep
from memgrain.runs.task import Point
from memgrain.runs.worker import WorkerLost


def by_id(folder: Path) -> dict[str, Row]:
    return {row["id"]: row for row in read_rows(folder / "rows.jsonl")}


class InstantPool:
    """A pool that answers at once, in this process; points in `deadly` take their worker with them."""

    lost: tuple[type[BaseException], ...] = (WorkerLost,)
    max_retries = 2

    def __init__(self, deadly: Callable[[Point], bool] = lambda point: False, width: int = 3) -> None:
        self.deadly, self.size = deadly, width
        self.asked: Counter[str] = Counter()
        self.broken = self.stopped = False

    def width(self) -> int:
        return self.size

    def submit(self, point: Point) -> Future[Row]:
        if self.broken:
            raise WorkerLost("was killed by SIGKILL")
        self.asked[str(point)] += 1
        future: Future[Row] = Future()
        try:
            if self.deadly(point):
                self.broken = True
                raise WorkerLost("was killed by SIGKILL")
            future.set_result(point.run())
        except Exception as error:
            future.set_exception(error)
        return future

    def restart(self) -> None:
        self.broken = False

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., InstantPool]:
    """Makes sweeps run in this process."""

    def use(*arguments: Any) -> InstantPool:
        pool = InstantPool(*arguments)
        monkeypatch.setattr(execute, "open_pool", lambda jobs, cluster: pool)
        return pool

    return use


class Heard(NoProgress):
    """A progress that remembers what failed."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def failed(self, message: str) -> None:
        self.messages.append(message)


def test_the_grid_is_walked_in_order(small: dict[str, Any]) -> None:
    small["grid"]["chip.l2.ways"] = [8, 16]
    sweep = load_sweep(small)
    tasks = sweep.tasks()
    assert len(tasks) == sweep.size() == 12
    assert [
        (task.workload_set["shape.head_dim"], task.workload_set["selection.ratio"], task.chip_set["l2.ways"])
        for task in tasks[:3]
    ] == [(64, 0.05, 8), (64, 0.05, 16), (64, 0.1, 8)]
    assert tasks == sweep.tasks()


def test_rows_are_written_once_and_ready_ones_are_skipped(
    small: dict[str, Any], tmp_path: Path, here: Callable[..., InstantPool]
) -> None:
    pool = here()
    first = run_sweep(load_sweep(small), tmp_path)
    assert (first.total, first.ready, first.failures, len(by_id(tmp_path))) == (6, 0, [], 6)
    assert pool.stopped
    small["grid"]["shape.head_dim"].append(80)
    again = run_sweep(load_sweep(small), tmp_path)
    assert (again.total, again.ready) == (8, 6)
    assert max(pool.asked.values()) == 1


def test_processes_give_the_same_rows_as_this_process(
    small: dict[str, Any], tmp_path: Path, here: Callable[..., InstantPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        pool = InstantPool()
        patch.setattr(execute, "open_pool", lambda jobs, cluster: pool)
        run_sweep(load_sweep(small), tmp_path / "here")
    run_sweep(load_sweep(small), tmp_path / "there", RunOptions(jobs=2))
    assert by_id(tmp_path / "here") == by_id(tmp_path / "there")


def test_a_point_that_fails_is_reported_and_the_others_go_on(
    small: dict[str, Any], tmp_path: Path, here: Callable[..., InstantPool]
) -> None:
    here()
    small["grid"]["shape.head_dim"] = [64, 65536]
    small["set"]["tiling.block_kv"] = 64
    heard = Heard()
    outcome = run_sweep(load_sweep(small), tmp_path, RunOptions(progress=heard))
    assert len(by_id(tmp_path)) == 2
    assert outcome.failures == heard.messages
    assert len(heard.messages) == 2
    assert all("shape.head_dim=65536" in message and "\n" not in message for message in heard.messages)


def test_a_point_that_kills_its_worker_is_found_and_given_up(
    small: dict[str, Any], tmp_path: Path, here: Callable[..., InstantPool]
) -> None:
    pool = here(lambda point: point.workload.shape.head_dim == 96 and point.workload.selection.ratio == 0.1)
    outcome = run_sweep(load_sweep(small), tmp_path)
    assert len(by_id(tmp_path)) == 5
    assert len(outcome.failures) == 1
    assert (
        "shape.head_dim=96 selection.ratio=0.1: its worker was killed by SIGKILL each time it ran"
        in outcome.failures[0]
    )
    assert max(pool.asked.values()) == 1 + pool.max_retries


def test_a_fault_in_one_point_is_one_line(
    small: dict[str, Any], tmp_path: Path, here: Callable[..., InstantPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    here()
    monkeypatch.setattr("memgrain.runs.task.simulate", lambda *a, **k: 1 / 0)
    outcome = run_sweep(load_sweep(small), tmp_path)
    assert len(outcome.failures) == 6
    assert "ZeroDivisionError: division by zero; a fault of memgrain" in outcome.failures[0]


def test_python_gets_a_frame_of_this_sweep_only(
    small: dict[str, Any], tmp_path: Path, here: Callable[..., InstantPool]
) -> None:
    here()
    memgrain.sweep(small, tmp_path)
    small["grid"]["shape.head_dim"] = [80, 96]
    frame = memgrain.sweep(small, tmp_path)
    assert sorted(frame["shape.head_dim"].unique()) == [80, 96]
    assert len(memgrain.load_rows(tmp_path)) == 8
    small["grid"]["shape.head_dim"] = [80, 65536]
    with pytest.raises(MemgrainError, match=r"2 of 4 points failed, first: toy .*shape.head_dim=65536"):
        memgrain.sweep(small, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chip": ["toy"]}, "unknown key 'chip' @ chip; did you mean 'chips'"),
        ({"chips": []}, "chips"),
        ({"workload": None}, "workload"),
        ({"grid": {"shape.head_dim": []}}, "grid.shape.head_dim"),
        ({"grid": {"l2.ways": [8]}}, "begins with 'chip.': chip.l2.ways"),
        ({"grid": {"shap.head_dim": [8]}}, "did you mean 'shape'"),
        ({"set": {"shape.head_dim": 8}}, "stands in set and in grid"),
        ({"before": "hot"}, "before"),
        ({"name": "a/b"}, "name"),
    ],
)
def test_a_wrong_sweep_is_refused_in_one_line(small: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(MemgrainError) as caught:
        load_sweep({**small, **change})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sweep_of_which_nothing_can_run_is_an_error(small: dict[str, Any]) -> None:
    for change in ({"chips": ["toi"]}, {"grid": {"chip.l2.wayz": [3]}}, {"workload": "decode_tokp"}):
        with pytest.raises(ValueError, match="did you mean"):
            load_sweep({**small, **change}).points()


def test_files_are_found_beside_the_sweep(small: dict[str, Any], tmp_path: Path) -> None:
    from memgrain.runs.shipped import find_workload

    (tmp_path / "mine.yaml").write_text(find_workload("decode_topk").read_text())
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**small, "workload": "mine.yaml"}))
    points, refused = load_sweep(tmp_path / "sweep.yaml").points()
    assert len(points) == 6
    assert refused == []


def test_the_shipped_sweep_is_the_question_of_the_article() -> None:
    sweep = load_sweep("head_dim_by_ratio")
    assert sweep.size() == 252
    points, refused = sweep.points()
    assert len({point.id() for point in points}) == 252
    assert refused == []


def start(memgrain: list[str], folder: Path, spec: dict[str, Any], jobs: int) -> subprocess.Popen[str]:
    (folder / "sweep.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return subprocess.Popen(
        [*memgrain, "sweep", "sweep.yaml", "-o", "rows", "-j", str(jobs), "--quiet"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def await_rows(folder: Path, count: int) -> None:
    path, end = folder / "rows" / "rows.jsonl", time.monotonic() + 240  # a first run compiles the hot loops
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < end, "no rows came"
        time.sleep(0.005)


def finish(memgrain: list[str], folder: Path, spec: dict[str, Any]) -> dict[str, Row]:
    process = start(memgrain, folder, spec, 2)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return by_id(folder / "rows")


@pytest.mark.slow
def test_killed_and_run_again_it_ends_with_the_same_rows(
    longer: dict[str, Any], tmp_path: Path, memgrain: list[str]
) -> None:
    psutil = pytest.importorskip("psutil")
    process = start(memgrain, tmp_path, longer, 2)
    await_rows(tmp_path, 2)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    kept = (tmp_path / "rows" / "rows.jsonl").read_bytes()
    assert kept.count(b"\n") < 16
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "workers outlive a killed sweep"
    (tmp_path / "rows" / "rows.jsonl").write_bytes(kept + b'{"id": "half a li')
    (tmp_path / "whole").mkdir()
    resumed = finish(memgrain, tmp_path, longer)
    assert (tmp_path / "rows" / "rows.jsonl").read_bytes().startswith(kept)
    assert resumed == finish(memgrain, tmp_path / "whole", longer)
    assert len(resumed) == 16


def test_interrupted_it_keeps_its_rows_and_says_how_to_go_on(
    longer: dict[str, Any], tmp_path: Path, memgrain: list[str]
) -> None:
    process = start(memgrain, tmp_path, longer, 1)
    await_rows(tmp_path, 2)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    assert errors.splitlines() == [
        "memgrain: interrupted; finished points are in rows; go on with: memgrain sweep sweep.yaml -o rows"
    ]
    assert 2 <= len(by_id(tmp_path / "rows")) < 16
    assert len(finish(memgrain, tmp_path, longer)) == 16


@pytest.mark.slow
def test_a_worker_killed_midway_costs_nothing(longer: dict[str, Any], tmp_path: Path, memgrain: list[str]) -> None:
    psutil = pytest.importorskip("psutil")
    process = start(memgrain, tmp_path, longer, 2)
    await_rows(tmp_path, 2)
    psutil.Process(process.pid).children()[0].kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert len(by_id(tmp_path / "rows")) == 16


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same_rows(
    longer: dict[str, Any], tmp_path: Path, memgrain: list[str]
) -> None:
    distributed = pytest.importorskip("distributed")

    class Killer(NoProgress):
        """Kills a worker when the second row is in."""

        rows = 0

        def done(self, row: Row) -> None:
            self.rows += 1
            if self.rows == 2:
                os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        outcome = run_sweep(
            load_sweep(longer),
            tmp_path / "cluster",
            RunOptions(cluster=cluster.scheduler_address, progress=Killer()),
        )
    assert outcome.failures == []
    (tmp_path / "local").mkdir()
    assert by_id(tmp_path / "cluster") == finish(memgrain, tmp_path / "local", longer)


def test_rows_hold_no_elapsed_time(small: dict[str, Any], tmp_path: Path, here: Callable[..., InstantPool]) -> None:
    here()
    run_sweep(load_sweep(small), tmp_path / "a")
    run_sweep(load_sweep(small), tmp_path / "b")
    texts = [sorted((tmp_path / name / "rows.jsonl").read_text().splitlines()) for name in "ab"]
    assert texts[0] == texts[1]
    assert all(json.loads(line)["id"] for line in texts[0])
