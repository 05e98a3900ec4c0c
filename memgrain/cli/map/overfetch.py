"""`memgrain map overfetch`: bytes fetched ÷ bytes needed by head dimension, element type, layout and granularity."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memgrain.cli.options import AsJson, SetChip

if TYPE_CHECKING:
    from memgrain.analysis.over_fetch import LayoutOptions, OverFetchCell
    from memgrain.hwmodels import Chip


def command(
    chip: Annotated[
        str | None,
        typer.Argument(help="A chip whose own granule is simulated too, by name (see 'memgrain chips') or .yaml file."),
    ] = None,
    head_dims: Annotated[
        list[int] | None, typer.Option("--head-dim", help="A head dimension. May be repeated; 64 to 256 if left out.")
    ] = None,
    dtypes: Annotated[
        list[str] | None, typer.Option("--dtype", help="bf16, fp16, fp8, int8 or fp32. May be repeated.")
    ] = None,
    sizes: Annotated[
        list[int] | None,
        typer.Option("--bytes", help="Rows of so many bytes in place of head dimensions. May be repeated."),
    ] = None,
    granules: Annotated[
        list[int] | None, typer.Option("--granule", help="Bytes fetched at a time. May be repeated; 32 to 512.")
    ] = None,
    layouts: Annotated[
        list[str] | None,
        typer.Option("--layout", help="rows, random, padded, nz, page or tile. May be repeated; all if left out."),
    ] = None,
    page: Annotated[int, typer.Option(help="Tokens of a page.")] = 16,
    tile: Annotated[int, typer.Option(help="Tokens of a tile.")] = 64,
    stride: Annotated[
        int | None, typer.Option(help="Bytes between padded rows; the next power of two if left out.")
    ] = None,
    ratio: Annotated[float, typer.Option(help="Share of the tokens read in layout random.")] = 0.05,
    set_: SetChip = None,
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The figure, a .png; out/map_overfetch.png if left out.")
    ] = None,
) -> None:
    """Compute the map, simulate it too if a chip is given; print tables and draw a figure."""
    from memgrain.analysis.over_fetch import (
        DTYPES,
        GRANULES,
        HEAD_DIMS,
        LAYOUTS,
        LayoutOptions,
        MapRow,
        on_chip,
        over_fetch_map,
        rows_of,
    )
    from memgrain.cli.map import draw, place
    from memgrain.errors import MemgrainError
    from memgrain.hwmodels import load_chip
    from memgrain.plots.over_fetch import panels
    from memgrain.runs.overrides import parse

    target = place(out, "overfetch")
    if sizes and (head_dims or dtypes):
        raise MemgrainError("--bytes gives whole rows, so --head-dim and --dtype say nothing; leave either out")
    if set_ and chip is None:
        raise MemgrainError("--set overrides a chip's number and there is no chip; name one")
    terms = LayoutOptions(page, tile, stride, ratio)
    rows = [MapRow(f"{size} B", size, "") for size in sizes or ()]
    rows = rows or rows_of(head_dims or HEAD_DIMS, dtypes or DTYPES)
    names, spec = layouts or tuple(LAYOUTS), None if chip is None else load_chip(chip, parse(set_ or []))
    cells = over_fetch_map(rows, granules or GRANULES, names, terms)
    own = [] if spec is None else on_chip(spec, rows, names, terms)
    if as_json:
        print(json.dumps(_answer(cells, own, spec, terms), indent=2))
    else:
        _print(cells, own, spec, terms)
    draw(panels(cells, own, spec, terms), target, as_json)


def _answer(
    cells: list[OverFetchCell], own: list[OverFetchCell], chip: Chip | None, terms: LayoutOptions
) -> dict[str, object]:
    """What `--json` prints."""
    from memgrain.sim.levels.granules import granule_of

    found: dict[str, object] = {"terms": asdict(terms), "cells": [_plain(cell) for cell in cells]}
    if chip is not None:
        name, granule = granule_of(chip)
        found |= {"chip": chip.name, "granule": {name: granule}, "on_chip": [_plain(cell) for cell in own]}
    return found


def _plain(cell: OverFetchCell) -> dict[str, object]:
    plain = {"layout": cell.layout, **asdict(cell.row), "granule": cell.granule, "ratio": cell.ratio}
    return plain if cell.simulated is None else plain | {"simulated": cell.simulated}


def _print(cells: list[OverFetchCell], own: list[OverFetchCell], chip: Chip | None, terms: LayoutOptions) -> None:
    from rich.table import Table

    from memgrain.analysis.over_fetch import LAYOUTS, agreement
    from memgrain.cli.terminal import console
    from memgrain.sim.levels.granules import granule_of

    screen, layouts = console(), dict.fromkeys(cell.layout for cell in cells)
    dtypes = dict.fromkeys(cell.row.dtype for cell in cells)
    granules, name = dict.fromkeys(cell.granule for cell in cells), ""
    if chip is not None:
        name, granule = granule_of(chip)
        screen.print(f"{chip.title}: {name} is {granule} B; by formula, and as simulated\n", style="bold", markup=False)
    for layout in layouts:
        title = f"bytes fetched for each needed: {LAYOUTS[layout].title(terms)}"
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="")
        table.add_column("row ↓", justify="right", no_wrap=True)
        for dtype in dtypes:
            for place, size in enumerate(granules):
                head = f"{dtype if place == 0 else ''}\n" if dtype else ""
                table.add_column(f"{head}{size} B", justify="right", no_wrap=True)
            if own:
                table.add_column("\nformula" if dtype else "formula", justify="right", no_wrap=True)
                table.add_column("\nsimulated" if dtype else "simulated", justify="right", no_wrap=True)
        for label in dict.fromkeys(cell.row.label for cell in cells):
            line = [label]
            for dtype in dtypes:
                mine = [c for c in cells if (c.layout, c.row.label, c.row.dtype) == (layout, label, dtype)]
                line += [_number(cell.ratio) for cell in mine]
                for cell in own:
                    if (cell.layout, cell.row.label, cell.row.dtype) == (layout, label, dtype):
                        line += [_number(cell.ratio), _number(cell.simulated)]
            table.add_row(*line)
        screen.print(table)
        screen.print()
    if own:
        screen.print(agreement(own), markup=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
