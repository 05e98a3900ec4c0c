"""Can workers be started from any program, and does one that dies say how?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from memgrain.runs.execute import run_points
from memgrain.runs.options import NoProgress, RunOptions
from memgrain.runs.pool import Processes
from memgrain.runs.rows import Row, read_rows
from memgrain.runs.worker import Worker, WorkerLost

PROGRAM = """
import memgrain
with open("ran", "a") as file:
    file.write(__name__ + "\\n")
spec = {"name": "s", "chips": ["toy"], "workload": "decode_topk", "set": {"shape.kv_len": 4096},
        "grid": {"shape.head_dim": [64, 96, 128]}}
frame = memgrain.sweep(spec, "out", options=memgrain.RunOptions(jobs=2))
print(len(frame), list(frame["shape.head_dim"]))
"""
"""A program with a side effect and no guard."""
WAYS: dict[str, list[str]] = {
    "script": ["program.py"],
    "standard input": ["-"],
    "argument": ["-c", PROGRAM],
    "module": ["-m", "program"],
    "package": ["-m", "package"],
    "interactive": ["-i", "-q"],
}
QUICK = ("script",)


@dataclass(frozen=True)
class Does:
    """A job that does what its name says."""

    what: str

    def id(self) -> str:
        return self.what

    def run(self) -> Row:
        if self.what == "exit":
            print("some last words", file=sys.stderr, flush=True)
            os._exit(3)
        if self.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "fail":
            raise Stubborn("not", "again")
        if self.what == "print":
            print("noise among the answers", flush=True)
        return {"id": self.what}

    def __str__(self) -> str:
        return f"point {self.what}"


class Stubborn(Exception):
    """An exception that pickle cannot make anew."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Heard(NoProgress):
    """A progress that remembers what failed."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def failed(self, message: str) -> None:
        self.messages.append(message)


@pytest.mark.parametrize("way", [pytest.param(way, marks=() if way in QUICK else pytest.mark.slow) for way in WAYS])
def test_a_program_without_a_guard_runs_once(way: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, *WAYS[way]],
        input=PROGRAM if way == "standard input" else f"exec({PROGRAM!r})\n" if way == "interactive" else None,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.stdout.strip() == "3 [64, 96, 128]"
    assert done.returncode == 0
    assert way == "interactive" or not done.stderr
    assert (tmp_path / "ran").read_text().split() == ["__main__"]


@pytest.mark.slow
def test_a_notebook_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, formats = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    book = formats.v4.new_notebook(cells=[formats.v4.new_code_cell(PROGRAM)])
    client.NotebookClient(book, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "3 [64, 96, 128]" in "".join(output.get("text", "") for output in book.cells[0].outputs)
    assert (tmp_path / "ran").read_text().split() == ["__main__"]


@pytest.mark.parametrize(
    ("what", "how"),
    [("exit", "ended with exit status 3 (some last words)"), ("die", "was killed by SIGKILL")],
)
def test_a_worker_that_dies_is_one_line(what: str, how: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    heard = Heard()
    outcome = run_points(
        [Does(what), *(Does(f"well {n}") for n in range(5))], [], tmp_path, RunOptions(jobs=2, progress=heard)
    )
    assert len(list(read_rows(outcome.path))) == 5
    (message,) = heard.messages
    assert message.startswith(f"point {what}: its worker {how} each time it ran; ")
    assert len(capfd.readouterr().err.splitlines()) <= 1


def test_what_a_job_prints_or_raises_does_no_harm(capfd: pytest.CaptureFixture[str]) -> None:
    worker = Worker(set())
    try:
        assert worker.run(Does("print")) == {"id": "print"}
        with pytest.raises(RuntimeError, match="Stubborn: not again"):
            worker.run(Does("fail"))
        assert worker.run(Does("print")) == {"id": "print"}
    finally:
        worker.kill()  # after which all that it wrote has been passed on
    assert "noise" in capfd.readouterr().err
    with pytest.raises(WorkerLost):
        worker.run(Does("print"))


def test_a_pool_is_stopped_at_once_and_leaves_nothing() -> None:
    pool = Processes(2)
    futures: list[Any] = [pool.submit(Does("well")) for _ in range(4)]
    workers = [futures[0].result() and worker for worker in pool._workers]
    began = time.monotonic()
    pool.stop()
    assert time.monotonic() - began < 5
    assert all(worker.process.poll() is not None for worker in workers)
    pool.restart()
    assert pool.submit(Does("again")).result() == {"id": "again"}
    pool.stop()
