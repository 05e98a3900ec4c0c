"""Types of the arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ChipName = Annotated[str, typer.Argument(help="A chip by name (see 'memgrain chips') or a .yaml file.")]
ModelName = Annotated[str, typer.Argument(help="A model by name (see 'memgrain model list') or a .yaml file.")]
WorkloadName = Annotated[str, typer.Argument(help="A workload by name (see 'memgrain examples') or a .yaml file.")]
SetEither = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a number of chip or workload: l2.ways=32, shape.head_dim=96. May be repeated.",
    ),
]
SetChip = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a number of the chip: l2.ways=32. May be repeated."),
]
CacheState = Annotated[str, typer.Option("--before", help="Caches before the run: cold, dirty or warm.")]
TuneKeys = Annotated[
    str | None,
    typer.Option(
        "--tune",
        metavar="KEYS",
        help="Find every point's best values of these keys of the tiling, with commas: splits, block_kv, stages, "
        "block_q.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")]
RowsFolder = Annotated[
    Path | None, typer.Option("-o", "--out", help="Folder for the rows, which are not run again, and figures.")
]
Jobs = Annotated[int | None, typer.Option("-j", "--jobs", help="Points at a time; one for each core if left out.")]
