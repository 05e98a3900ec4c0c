"""`memgrain run`: one workload on one chip."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def command(
    chip: Annotated[str, typer.Argument(help="A chip by name (see 'memgrain chips') or a .yaml file.")],
    workload: Annotated[str, typer.Argument(help="A workload by name (see 'memgrain examples') or a .yaml file.")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a number of either: l2.ways=32, shape.head_dim=96. May be repeated.",
        ),
    ] = None,
    before: Annotated[str, typer.Option(help="Caches before the run: cold, dirty or warm.")] = "cold",
    fold: Annotated[
        float | None,
        typer.Option(
            help="Count long repeats instead of simulating them where windows of them differ by no more than this "
            "(0.01: 1 %); the answer says how far it may be off."
        ),
    ] = None,
    assumptions: Annotated[
        bool,
        typer.Option(
            "--assumptions", help="Run with each assumed number of the chip at the ends of its range, and all."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with everything.")] = False,
) -> None:
    """Simulate, then print a table or one JSON object."""
    from codesign.overrides import parse, split
    from codesign.task import Task

    chip_set, workload_set = split(parse(set_ or []), chip)
    if assumptions:
        from codesign.cli.assumptions import show_interval

        return show_interval(chip, chip_set, workload, workload_set, as_json)
    point = Task(chip, chip_set, workload, workload_set, before, fold).resolve()
    result = point.simulate()
    if as_json:
        print(json.dumps(point.row(result), indent=2, default=int))
        return
    from codesign.cli.report import print_result
    from hwmodels import read_chip

    print_result(point, result, read_chip(chip, chip_set).provenance)
