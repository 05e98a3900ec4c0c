"""`memgrain curve`: how often reads would miss in a last cache of other capacities, tensor by tensor."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from memgrain.cli.options import AsJson, ChipName, SetEither, WorkloadName

if TYPE_CHECKING:
    from memgrain.analysis.curve import MissRatios
    from memgrain.sim import Axis


def command(
    chip: ChipName,
    workload: WorkloadName,
    set_: SetEither = None,
    axis: Annotated[
        str,
        typer.Option(
            help="What grows: capacity, of one fully associative LRU list; ways, up to 64, at the chip's own sets."
        ),
    ] = "capacity",
    sampled: Annotated[
        float | None,
        typer.Option(
            metavar="RATE", help="Count only this share of the lines, 0.01 say, and give errors; along capacity."
        ),
    ] = None,
    line: Annotated[
        str | None, typer.Option(help="On a chip without a cache: line of a hypothetical one, such as '128 B'.")
    ] = None,
    sets: Annotated[int | None, typer.Option(help="On a chip without a cache: its sets, for --axis ways.")] = None,
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the figure, curve.png.")] = None,
) -> None:
    """Simulate, print a table of miss ratios; with -o, draw them."""
    from memgrain.api.studies import curve as miss_ratio_curve
    from memgrain.errors import MemgrainError
    from memgrain.runs.overrides import parse

    found = miss_ratio_curve(
        chip, workload, axis=cast("Axis", axis), sampled=sampled, line=line, sets=sets, set=parse(set_ or [])
    )
    if as_json:
        print(json.dumps(_numbers(found), indent=2))
    else:
        _print(found)
    if out is not None:
        from memgrain.plots.curve import curves

        try:
            out.mkdir(parents=True, exist_ok=True)
            curves(found).savefig(out / "curve.png")
        except OSError as error:
            raise MemgrainError(f"cannot write {out} ({error.strerror}); choose another folder with -o") from None
        if not as_json:
            print(f"\n{out / 'curve.png'}")


def _numbers(found: MissRatios) -> dict[str, Any]:
    """The JSON object."""
    curve, simulated = found.curve, found.simulated()
    return {
        "chip": found.point.chip.name,
        "workload": found.point.workload.name,
        "axis": curve.axis,
        "rate": curve.rate,
        "own": curve.own,
        "simulated": None if math.isnan(simulated) else simulated,
        "reads": {name: int(n) for name, n in zip(curve.tensors, curve.accesses, strict=True) if n},
        "points": found.rows(),
    }


def _print(found: MissRatios) -> None:
    from rich.table import Table

    from memgrain.cli.terminal import console

    screen, curve, cache = console(), found.curve, found.point.chip.cache
    screen.print(f"reads that miss, %: {found.title}", style="bold", markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in (*(("ways",) if curve.axis == "ways" else ()), "capacity", *found.names, ""):
        table.add_column(column, justify="right", no_wrap=True, header_style="")
    for row in found.rows():
        cells = [str(row["ways"])] if "ways" in row else []
        cells.append(_size(row["capacity"]))
        for name, ratio in row["miss_ratio"].items():
            error = f" ± {100 * row['error'][name]:.2f}" if ratio is not None and "error" in row else ""
            cells.append("–" if ratio is None else f"{100 * ratio:.2f}{error}")
        own = cache.name if cache is not None and row["own"] else ""
        table.add_row(*cells, own, style="bold" if own else None)
    screen.print(table)
    for sentence in notes(found):
        screen.print(sentence, markup=False, soft_wrap=True)


def _size(capacity: int) -> str:
    """Bytes in binary units with four digits."""
    power = min((capacity.bit_length() - 1) // 10, 3)
    return f"{capacity / (1 << 10 * power):.4g} {('B', 'KiB', 'MiB', 'GiB')[power]}"


def notes(found: MissRatios) -> list[str]:
    """Notes below the table."""
    curve, cache = found.curve, found.point.chip.cache
    lines = []
    if cache is not None:
        lines.append(
            f"{cache.name} as it is, with {cache.ways} ways, misses {100 * found.simulated():.2f} % in the simulation; "
            f"{int(curve.accesses.sum()):,} reads of {cache.fill_granule} B"
        )
    if curve.groups:
        lines.append(f"± standard error, from {len(curve.groups)} parts of the {curve.rate:.3g} of all lines counted")
    return lines
