"""`memgrain whatif`: ten changes that an architect asks about, each with its effect on the time and the reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from memgrain.cli.options import AsJson, CacheState, ChipName, Jobs, RowsFolder, SetEither, WorkloadName

if TYPE_CHECKING:
    from memgrain.analysis.whatif import WhatIf


def command(
    chip: ChipName,
    workload: WorkloadName,
    set_: SetEither = None,
    before: CacheState = "cold",
    out: RowsFolder = None,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Change one thing at a time, simulate, and say what moved."""
    from memgrain.analysis.whatif import what_if
    from memgrain.cli.terminal import predicting
    from memgrain.cli.uncertainty import Rounds
    from memgrain.runs.options import RunOptions
    from memgrain.runs.overrides import parse
    from memgrain.runs.task import Task

    task = Task.of(chip, workload, parse(set_ or []), before)
    with predicting("whatif", out) as progress:
        found = what_if(task, RunOptions(out, jobs, progress=Rounds(progress)))
    if as_json:
        print(json.dumps([item.record() for item in found], indent=2))
    else:
        _print(found, f"{workload} on {chip}")


def _print(found: tuple[WhatIf, ...], title: str) -> None:
    from memgrain.cli.tables import number_text, table
    from memgrain.cli.terminal import console

    screen = console()
    screen.print(f"{title}: {number_text(found[0].before['time_us'])} us", style="bold", markup=False)
    shown = table("change", ">time, us", ">effect", "why")
    for item in found:
        time = number_text(item.after["time_us"]) if item.after else "–"
        effect = "–" if item.effect is None else f"{item.effect + 0.0:+.1%}"
        shown.add_row(item.change.name, time, effect, item.reason)
    screen.print(shown)
    for item in found:
        if item.plausible is False:
            screen.print(f"{item.change.name}: the time moved against expectation. {item.change.physics}", markup=False)
