"""`memgrain validate`: predictions of measured rows beside the measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, Jobs, SetChip
from memgrain.errors import MemgrainError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from memgrain.validation import External, Validation
    from memgrain.validation.channel import ChannelValidation
    from memgrain.validation.points import Compared

WORST = 10
"""Number of worst rows that are shown."""


def command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Measured rows (CSV) or points (YAML); see tests/validation/README.md."),
    ] = None,
    chip: Annotated[
        str | None, typer.Option(help="A chip by name or a .yaml file; by the column 'device' if left out.")
    ] = None,
    set_: SetChip = None,
    dram: Annotated[
        str | None,
        typer.Option(
            help="For rows of a DRAM channel: the standard, by name or a .yaml file; by the column 'dram' if left out."
        ),
    ] = None,
    as_json: AsJson = False,
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
    jobs: Jobs = None,
) -> None:
    """Predict, compare, and print the errors by family."""
    from memgrain.api.evidence import validate
    from memgrain.cli.terminal import predicting
    from memgrain.runs.options import RunOptions
    from memgrain.runs.overrides import parse

    rows = _rows(file, external, op, backend)
    name = rows.name if isinstance(rows, Path) else rows.source
    with predicting(name, out) as progress:
        found = validate(
            rows,
            chip,
            set=parse(set_ or []),
            dram=dram,
            alternatives=alternatives,
            sample=sample,
            options=RunOptions(out, jobs, progress=progress, seed=seed),
        )
    note = _show(found, alternatives, as_json)
    if note:
        progress.warn(f"{len(found.frame)} rows predicted, nothing compared: {name} has {note}")
    progress.conclude(out, found.failures)


def _show(found: Validation | Compared | ChannelValidation, alternatives: bool, as_json: bool) -> str:
    """Print what was found; returns which measurements the rows lack where nothing could be compared."""
    from memgrain.cli import channel, points
    from memgrain.validation.channel import ChannelValidation
    from memgrain.validation.points import Compared

    if isinstance(found, Compared):
        points.show(found, alternatives, as_json)
        return ""
    if as_json:
        print(json.dumps(found.summary(), indent=2))
    elif found.compared:
        channel.show(found) if isinstance(found, ChannelValidation) else _print(found)
    lacking = "no bandwidth_gb_s and no activates" if isinstance(found, ChannelValidation) else "no kernel_time_us"
    return "" if found.compared else lacking


def _rows(file: Path | None, external: str | None, op: str | None, backend: str | None) -> Path | External:
    """The source of the rows: a file, or an external table."""
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
