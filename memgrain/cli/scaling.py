"""`memgrain scaling`: how bytes, operations and time of a decode step grow with the context, by mechanism."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from memgrain.cli.options import AsJson, ChipName, Jobs, RowsFolder

if TYPE_CHECKING:
    from memgrain.analysis.scaling import Scaling


def command(
    chip: ChipName,
    contexts: Annotated[
        list[int] | None, typer.Option("--context", help="A context in tokens; may be repeated. 4K to 1M if left out.")
    ] = None,
    as_json: AsJson = False,
    out: RowsFolder = None,
    jobs: Jobs = None,
) -> None:
    """Simulate, fit, print; with -o, draw."""
    from memgrain.analysis.scaling import CONTEXTS, scaling
    from memgrain.cli.terminal import predicting
    from memgrain.runs.options import RunOptions

    with predicting("scaling", out) as progress:
        found = scaling(
            chip, sorted(set(contexts)) if contexts else CONTEXTS, options=RunOptions(out, jobs, progress=progress)
        )
    if out is not None:
        from memgrain.plots.scaling import curves

        curves(found, chip).savefig(out / "scaling.png")
    if as_json:
        rows, exponents = (frame.to_dict("records") for frame in (found.rows, found.exponents()))
        print(json.dumps({"rows": rows, "exponents": exponents}, indent=2))
    else:
        _print(found)
    progress.conclude(out, found.failures)


def _print(found: Scaling) -> None:
    from rich.table import Table

    from memgrain.analysis.scaling import COSTS, FITTED_FROM, MECHANISMS
    from memgrain.cli.terminal import console

    screen = console()
    for cost, title in (("read_bytes", "bytes from DRAM, MB"), ("time_us", "time, us")):
        wide = found.rows.pivot_table(index="mechanism", columns="context", values=cost, sort=False)
        table = Table(title=title, title_justify="left", title_style="bold", box=None)
        table.add_column("")
        for context in wide.columns.astype(int).tolist():
            table.add_column(f"{context // 1024}K", justify="right")
        for name, values in wide.iterrows():
            table.add_row(str(name), *(f"{value / 1e6 if cost == 'read_bytes' else value:,.4g}" for value in values))
        screen.print(table)
        screen.print()
    claims = {mechanism.name: mechanism.claim for mechanism in MECHANISMS}
    title = f"exponent e of cost ~ n^e from {FITTED_FROM // 1024}K tokens on (log n: 0.08)"
    table = Table(title=title, title_justify="left", title_style="bold", box=None)
    for heading in ("", *COSTS.values(), "said of a step"):
        table.add_column(heading, justify="right" if heading in COSTS.values() else "left")
    for line in found.exponents().to_dict("records"):
        numbers = (f"{line[cost]:.2f}" for cost in COSTS)
        table.add_row(line["mechanism"], *numbers, claims[line["mechanism"]])
    screen.print(table)
