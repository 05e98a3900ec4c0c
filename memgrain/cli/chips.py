"""`memgrain chips`: the chips by name, or one of them in full."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from memgrain.cli.options import AsJson


def command(
    name: Annotated[str | None, typer.Argument(help="A chip by name or a .yaml file; all chips if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the chips, or show the numbers of one with where they come from."""
    from rich.table import Table

    from memgrain.cli.terminal import console
    from memgrain.hwmodels import chip_names, load_chip, read_chip
    from memgrain.inputs.quantities import format_bandwidth, format_bytes
    from memgrain.runs.provenance import assumed, with_unit

    screen = console()
    if name is None:
        chips = [load_chip(known) for known in chip_names()]
        if as_json:
            print(json.dumps({chip.name: chip.title for chip in chips}, indent=2))
            return
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("name", "chip", "cores", "last cache", "DRAM", "bandwidth"):
            table.add_column(column, justify="left" if column in ("name", "chip", "DRAM") else "right", no_wrap=True)
        for chip in chips:
            table.add_row(
                chip.name,
                chip.title,
                str(chip.matmul_core.count),
                format_bytes(chip.cache.capacity) if chip.cache else "–",
                f"{format_bytes(chip.dram.capacity)} {chip.dram.standard.title.split(',')[0]}",
                format_bandwidth(chip.dram.bandwidth),
            )
        screen.print(table)
        return
    file = read_chip(name)
    if as_json:
        print(json.dumps(file.chip.model_dump(mode="json"), indent=2))
        return
    screen.print(f"[bold]{file.chip.title}[/bold] ({file.chip.name}, {file.chip.vendor})")
    screen.print(file.chip.note, markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("number", "value", "kind", "source or reason"):
        table.add_column(column, no_wrap=column != "source or reason", overflow="fold")
    for item in file.provenance.values():
        table.add_row(
            item.path, with_unit(item.value), item.kind, item.reason if item.kind == "assumed" else item.source
        )
    screen.print(table)
    screen.print(assumed(file.provenance.values()), markup=False)
