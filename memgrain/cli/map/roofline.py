"""`memgrain map roofline`: the roofs of a chip's levels and units, and where a workload stands below each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, CacheState, ChipName, SetEither, WorkloadName

if TYPE_CHECKING:
    from memgrain.analysis.roofline import Roof, Roofline


def command(
    chip: ChipName,
    workload: WorkloadName,
    set_: SetEither = None,
    before: CacheState = "cold",
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The figure, a .png; out/map_roofline.png if left out.")
    ] = None,
) -> None:
    """Simulate, print a table of the levels, draw."""
    from memgrain.api.maps import roofline
    from memgrain.cli.map import draw, place
    from memgrain.plots.roofline import roofs
    from memgrain.runs.overrides import parse

    target = place(out, "roofline")
    found = roofline(chip, workload, set=parse(set_ or []), before=before)
    if as_json:
        print(json.dumps(_answer(found), indent=2))
    else:
        _print(found)
    draw(roofs(found), target, as_json)


def _answer(found: Roofline) -> dict[str, Any]:
    """The JSON object."""
    name, allowed = found.lowest()
    return {
        "chip": found.point.chip.name,
        "workload": found.point.workload.name,
        "time_us": found.result.time / 1e6,
        "flop": 2 * found.result.macs,
        "flop_per_second": found.throughput,
        "lowest": {"name": name, "flop_per_second": allowed},
        "levels": [_plain(found, roof) for roof in found.roofs],
        "requests": [_plain(found, roof) for roof in found.requests],
        "units": [{"name": ceiling.name, "flop_per_second": ceiling.throughput} for ceiling in found.ceilings],
    }


def _plain(found: Roofline, roof: Roof) -> dict[str, Any]:
    return {
        "name": roof.name,
        "count": roof.count,
        "bandwidth": roof.bandwidth,
        "bytes": roof.bytes,
        "intensity": found.intensity(roof),
        "flop_per_second_allowed": roof.bandwidth * found.intensity(roof),
        "share_used": found.reach(roof),
    }


def _print(found: Roofline) -> None:
    from memgrain.cli.tables import size_text, table, time_text
    from memgrain.cli.terminal import console

    screen, result = console(), found.result
    name, allowed = found.lowest()
    settings = "".join(f" {key}={value}" for key, value in found.point.overrides.items())
    screen.print(f"{found.point.workload.name}{settings} on {found.point.chip.title}", style="bold", markup=False)
    screen.print(
        f"time {time_text(result.time)}, {2 * result.macs / 1e9:,.4g} GFLOP, {found.throughput / 1e12:,.4g} TFLOP/s; "
        f"lowest roof: {name}, {allowed / 1e12:,.4g} TFLOP/s ({found.throughput / allowed:.0%} reached)\n",
        markup=False,
    )
    columns = (">number", ">bandwidth of all", ">moved", ">FLOP/B", ">allows TFLOP/s", ">reached")
    shown = table("level, request or unit", *columns)
    for roof in (*found.roofs, *found.requests):
        x = found.intensity(roof)
        shown.add_row(
            roof.name,
            str(roof.count),
            f"{size_text(round(roof.bandwidth))}/s",
            size_text(roof.bytes),
            _digits(x),
            _digits(roof.bandwidth * x / 1e12),
            f"{found.reach(roof):.1%}",
        )
    for ceiling in found.ceilings:
        share = found.throughput / ceiling.throughput
        shown.add_row(ceiling.name, "", "", "", "", _digits(ceiling.throughput / 1e12), f"{share:.1%}")
    screen.print(shown)


def _digits(number: float) -> str:
    """A number with four digits and without exponent."""
    return f"{float(f'{number:.4g}'):,g}"
