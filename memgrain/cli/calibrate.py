"""`memgrain calibrate`: numbers of a chip fitted to its microbenchmarks, as a YAML file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memgrain.cli.options import AsJson, Jobs
from memgrain.errors import MemgrainError

if TYPE_CHECKING:
    from memgrain.calibration import Calibration


def command(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE.csv...", help="Rows of microbenchmarks; see tests/validation/README.md."),
    ],
    chip: Annotated[str, typer.Option(help="The chip by name, or a .yaml file.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="YAML file for the numbers; printed if left out.")
    ] = None,
    as_json: AsJson = False,
    rows: Annotated[
        int | None,
        typer.Option(help="Rows that are simulated, spread over all, one a number at least; 24 if left out."),
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Fit, and print what was found, how far it may move, and the errors that remain."""
    from memgrain.calibration import ROWS, open_calibration
    from memgrain.cli.terminal import console
    from memgrain.runs.options import RunOptions

    screen = console(stderr=True)
    if out is not None and not out.parent.is_dir():
        raise MemgrainError(f"cannot write {out} (no folder {out.parent}); make it, or choose another file with -o")
    found = open_calibration(files, chip, ROWS if rows is None else rows)
    for key, reason in found.skipped.items():
        screen.print(f"memgrain: {key} is left as it is: {reason}", markup=False, soft_wrap=True)
    try:
        found.run(RunOptions(jobs=jobs), lambda line: screen.print(f"memgrain: {line}", markup=False, soft_wrap=True))
    except KeyboardInterrupt:
        screen.print("memgrain: interrupted; what was found so far:", markup=False)
        _report(found, out, as_json)
        raise typer.Exit(130) from None
    _report(found, out, as_json)


def _report(found: Calibration, out: Path | None, as_json: bool) -> None:
    from memgrain.calibration import figures, fragment

    text = fragment(found)
    if out is not None:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise MemgrainError(f"cannot write {out} ({error.strerror}); choose another file with -o") from None
    if as_json:
        print(json.dumps(figures(found), indent=2))
        return
    _print(found)
    if out is None:
        print(f"\n{text}", end="")


def _print(found: Calibration) -> None:
    """The table of numbers, and that of families."""
    from rich.table import Table

    from memgrain.calibration import figures
    from memgrain.cli.terminal import console

    screen, known = console(), figures(found)
    table = Table(title="numbers; errors of the time in %", title_justify="left", title_style="bold", box=None)
    for title in ("", "was", "found", "range", "bound", "rows", "error", "now"):
        table.add_column(title, justify="left" if title in ("", "bound") else "right", no_wrap=True)
    for key, item in known["numbers"].items():
        ends = [
            f"{end}{'?' if item['open'][side] else ''}"
            for side, end in zip(("low", "high"), item["range"] or (), strict=False)
        ]
        table.add_row(
            key,
            str(item["was"]),
            str(item["value"]) if item["error_after"] is not None and item["determined"] is not False else "–",
            " to ".join(ends) or "–",
            item["at_bound"] or "",
            str(item["rows"]),
            _percent(item["error_before"]),
            _percent(item["error_after"]),
        )
    screen.print(table)
    families = Table(title="all rows", title_justify="left", title_style="bold", box=None)
    for title in ("", "before", "after"):
        families.add_column(title, justify="right" if title else "left", no_wrap=True)
    for family, errors in known["families"].items():
        families.add_row(family, _percent(errors["before"]), _percent(errors["after"]))
    screen.print()
    screen.print(families)
    if any(item["open"] and any(item["open"].values()) for item in known["numbers"].values()):
        screen.print("?: the error has hardly risen at the bound, so the rows do not say where the range ends")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
