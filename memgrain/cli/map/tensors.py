"""`memgrain map tensors`: which tensors hits, misses, evictions and bytes belong to, and which evicted which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, CacheState, ChipName, SetEither, WorkloadName

if TYPE_CHECKING:
    from memgrain.plots.tensors import TensorCount
    from memgrain.runs.task import Point

CAUSES = ("needed", "unasked", "capacity", "copies", "conflicts")
"""Why bytes are read, in the order of the table; see `sim.ReadCauses`."""


def command(
    chip: ChipName,
    workload: WorkloadName,
    set_: SetEither = None,
    before: CacheState = "cold",
    causes: Annotated[
        bool, typer.Option("--causes", help="Simulate again, and say why the last cache read what it did.")
    ] = False,
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The figure, a .png; out/map_tensors.png if left out.")
    ] = None,
) -> None:
    """Simulate, print a table by tensor, draw."""
    from memgrain.cli.map import draw, place
    from memgrain.errors import MemgrainError
    from memgrain.plots.tensors import attribution, evictors, needed, shares
    from memgrain.runs.overrides import parse
    from memgrain.runs.task import Task

    target = place(out, "tensors")
    point = Task.of(chip, workload, parse(set_ or []), before).resolve()
    why = _causes(point, before) if causes else {}
    result, useful = point.simulate(), needed(point)
    counts, lost = attribution(point, result), evictors(point, result)
    if not counts:
        raise MemgrainError(f"{point.workload.name} moves nothing on {point.chip.name}; name another workload")
    settings = "".join(f" {key}={value}" for key, value in point.overrides.items())
    title = f"{point.workload.name}{settings} on {point.chip.title}"
    if as_json:
        print(json.dumps(_answer(counts, lost, useful) | ({"causes": why} if why else {}), indent=2))
    else:
        _print(counts, useful, title)
        _print_lost(lost)
        _print_causes(why)
    draw(shares([*counts, *lost], f"What belongs to which tensor: {title}"), target, as_json)


def _causes(point: Point, before: str) -> dict[str, dict[str, int]]:
    """Bytes that the last cache read by tensor, then of all, and by cause."""
    from memgrain.api.maps import causes_by_tensor
    from memgrain.errors import MemgrainError
    from memgrain.sim import SimulationError

    if before != "cold":
        raise MemgrainError(f"causes are those of cold caches, not of {before} ones; leave --before or --causes out")
    try:
        return causes_by_tensor(point)
    except SimulationError as error:
        raise MemgrainError(f"{error}; leave --causes out") from None


def _print_causes(why: dict[str, dict[str, int]]) -> None:
    """Why bytes were read, a row for each tensor, with shares of what was needed of it."""
    from memgrain.cli.tables import size_text, table
    from memgrain.cli.terminal import console

    if not why:
        return
    shown = table("why read", ">read", *(f">{name}" for name in CAUSES))
    for tensor, parts in why.items():
        cells = []
        for name in CAUSES:
            size, need = parts[name], parts["needed"]
            sign, text = "−" if size < 0 else "", size_text(abs(size))
            share = f" ({size / need:.3g}x)" if need and name != "needed" and size else ""
            cells.append(f"{sign}{text}{share}" if size else "–")
        shown.add_row(tensor, size_text(parts["read"]), *cells)
    screen = console()
    screen.print()
    screen.print(shown)


def _answer(counts: list[TensorCount], lost: list[TensorCount], useful: dict[str, int]) -> dict[str, Any]:
    """The JSON object."""
    levels: dict[str, dict[str, Any]] = {}
    for count in [*counts, *lost]:
        levels.setdefault(count.level, {})[count.name] = dict(count.by)
    return {"levels": levels, "needed_bytes": useful}


def _print(counts: list[TensorCount], useful: dict[str, int], title: str) -> None:
    from memgrain.cli.tables import size_text, table
    from memgrain.cli.terminal import console

    screen = console()
    screen.print(title, style="bold", markup=False)
    heads = [f">{count.level} {count.name}" for count in counts]
    shown = table("tensor", *heads, ">needed", ">read ÷ needed")
    last = next((count.by for count in reversed(counts) if (count.name, count.unit) == ("read", "B")), {})
    for tensor in dict.fromkeys(name for count in counts for name in count.by):
        cells = []
        for count in counts:
            part = count.by.get(tensor, 0)
            text = size_text(part) if count.unit else f"{part:,}"
            cells.append(f"{text} ({part / count.total:.0%})" if part else "–")
        need = useful.get(tensor, 0)
        cells.append(size_text(need) if need else "–")
        cells.append(f"{last[tensor] / need:.2f}" if need and tensor in last else "–")
        shown.add_row(tensor, *cells)
    screen.print(shown)


def _print_lost(lost: list[TensorCount]) -> None:
    """Lines that one tensor lost to another, a row for each that lost some."""
    from memgrain.cli.tables import table
    from memgrain.cli.terminal import console

    if not lost:
        return
    winners = list(dict.fromkeys(tensor for count in lost for tensor in count.by))
    shown = table("lines lost", *(f">to {tensor}" for tensor in winners))
    for count in lost:
        name = f"{count.level}: {count.name.removesuffix(' evicted by')}"
        shown.add_row(name, *(f"{count.by[tensor]:,}" if tensor in count.by else "–" for tensor in winners))
    screen = console()
    screen.print()
    screen.print(shown)
