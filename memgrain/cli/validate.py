"""`memgrain validate`: predictions of measured rows beside the measurements."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.errors import MemgrainError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from memgrain.validation import External, Validation

WORST = 10
"""Rows of the table of the worst."""


def command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Measured rows (CSV) or points (YAML); see tests/validation/README.md."),
    ] = None,
    chip: Annotated[
        str | None, typer.Option(help="A chip by name or a .yaml file; by the column 'device' if left out.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a number of the chip. May be repeated."),
    ] = None,
    dram: Annotated[
        str | None,
        typer.Option(
            help="For rows of a DRAM channel: the standard, by name or a .yaml file; by the column 'dram' if left out."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object of fractions.")] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for predictions, the worst rows and a figure.")
    ] = None,
    external: Annotated[
        str | None, typer.Option(metavar="NAME", help="Rows that others measured, in place of a file: aiconfigurator.")
    ] = None,
    op: Annotated[
        str | None, typer.Option(help="With --external: the operation, such as generation_attention.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="With --external: vllm, sglang or trtllm; by default that with most rows.")
    ] = None,
    alternatives: Annotated[
        bool, typer.Option("--alternatives", help="With a file of points: predict them under its other hypotheses too.")
    ] = False,
    sample: Annotated[int | None, typer.Option(help="Take that many rows at random.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", help="Rows at a time; one for each core if left out.")
    ] = None,
) -> None:
    """Predict, compare, and print the errors by family."""
    from memgrain.cli.terminal import predicting
    from memgrain.runs.options import RunOptions
    from memgrain.runs.overrides import parse
    from memgrain.validation import validate
    from memgrain.validation.channel import is_channel_file
    from memgrain.validation.points import is_points_file

    rows, options = _rows(file, external, op, backend), RunOptions(out, jobs, seed=seed)
    if isinstance(rows, Path) and is_points_file(rows):
        from memgrain.cli.points import show_points

        if chip or dram or sample is not None:
            raise MemgrainError("--chip, --dram and --sample are for rows of a CSV; drop them for a file of points")
        return show_points(rows, parse(set_ or []), alternatives, options, as_json)
    if alternatives:
        raise MemgrainError("--alternatives are those of a file of points; drop it for rows of a CSV")
    if isinstance(rows, Path) and (dram is not None or is_channel_file(rows)):
        from memgrain.cli.channel import validate_dram

        if chip or set_ or sample is not None:
            raise MemgrainError(
                "--chip, --set and --sample are for rows of kernels; drop them for rows of a DRAM channel"
            )
        return validate_dram(rows, dram, options, as_json)
    if dram is not None:
        raise MemgrainError("--dram is for a file of rows of a DRAM channel; drop it, or --external")
    name = rows.name if isinstance(rows, Path) else rows.source
    with predicting(name, out) as progress:
        found = validate(rows, chip, parse(set_ or []), sample, options=replace(options, progress=progress))
    if as_json:
        print(json.dumps(found.summary(), indent=2))
    elif found.compared:
        _print(found)
    if not found.compared:
        progress.warn(f"{len(found.frame)} rows predicted, nothing compared: {name} has no kernel_time_us")
    progress.conclude(out, found.failures)


def _rows(file: Path | None, external: str | None, op: str | None, backend: str | None) -> Path | External:
    """Where the rows are: in a file, or in a table of others."""
    from memgrain.validation import External

    if external is not None:
        if file is not None:
            raise MemgrainError(f"both {file.name} and --external {external} are given; leave one out")
        return External(external, op, backend)
    if op is not None or backend is not None:
        raise MemgrainError("--op and --backend choose rows of --external; add --external aiconfigurator")
    if file is None:
        raise MemgrainError("no rows to validate; give a CSV file, a YAML file of points, or --external aiconfigurator")
    return file


def _print(found: Validation) -> None:
    """The table of families, and that of the worst rows."""
    from rich.table import Table

    from memgrain.cli.terminal import console
    from memgrain.validation.compare import breakdown

    screen = console()
    summary = found.summary()
    table = Table(title="predicted against measured, in %", title_justify="left", title_style="bold", box=None)
    for title in (
        "",
        "rows",
        "time",
        "median",
        "p90",
        "worst",
        "bias",
        "dirty",
        "DRAM B median",
        "mean",
        "L2 points",
        "tau",
        "roofline",
    ):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    for name, figures in [*summary["families"].items(), ("overall", summary["overall"])]:
        cells = [_percent(figures[key]) for key in _FIGURES]
        tau = figures["kendall_tau"]
        cells.insert(-1, "–" if tau is None else f"{tau:.2f}")
        table.add_row(name, str(figures["rows"]), *cells, style="bold" if name == "overall" else None)
    screen.print(table)
    by_head_dim = breakdown(found.frame)
    if by_head_dim["head_dim"].nunique() > 1:
        screen.print()
        screen.print(_by_head_dim(by_head_dim))
    worst = Table(title="worst rows", title_justify="left", title_style="bold", box=None)
    for title in ("id", "row", "measured µs", "predicted µs", "error %", "bottleneck"):
        worst.add_column(title, justify="left" if title in ("row", "bottleneck") else "right", no_wrap=title != "row")
    for row in found.worst(WORST).to_dict("records"):
        times = [f"{row[key]:.4g}" for key in ("kernel_time_us", "predicted_time_us")]
        worst.add_row(str(row["id"]), row["title"], *times, f"{100 * row['time_error']:+.1f}", row["bottleneck"])
    screen.print()
    screen.print(worst)


def _by_head_dim(cells: pd.DataFrame) -> Table:
    """Bias and rows by kernel and pattern (down) and head dimension (across)."""
    from rich.table import Table

    dims = sorted(cells["head_dim"].unique())
    table = Table(title="bias by head dimension, in % (rows)", title_justify="left", title_style="bold", box=None)
    table.add_column("")
    for dim in dims:
        table.add_column(str(dim), justify="right", no_wrap=True)
    for (kernel, pattern), rows in cells.groupby(["kernel", "pattern"], sort=False):
        found = {row["head_dim"]: f"{100 * row['time_bias']:+.1f} ({row['rows']})" for row in rows.to_dict("records")}
        table.add_row(f"{kernel}, {pattern}", *(found.get(dim, "–") for dim in dims))
    return table


_FIGURES = (
    "time_mape",
    "time_median",
    "time_p90",
    "time_worst",
    "time_bias",
    "time_dirty_mape",
    "dram_bytes_median_error",
    "dram_bytes_mean_error",
    "l2_hit_rate_mae",
    "roofline_time_mape",
)


def _percent(value: Any) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
