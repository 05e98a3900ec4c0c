"""How long a process of the command takes: to say what it can, to run with compiled loops, to compile them first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.figure import Figure, Report, seconds
from tests.bench.processes import call

HEADING = "Start of the command"
HELP_GOAL, RUN_GOAL, COLD_GOAL = 0.3, 2.0, 30.0
"""Seconds."""
RUN = ("run", "h100_sxm", "decode_topk")


@pytest.mark.bench
def test_seconds_of_a_process(report: Report, tmp_path: Path) -> None:
    call(RUN)
    report(Figure("memgrain --help", seconds(lambda: call(("--help",))), "s", HELP_GOAL, less=True))
    report(Figure(f"memgrain {' '.join(RUN)}", seconds(lambda: call(RUN)), "s", RUN_GOAL, less=True))
    cold = call(RUN, MEMGRAIN_CACHE_DIR=str(tmp_path)).wall
    report(Figure("  the first time, compiling", cold, "s", COLD_GOAL, less=True))
