"""`memgrain map stalls`: where the time goes, a bar for each workload, or for each value of a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, CacheState, ChipName

if TYPE_CHECKING:
    from memgrain.api.maps import SimulatedWorkload
    from memgrain.plots.stalls import Bar


def command(
    chip: ChipName,
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
    before: CacheState = "cold",
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The figure, a .png; out/map_stalls.png if left out.")
    ] = None,
) -> None:
    """Simulate each, print a table of shares, draw."""
    from memgrain.api.maps import stall_bars
    from memgrain.cli.map import draw, place
    from memgrain.plots.stalls import Bar, bars
    from memgrain.runs.overrides import parse

    target, fixed = place(out, "stalls"), parse(set_ or [])
    simulated = stall_bars(chip, workloads, _values(over), fixed, before)
    found = [Bar(_label(bar, len(workloads) > 1), bar.result.time, bar.result.breakdown) for bar in simulated]
    title = simulated[-1].point.chip.title
    only = f"{workloads[0]}, " if len(workloads) == 1 and over else ""
    title = f"Where the time goes: {only}{''.join(f'{key}={value}, ' for key, value in fixed.items())}{title}"
    if as_json:
        print(json.dumps([_plain(bar) for bar in found], indent=2))
    else:
        _print(found, title)
    draw(bars(found, title), target, as_json)


def _label(bar: SimulatedWorkload, several: bool) -> str:
    """Label of a bar: the workload if there are several, and the settings of this bar."""
    from memgrain.runs.labels import setting

    words = [setting(key, value) for key, value in bar.varied.items()]
    return ", ".join(([bar.point.workload.name] if several or not words else []) + words)


def _values(over: str | None) -> tuple[str, list[Any]] | None:
    """The key that varies and its values; None if none does."""
    from memgrain.errors import MemgrainError
    from memgrain.runs.overrides import parse_value

    if over is None:
        return None
    key, equals, text = over.partition("=")
    values = [value for value in text.split(",") if value.strip()]
    if not equals or not key.strip() or not values:
        raise MemgrainError(f"cannot read --over '{over}': expected KEY=V1,V2 such as shape.head_dim=64,96,128")
    return key.strip(), [parse_value(value.strip()) for value in values]


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
