"""`memgrain map stalls`: where the time goes, a bar for each workload, or for each value of a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from memgrain.plots.stalls import Bar


def command(
    chip: Annotated[str, typer.Argument(help="A chip by name (see 'memgrain chips') or a .yaml file.")],
    workloads: Annotated[
        list[str], typer.Argument(metavar="WORKLOAD...", help="Workloads by name (see 'memgrain examples') or file.")
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a number of the chip or of every workload."),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(metavar="KEY=V1,V2,...", help="A bar for each of these values: shape.head_dim=64,96,128."),
    ] = None,
    before: Annotated[str, typer.Option(help="Caches before each run: cold, dirty or warm.")] = "cold",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The figure, a .png; out/map_stalls.png if left out.")
    ] = None,
) -> None:
    """Simulate each, print a table of shares, draw."""
    from memgrain.cli.map import draw, place
    from memgrain.plots.stalls import Bar, bars
    from memgrain.runs.labels import setting
    from memgrain.runs.overrides import parse, split
    from memgrain.runs.task import Task

    target, fixed = place(out, "stalls"), parse(set_ or [])
    found: list[Bar] = []
    for workload in workloads:
        for varied in _values(over):
            chip_set, workload_set = split({**fixed, **varied}, chip)
            point = Task(chip, chip_set, workload, workload_set, before).resolve()
            result = point.simulate()
            words = [setting(key, value) for key, value in varied.items()]
            names = [point.workload.name] if len(workloads) > 1 or not varied else []
            found.append(Bar(", ".join(names + words), result.time, result.breakdown))
            title = point.chip.title
    only = f"{workloads[0]}, " if len(workloads) == 1 and over else ""
    title = f"Where the time goes: {only}{''.join(f'{key}={value}, ' for key, value in fixed.items())}{title}"
    if as_json:
        print(json.dumps([_plain(bar) for bar in found], indent=2))
    else:
        _print(found, title)
    draw(bars(found, title), target, as_json)


def _values(over: str | None) -> list[dict[str, Any]]:
    """The overrides of each bar; one without any if no key varies."""
    from memgrain.errors import MemgrainError
    from memgrain.runs.overrides import parse

    if over is None:
        return [{}]
    key, equals, text = over.partition("=")
    values = [value for value in text.split(",") if value.strip()]
    if not equals or not key.strip() or not values:
        raise MemgrainError(f"cannot read --over '{over}': expected KEY=V1,V2 such as shape.head_dim=64,96,128")
    return [parse([f"{key}={value}"]) for value in values]


def _plain(bar: Bar) -> dict[str, Any]:
    """A bar as `--json` prints it: every part, in us."""
    return {
        "label": bar.label,
        "time_us": bar.time / 1e6,
        "parts_us": {part: time / 1e6 for part, time in bar.breakdown.items()},
    }


def _print(found: list[Bar], title: str) -> None:
    from memgrain.cli.tables import table, time_text
    from memgrain.cli.terminal import console

    screen = console()
    screen.print(title, style="bold", markup=False)
    sums: dict[str, float] = {}
    for bar in found:
        for part, time in bar.breakdown.items():
            sums[part] = sums.get(part, 0.0) + time / bar.time
    shown = table("share of the time, %", *(f">{bar.label}" for bar in found))
    for part in sorted((part for part in sums if sums[part]), key=lambda part: -sums[part]):
        shown.add_row(part, *(f"{100 * bar.breakdown.get(part, 0) / bar.time:.1f}" for bar in found))
    shown.add_row("time", *(time_text(bar.time) for bar in found))
    screen.print(shown)
