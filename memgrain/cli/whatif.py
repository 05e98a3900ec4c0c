"""`memgrain whatif`: ten changes that an architect asks about, each with its effect on the time and the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from memgrain.analysis.whatif import WhatIf


def command(
    chip: Annotated[str, typer.Argument(help="A chip by name (see 'memgrain chips') or a .yaml file.")],
    workload: Annotated[str, typer.Argument(help="A workload by name (see 'memgrain examples') or a .yaml file.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a number of either. May be repeated."),
    ] = None,
    before: Annotated[str, typer.Option(help="Caches before the run: cold, dirty or warm.")] = "cold",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for the rows, which are not run again.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", help="Runs at a time; one for each core if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Change one thing at a time, simulate, and say what moved."""
    from memgrain.analysis.whatif import what_if
    from memgrain.cli.terminal import predicting
    from memgrain.cli.uncertainty import Rounds
    from memgrain.runs.options import RunOptions
    from memgrain.runs.overrides import parse, split
    from memgrain.runs.task import Task

    chip_set, workload_set = split(parse(set_ or []), chip)
    task = Task(chip, chip_set, workload, workload_set, before)
    with predicting("whatif", out) as progress:
        found = what_if(task, RunOptions(out, jobs, progress=Rounds(progress)))
    if as_json:
        print(json.dumps([_record(item) for item in found], indent=2))
    else:
        _print(found, f"{workload} on {chip}")


def _record(item: WhatIf) -> dict[str, object]:
    return {
        "change": item.change.name,
        "set": {**{f"chip.{key}": value for key, value in item.settings.chip.items()}, **item.settings.workload},
        "time_us": item.after["time_us"] if item.after else None,
        "time_before_us": item.before["time_us"],
        "effect": item.effect,
        "plausible": item.plausible,
        "reason": item.reason,
        "physics": item.change.physics,
    }


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
