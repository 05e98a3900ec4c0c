"""Output of `memgrain validate` for rows of a DRAM channel: errors by standard and pattern, and the worst rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from memgrain.cli.terminal import console

if TYPE_CHECKING:
    from memgrain.validation.channel import ChannelValidation

WORST = 5
"""Number of worst rows that are shown."""
_FIGURES = (
    "bandwidth_median_error",
    "bandwidth_worst_error",
    "bandwidth_bias",
    "activates_median_error",
    "activates_worst_error",
    "activates_bias",
    "row_hit_rate_mae",
)


def show(found: ChannelValidation) -> None:
    """Print the tables of errors and of the worst rows."""
    screen, summary = console(), found.summary()
    table = Table(
        title="predicted against reference, in % (row hits: points)", title_justify="left", title_style="bold", box=None
    )
    for title in ("", "rows", "GB/s median", "worst", "bias", "activates median", "worst", "bias", "row hits"):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    configs = found.frame.groupby("standard", sort=False)["dram"].unique()
    for standard, figures in summary["standards"].items():
        _add(table, f"{standard} ({', '.join(configs[standard])})", figures, "bold")
        for name, part in summary["families"].items():
            if name.rpartition(" ")[0] == standard:
                _add(table, f"  {name.rpartition(' ')[2]}", part, None)
    _add(table, "overall", summary["overall"], "bold")
    screen.print(table)
    worst = Table(title="worst rows", title_justify="left", title_style="bold", box=None)
    for title in ("id", "row", "GB/s", "predicted", "error %", "activates", "predicted", "error %"):
        worst.add_column(title, justify="left" if title == "row" else "right", no_wrap=True)
    for row in found.worst(WORST).to_dict("records"):
        cells = [str(row["id"]), f"{row['standard']} {row['pattern']} {row['parameter_bytes']}"]
        for name, digits in (("bandwidth_gb_s", ".4g"), ("activates", ".0f")):
            error = row[f"{name.partition('_')[0]}_error"]
            cells += [f"{row[name]:{digits}}", f"{row[f'predicted_{name}']:{digits}}", f"{100 * error:+.1f}"]
        worst.add_row(*cells)
    screen.print()
    screen.print(worst)


def _add(table: Table, name: str, figures: Mapping[str, Any], style: str | None) -> None:
    cells = ["–" if figures[key] is None else f"{100 * figures[key]:.1f}" for key in _FIGURES]
    table.add_row(name, str(figures["rows"]), *cells, style=style)
