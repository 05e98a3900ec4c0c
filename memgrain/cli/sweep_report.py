"""Rows of a sweep on the terminal: the tables that its heatmaps draw, and the verdict on each chip."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table

from memgrain.analysis.verdict import verdict
from memgrain.cli.terminal import console
from memgrain.cli.trust_lines import trust_lines
from memgrain.runs.intervals import HIGH, LOW
from memgrain.runs.labels import SHARE, directed_label, key_name, metric_label, scale, setting, value_text
from memgrain.runs.pivot import HEAD_DIM, Panel, panels, varying


def print_rows(frame: pd.DataFrame, metric: str = SHARE) -> None:
    """Print a table for each chip: the first varying key down, the others across; then the verdict, on the chips too
    where there are several."""
    screen = console()
    keys = varying(frame)
    for _, rows in frame.groupby("chip", sort=False):
        first = rows.iloc[0]
        title = f"{first['chip_title']}: {directed_label(metric)}"
        if 2 <= len(keys) <= 3:
            by = keys[2] if len(keys) > 2 else None
            screen.print(title, style="bold", markup=False, soft_wrap=True)
            screen.print(_table(panels(rows, metric, keys[0], keys[1], by), keys))
        elif len(keys) == 1:
            screen.print(title, style="bold", markup=False, soft_wrap=True)
            table = panels(rows.assign(answer=metric_label(metric)), metric, keys[0], "answer", None)
            screen.print(_table(table, [keys[0], "answer"]))
        _conclude(screen, verdict(rows, metric), trust_lines(rows.to_dict("records")))
    if frame["chip"].nunique() > 1:
        _conclude(screen, verdict(frame, metric, ["chip"]))


def print_intervals(frame: pd.DataFrame, intervals: pd.DataFrame) -> None:
    """Print a table for each chip, a line for each point: what varies, the metric, and its interval; then what these
    rest on, and the verdict. `intervals` is the frame of `uncertainty.sweeps.Intervals`."""
    screen, keys, metric = console(), varying(frame), str(intervals.iloc[0]["metric"])
    factor = scale(metric)
    for chip, rows in frame.groupby("chip", sort=False):
        found = intervals[intervals["chip"] == chip]
        screen.print(f"{rows.iloc[0]['chip_title']}: {directed_label(metric)}", style="bold", markup=False)
        shown = Table(box=None, pad_edge=False, header_style="")
        for head in (*map(key_name, keys), "usual", "5 %", "median", "95 %"):
            shown.add_column(head, justify="right", no_wrap=True)
        settings = rows.set_index("id")
        for _, line in found.iterrows():
            values = [value_text(key, settings.at[line["id"], key]) for key in keys]
            cells = [_number(factor * float(line[name])) for name in ("usual", "low", "median", "high")]
            marked = HEAD_DIM in keys and settings.at[line["id"], HEAD_DIM] == 96
            shown.add_row(*values, *cells, style="reverse" if marked else None)
        screen.print(shown)
        for note in dict.fromkeys(found.loc[found["low"].notna(), "rests_on"]):
            screen.print(note, style="dim", markup=False, soft_wrap=True)
        ends = found.set_index("id")[["low", "high"]].reindex(rows["id"]).to_numpy(float)
        _conclude(screen, verdict(rows.assign(**{LOW: ends[:, 0], HIGH: ends[:, 1]}), metric))


def _conclude(screen: Console, answer: str, trust: Sequence[str] = ()) -> None:
    """Print a verdict, if there is one, and what it rests on."""
    for line in answer.splitlines():
        screen.print(line, style="bold", markup=False, soft_wrap=True)
    for line in trust:
        screen.print(line, style="dim", markup=False, soft_wrap=True)
    screen.print()


def _table(tables: list[Panel], keys: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column(f"{key_name(keys[0])} ↓", justify="right", no_wrap=True)
    for panel in tables:
        head = f"{setting(keys[2], panel.value)}\n" if len(keys) > 2 else ""
        for place, column in enumerate(panel.table.columns):
            text = (
                str(column)
                if keys[1] == "answer"
                else value_text(keys[1], column) + (" %" if keys[1] == "selection.ratio" else "")
            )
            table.add_column(f"{head if place == 0 else chr(10) * bool(head)}{text}", justify="right", no_wrap=True)
    for value in tables[0].table.index:
        cells = [
            _number(panel.table[column].get(value, math.nan)) for panel in tables for column in panel.table.columns
        ]
        table.add_row(
            value_text(keys[0], value), *cells, style="reverse" if keys[0] == HEAD_DIM and value == 96 else None
        )
    return table


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"
