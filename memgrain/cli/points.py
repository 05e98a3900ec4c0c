"""Output of `memgrain validate` for a file of points: predictions beside measurements, errors by family, hypotheses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from memgrain.cli.terminal import console

if TYPE_CHECKING:
    import pandas as pd

    from memgrain.validation.points import Compared

EXCLUDED, EXCLUDED_RATE = 0.25, 0.05
"""Error beyond which a point excludes a hypothesis: the worst that the chip's own numbers may have; of rates, a
difference."""


def show(found: Compared, alternatives: bool, as_json: bool) -> None:
    """Print predictions beside measurements, as tables or one JSON object."""
    if as_json:
        print(
            json.dumps(found.summary() | {"points": found.own.drop(columns="alternative").to_dict("records")}, indent=2)
        )
    else:
        _print(found, alternatives)


def _print(found: Compared, alternatives: bool) -> None:
    screen = console()
    table = Table(title=found.file.title, title_justify="left", title_style="bold", box=None)
    words = ("id", "point", "label", "quantity")
    for title in (*words, "measured", "predicted", "error"):
        table.add_column(title, justify="left" if title in words else "right", no_wrap=title != "point")
    for row in found.own.to_dict("records"):
        name = row["id"] + ("*" if row["fitted"] else "")
        table.add_row(name, row["what"], row["label"], row["quantity"], *_numbers(row))
    screen.print(table)
    screen.print("* the chip's numbers were fitted to these; errors of rates are in points")
    screen.print()
    screen.print(_sums(found.summary()))
    for item in found.file.left_out:
        screen.print(f"left out: {item.id}, {item.what}: {item.reason}", soft_wrap=True)
    if alternatives:
        screen.print()
        screen.print(_hypotheses(found.frame))


def _sums(summary: dict[str, Any]) -> Table:
    table = Table(title="errors in %", title_justify="left", title_style="bold", box=None)
    for title in ("", "points", "median", "mean", "worst", "bias", "rates", "mean", "worst"):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    rows = [*summary["families"].items(), ("nothing fitted", summary["predicted"]), ("overall", summary["overall"])]
    for name, figures in rows:
        cells = [str(figures["points"]), *(_percent(figures[key]) for key in ("median", "mape", "worst", "bias"))]
        cells += [str(figures["rates"]), *(_percent(figures[key]) for key in ("rate_mae", "rate_worst"))]
        table.add_row(name, *cells, style="bold" if name == "overall" else None)
    return table


def _hypotheses(frame: pd.DataFrame) -> Table:
    """Predictions of each other hypothesis, and whether a point excludes it."""
    table = Table(title="other hypotheses", title_justify="left", title_style="bold", box=None)
    for title in ("hypothesis", "id", "quantity", "measured", "predicted", "error", "", "as the chip is"):
        left = title in ("hypothesis", "id", "quantity", "")
        table.add_column(title, justify="left" if left else "right", no_wrap=title != "hypothesis")
    own = {(row["id"], row["quantity"]): row for row in frame[frame["alternative"] == ""].to_dict("records")}
    last = ""
    for row in frame[frame["alternative"] != ""].to_dict("records"):
        verdict = "excluded" if abs(row["error"]) > _limit(row["quantity"]) else ""
        beside = _numbers(own[row["id"], row["quantity"]])[-1]
        name = row["alternative"] if row["alternative"] != last else ""
        table.add_row(name, row["id"], row["quantity"], *_numbers(row), verdict, beside)
        last = row["alternative"]
    return table


def _limit(quantity: str) -> float:
    from memgrain.validation.points import RATES

    return EXCLUDED_RATE if quantity in RATES else EXCLUDED


def _numbers(row: Mapping[Any, Any]) -> list[str]:
    return [f"{row['measured']:.4g}", f"{row['predicted']:.4g}", f"{100 * row['error']:+.1f}"]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
