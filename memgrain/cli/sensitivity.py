"""`memgrain sensitivity`: the numbers of a chip ranked by their effect on a result; what to measure first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from memgrain.cli.options import AsJson, CacheState, ChipName, Jobs, RowsFolder, SetEither, WorkloadName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from memgrain.uncertainty.sensitivity import Effect, Sensitivity

QUIET = 5e-4
"""Effect and elasticity below which a number is only counted, unless --all is given."""
SOURCE = {True: 28, False: 54}
"""Columns for the source, with and without a range beside it; 'memgrain explain' prints all of it."""


def command(
    chip: ChipName,
    workload: WorkloadName,
    set_: SetEither = None,
    before: CacheState = "cold",
    metric: Annotated[str, typer.Option(help="A column of the row.")] = "time_us",
    everything: Annotated[bool, typer.Option("--all", help="List numbers without effect too.")] = False,
    out: RowsFolder = None,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Simulate with each number a little lower, a little higher and at the ends of its range; rank."""
    from dataclasses import asdict

    from memgrain.cli.terminal import predicting
    from memgrain.cli.uncertainty import Rounds
    from memgrain.runs.options import RunOptions
    from memgrain.runs.overrides import parse
    from memgrain.runs.task import Task
    from memgrain.uncertainty.sensitivity import sensitivity

    task = Task.of(chip, workload, parse(set_ or []), before)
    with predicting("sensitivity", out) as progress:
        found = sensitivity(task, metric, RunOptions(out, jobs, progress=Rounds(progress)))
    if as_json:
        plain = {"usual" if name == "nominal" else name: value for name, value in asdict(found).items()}
        print(json.dumps(plain, indent=2))
        return
    _print(found, f"{workload} on {chip}", everything)


def _print(found: Sensitivity, title: str, everything: bool) -> None:
    from memgrain.cli.tables import number_text
    from memgrain.cli.terminal import console
    from memgrain.runs.provenance import with_unit

    screen = console()
    screen.print(f"{title}: {found.metric} {number_text(found.nominal)}", style="bold", markup=False)
    ranged = [item for item in found.effects if item.effect is not None]
    exact = [item for item in found.effects if item.effect is None]
    for name, items in (("numbers with a range: what to measure", ranged), ("numbers without a range", exact)):
        shown = [item for item in items if everything or _tells(item)]
        if shown:
            screen.print()
            screen.print(_table(name, shown))
        if len(shown) < len(items):
            screen.print(f"{len(items) - len(shown)} more without effect (--all lists them)", style="dim")
    if any(len(item.steps) == 2 and item.value in item.steps for item in found.effects):
        screen.print("↑ ↓: by a step up or down only, as the other side is not admitted", style="dim")
    if found.fixed:
        screen.print("\nnot varied", style="bold")
        for path, value, reason in found.fixed:
            screen.print(f"{path} = {with_unit(value)}: {reason}", markup=False, soft_wrap=True)


def _tells(item: Effect) -> bool:
    return (item.effect or 0.0) >= QUIET or abs(item.elasticity or 0.0) >= QUIET


def _table(name: str, items: Sequence[Effect]) -> Table:
    from rich.table import Table

    from memgrain.runs.provenance import with_unit

    ranged = items[0].effect is not None
    table = Table(title=name, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for title in ("number", ">value", "kind", *(("range", ">effect") if ranged else ()), ">elasticity", "source"):
        right, width = title.startswith(">"), SOURCE[ranged] if title == "source" else None
        table.add_column(title.lstrip(">"), justify="right" if right else "left", no_wrap=True, max_width=width)
    for item in items:
        limits = [f"{with_unit(item.range[0])} … {with_unit(item.range[1])}"] if ranged and item.range else []
        effect = [] if item.effect is None else [f"± {item.effect:.1%}"]
        table.add_row(item.path, with_unit(item.value), item.kind, *limits, *effect, _elasticity(item), item.source)
    return table


def _elasticity(item: Effect) -> str:
    """The elasticity; an arrow says that it is one-sided."""
    if item.elasticity is None:
        return "–  "
    arrow = {item.steps[0]: "↑", item.steps[1]: "↓"}.get(item.value, " ")
    return f"{item.elasticity + 0.0:+.3f} {arrow}"
