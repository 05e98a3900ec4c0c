"""The answers of a sweep on the terminal: the tables that its heatmaps draw, and the verdict on each chip."""

from __future__ import annotations

import math

import pandas as pd
from rich.table import Table

from codesign.cli.terminal import console
from codesign.cli.trust_lines import trust_lines
from codesign.labels import SHARE, key_name, metric_label, scale, setting, value_text
from codesign.pivot import HEAD_DIM, Panel, panels, varying, verdict


def print_answers(frame: pd.DataFrame, metric: str = SHARE) -> None:
    """Print a table for each chip: the first varying key down, the others across; then the verdict."""
    screen = console()
    keys = varying(frame)
    for _, rows in frame.groupby("chip", sort=False):
        first = rows.iloc[0]
        if len(keys) >= 2:
            by = keys[2] if len(keys) > 2 else None
            if len(keys) <= 3:
                screen.print(
                    _table(
                        panels(rows, metric, keys[0], keys[1], by),
                        keys,
                        f"{first['chip_title']}: {metric_label(metric)}",
                    )
                )
        elif keys:
            table = panels(rows.assign(answer=metric_label(metric)), metric, keys[0], "answer", None)
            screen.print(_table(table, [keys[0], "answer"], str(first["chip_title"])))
        answer = verdict(rows)
        if answer:
            screen.print(answer, style="bold")
        for line in trust_lines(rows.to_dict("records")):
            screen.print(line, style="dim", markup=False, soft_wrap=True)
        screen.print()


def print_intervals(frame: pd.DataFrame, intervals: pd.DataFrame) -> None:
    """Print a table for each chip, a line for each point: what varies, the metric, and its interval; then what these
    rest on, and the verdict. `intervals` is the frame of `uncertainty.sweeps.Intervals`."""
    screen, keys, metric = console(), varying(frame), str(intervals.iloc[0]["metric"])
    factor = scale(metric)
    for chip, rows in frame.groupby("chip", sort=False):
        found = intervals[intervals["chip"] == chip]
        screen.print(f"{rows.iloc[0]['chip_title']}: {metric_label(metric)}", style="bold", markup=False)
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
        answer = verdict(rows)
        if answer:
            screen.print(answer, style="bold")
        screen.print()


def _table(tables: list[Panel], keys: list[str], title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="")
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
