"""`memgrain explain`: what a dotted name means."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from memgrain.cli.options import AsJson


def command(
    path: Annotated[
        str, typer.Argument(metavar="NAME", help="l2.ways, hbm.standard.timings.tRCD, shape.head_dim, amplification, …")
    ],
    chip: Annotated[str | None, typer.Option(help="Only this chip, by name or .yaml file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print its meaning, its unit, its value on each chip with the source, and the code that reads it."""
    from rich.table import Table

    from memgrain.analysis.explain import explain
    from memgrain.cli.terminal import console

    found = explain(path, chip)
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=2, default=str))
        return
    screen = console()
    screen.print(f"[bold]{found.path}[/bold]")
    screen.print(f"what   {found.sentence}", markup=False)
    screen.print(f"unit   {found.unit}", markup=False)
    if found.change:
        screen.print(f"change {found.change}", markup=False)
    if found.values:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("chip", "value", "kind", "range", "source or reason"):
            table.add_column(column, no_wrap=column not in ("source or reason", "range"), overflow="fold")
        for value in found.values:
            item = value.provenance
            if item is None:
                table.add_row(value.chip, value.text, "derived" if "derived" in found.unit else "–", "", "")
            else:
                limits = f"{item.range[0]} … {item.range[1]}" if item.range else ""
                table.add_row(
                    value.chip, value.text, item.kind, limits, item.reason if item.kind == "assumed" else item.source
                )
        screen.print()
        screen.print(table)
    if found.without and not chip:
        screen.print(f"\nnot on {', '.join(found.without)}", markup=False)
    if found.readers is None:
        return
    screen.print(
        "\nread by (found in the source by name)"
        if found.readers
        else "\nread by nobody (searched in the source by name)"
    )
    for reader in found.readers:
        screen.print(f"  {reader}", markup=False)
