"""Output of `memgrain run --assumptions`: the interval of a time over a chip's assumptions, number by number."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from memgrain.cli.terminal import console, predicting
from memgrain.cli.uncertainty import Rounds, spans_table
from memgrain.runs.options import RunOptions
from memgrain.runs.task import Task
from memgrain.uncertainty.assumptions import over_assumptions


def show_interval(task: Task, options: RunOptions, as_json: bool) -> None:
    """Simulate both ends of every assumed number; print a table or one JSON object."""
    with predicting("assumptions", options.out) as progress:
        found = over_assumptions(task, replace(options, progress=Rounds(progress)))
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    screen = console()
    screen.print(f"{task.workload} on {task.chip}: {found.time_us:.4g} us", style="bold")
    screen.print(
        f"every assumed number at its faster end {found.fastest_us:.4g} us, at its slower end {found.slowest_us:.4g} us"
    )
    screen.print(spans_table(found.numbers, "time_us"))
