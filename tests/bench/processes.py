"""Processes of their own: a call of the command, and a point with its time and its peak of memory."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import memgrain

ROOT = Path(__file__).parents[2]
COMMAND = "from memgrain.cli import main; main()"


@dataclass(frozen=True)
class Ended:
    """What became of a process."""

    wall: float
    """Seconds that it took; of a point, seconds of its simulation alone."""
    stopped: bool
    """Whether it was stopped at its limit."""
    peak: float = 0.0
    """Most resident memory of a point, in MiB."""


def call(arguments: Sequence[str], limit: float | None = None, **environment: str) -> Ended:
    """One call of the command, with everything that it starts stopped after `limit` seconds."""
    begin = perf_counter()
    _, stopped, _ = _run([sys.executable, "-c", COMMAND, *arguments], limit, environment)
    return Ended(perf_counter() - begin, stopped)


def alone(
    chip: str, workload: str, small: Mapping[str, Any], large: Mapping[str, Any], limit: float | None = None
) -> Ended:
    """The point with the overrides `large`, run once after the one with `small`, which loads the compiled loops."""
    asked = json.dumps([chip, workload, dict(small), dict(large)])
    printed, stopped, peak = _run([sys.executable, "-m", "tests.bench.processes", asked], limit, {})
    if stopped:
        return Ended(limit or 0.0, True, peak)
    wall, peak = json.loads(printed)
    return Ended(wall, False, peak)


def _run(command: Sequence[str], limit: float | None, environment: Mapping[str, str]) -> tuple[str, bool, float]:
    """What it printed, whether it was stopped, and how much memory it had taken by then; raises if it failed."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, complaint = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            peak = peak_memory(process.pid)
            _stop(process)
            return "", True, peak
        except BaseException:
            _stop(process)
            raise
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {complaint.strip().splitlines()[-1:]}")
    return printed, False, 0.0


def _stop(process: subprocess.Popen[str]) -> None:
    """End a process and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def peak_memory(process: int | str = "self") -> float:
    """Most resident memory of a process so far, in MiB.

    Linux begins `ru_maxrss` of a child with its parent's peak, so that is asked only where there is no /proc.
    """
    with suppress(OSError, StopIteration):
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
    if process != "self":
        return float("nan")
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / 2**20 if sys.platform == "darwin" else largest / 1024


if __name__ == "__main__":
    chip, workload, small, large = json.loads(sys.argv[1])
    memgrain.run(chip, workload, set=small)
    begin = perf_counter()
    memgrain.run(chip, workload, set=large)
    print(json.dumps([perf_counter() - begin, peak_memory()]))
