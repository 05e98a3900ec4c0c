"""How long a process of the command takes: to say what it can, to run with compiled loops, to compile them first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import pytest

from tests.bench.conftest import Figure, seconds

HELP_GOAL, RUN_GOAL, COLD_GOAL = 0.3, 2.0, 30.0
"""Seconds."""
RUN = ("run", "h100_sxm", "decode_topk")


def process(arguments: tuple[str, ...], **environment: str) -> None:
    """One call of the command in a process of its own."""
    code = "from codesign.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, env={**os.environ, **environment}
    )


@pytest.mark.bench
def test_seconds_of_a_process(report: Callable[[Figure], None], tmp_path: Path) -> None:
    process(RUN)
    report(Figure("memgrain --help", seconds(lambda: process(("--help",))), "s", HELP_GOAL, less=True))
    report(Figure(f"memgrain {' '.join(RUN)}", seconds(lambda: process(RUN)), "s", RUN_GOAL, less=True))
    begin = perf_counter()
    process(RUN, MEMGRAIN_CACHE_DIR=str(tmp_path))
    report(Figure("  the first time, compiling", perf_counter() - begin, "s", COLD_GOAL, less=True))
