"""`memgrain prefetch`: whether fetching ahead pays, by how often the guess is right and how far ahead it begins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memgrain.cli.options import AsJson, ChipName, Jobs, RowsFolder

if TYPE_CHECKING:
    from memgrain.analysis.prefetch import PrefetchStudy


def command(
    chip: ChipName,
    workloads: Annotated[
        list[str],
        typer.Argument(
            metavar="WORKLOAD...",
            help="Workloads that run one after the other; prefetch is for the last. One of a single kernel alone has a "
            "read of 32 MiB of weights before it.",
        ),
    ],
    tensors: Annotated[
        list[str] | None, typer.Option("--tensor", help="What to fetch; may be repeated. K and V if left out.")
    ] = None,
    piece: Annotated[int, typer.Option(help="Bytes that are guessed and fetched as a whole.")] = 512,
    limit: Annotated[int | None, typer.Option(help="Bytes fetched at most.")] = None,
    scratchpad: Annotated[
        bool, typer.Option("--scratchpad", help="Fetch into the cores' scratchpads, not into the last cache.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a number of the chip or of the last workload."),
    ] = None,
    as_json: AsJson = False,
    out: RowsFolder = None,
    jobs: Jobs = None,
) -> None:
    """Simulate, print a table of times with prefetch over times without; with -o, draw it."""
    from memgrain.analysis.prefetch import study
    from memgrain.cli.terminal import predicting
    from memgrain.runs.options import RunOptions
    from memgrain.runs.overrides import parse, split

    sets = split(parse(set_ or []), chip)
    into: Literal["cache", "scratchpad"] = "scratchpad" if scratchpad else "cache"
    with predicting("prefetch", out) as progress:
        found = study(
            chip, workloads, tensors or (), piece, into, limit, sets, RunOptions(out, jobs, progress=progress)
        )
    if out is not None and not found.rows.empty:
        from memgrain.plots.prefetch import grid

        grid(found, chip).savefig(out / "prefetch.png")
    if as_json:
        print(json.dumps({"rows": found.rows.to_dict("records"), "verdict": found.verdict()}, indent=2))
    else:
        _print(found)
    progress.conclude(out, found.failures)


def _print(found: PrefetchStudy) -> None:
    from rich.table import Table

    from memgrain.cli.terminal import console

    screen = console()
    screen.print(
        f"prefetch of {', '.join(found.tensors)} for {found.kernel}; {found.time_us:,.4g} us without", markup=False
    )
    titles = {"ratio": "time with prefetch / time without", "traffic": "bytes from DRAM with / without"}
    for column, title in titles.items() if not found.rows.empty else ():
        wide = found.table(column)
        table = Table(title=title, title_justify="left", title_style="bold", box=None)
        table.add_column("right")
        for lead in wide.columns:
            table.add_column(f"{lead:.0%} ahead", justify="right")
        for hits, values in wide.iterrows():
            table.add_row(f"{hits:.0%}", *(f"{value:.3f}" for value in values))
        screen.print()
        screen.print(table)
    screen.print()
    for sentence in found.verdict():
        screen.print(sentence, markup=False)
