"""`memgrain plot`: figures of a sweep's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    rows: Annotated[str, typer.Argument(metavar="DIR", help="Folder of a sweep, or its rows.jsonl.")],
    metric: Annotated[
        str | None,
        typer.Option(
            help="What to draw: a metric or a counter; useful bytes over time, in % of the DRAM's peak, if left out."
        ),
    ] = None,
    x: Annotated[str | None, typer.Option(help="Key along x.")] = None,
    y: Annotated[str | None, typer.Option(help="Key along y (makes a heatmap).")] = None,
    by: Annotated[str | None, typer.Option(help="Key of the panels of a heatmap, or of the lines.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Draw only rows with this value. May be repeated.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Folder of the figures, or a .png file if there is one; beside the rows if left out."
        ),
    ] = None,
) -> None:
    """Draw, and print where the figures are."""
    from memgrain.errors import MemgrainError
    from memgrain.plots import figures
    from memgrain.runs.intervals import with_intervals
    from memgrain.runs.labels import SHARE
    from memgrain.runs.overrides import parse
    from memgrain.runs.pivot import where as rows_where
    from memgrain.runs.rows import find_rows, load_frame

    frame = rows_where(load_frame(rows, strict=True), parse(where or []))
    folder = find_rows(rows).parent
    drawn = figures(with_intervals(frame, folder, metric or SHARE), metric, x, y, by)
    target = out or folder
    is_file = target.suffix in (".png", ".pdf", ".svg")
    if is_file and len(drawn) > 1:
        raise MemgrainError(
            f"{len(drawn)} figures do not fit into {target.name}; give -o a folder, or choose one chip with "
            "--where chip=NAME"
        )
    written: list[Path] = []
    try:
        (target.parent if is_file else target).mkdir(parents=True, exist_ok=True)
        for name, figure in drawn:
            path = target if is_file else target / f"{name}.png"
            figure.savefig(path)
            written.append(path)
    except OSError as error:
        raise MemgrainError(f"cannot write {target} ({error.strerror}); choose another place with -o") from None
    for path in written:
        print(path)
