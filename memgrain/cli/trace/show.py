"""`memgrain trace show`: what a trace holds, how its lines are used again, and a picture of its addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, SetEither

if TYPE_CHECKING:
    from memgrain.cli.trace.source import Source


def command(
    source: Annotated[str, typer.Argument(help="A workload by name or .yaml file, or a file of a trace.")],
    chip: Annotated[
        str | None, typer.Option(help="Chip whose cores and scratchpad cut the call; h100_sxm if left out.")
    ] = None,
    set_: SetEither = None,
    form: Annotated[str | None, typer.Option("--format", help="Format of a file; found out if left out.")] = None,
    granule: Annotated[int | None, typer.Option(help="Bytes of a line; that of --chip, or 64, if left out.")] = None,
    kernel: Annotated[str | None, typer.Option(help="Only this kernel of a workload of several.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw addresses over accesses into this .png, .pdf or .svg.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count, and print a table or one JSON object."""
    from memgrain.api.traces import trace_statistics
    from memgrain.cli.trace.source import read
    from memgrain.errors import MemgrainError

    if plot is not None and plot.suffix not in (".png", ".pdf", ".svg"):
        raise MemgrainError(f"'{plot.name}' is no picture; end it in .png, .pdf or .svg")
    found = read(source, chip, set_ or [], granule, kernel, form)
    numbers = trace_statistics(found.traces, granule=found.granule, name=found.name)
    if plot is not None:
        _draw(found, numbers["accesses"], plot)
    if as_json:
        print(json.dumps(numbers, indent=2))
    else:
        _print(numbers)
        if plot is not None:
            print(plot)


def _print(numbers: dict[str, Any]) -> None:
    from rich.table import Table

    from memgrain.cli.terminal import console
    from memgrain.inputs.quantities import format_bytes

    screen, lines = console(), numbers["distinct_lines"]
    kernels = numbers["kernels"]
    also = f" ({', '.join(kernels)})" if len(kernels) > 1 else ""
    screen.print(f"{numbers['name']}{also}", style="bold", markup=False)
    screen.print(f"{numbers['programs']:,} programs, {numbers['steps']:,} steps, {numbers['runs']:,} runs")
    screen.print(
        f"{numbers['accesses']:,} accesses to {numbers['granule']} B ({numbers['reads']:,} read, "
        f"{numbers['writes']:,} write)"
    )
    screen.print(
        f"footprint {format_bytes(numbers['footprint_bytes'])} in {lines:,} lines, each used "
        f"{numbers['mean_uses']:.2f} times; tensors take {format_bytes(numbers['tensor_bytes'])}"
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("tensor", "takes", "read", "written", "lines"):
        table.add_column(column, justify="left" if column == "tensor" else "right", no_wrap=True)
    for name, part in numbers["tensors"].items():
        sizes = [format_bytes(part[key]) for key in ("bytes", "read_bytes", "written_bytes")]
        table.add_row(name, *sizes, f"{part['lines']:,}")
    screen.print(table)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("other lines since the last use", "accesses", "hits of an LRU cache so large"):
        table.add_column(column, justify="right", no_wrap=True)
    hits = 0
    for part in numbers["stack_distances"]:
        hits += part["accesses"]
        if part["accesses"]:
            low, high = part["from"], part["to"]
            size = format_bytes((high + 1) * numbers["granule"])
            share = f"{100 * hits / numbers['accesses']:.1f}% ({size})"
            table.add_row(f"{low:,}" if low == high else f"{low:,} to {high:,}", f"{part['accesses']:,}", share)
    table.add_row("first use", f"{lines:,}", "")
    screen.print(table)


def _draw(source: Source, total: int, path: Path) -> None:
    from memgrain.errors import MemgrainError
    from memgrain.plots.accesses import picture
    from memgrain.workloads.formats import accesses_of

    figure = picture(
        accesses_of(source.traces, source.granule),
        total,
        source.traces[0].tensors,
        f"{source.name}: addresses by tensor",
    )
    try:
        figure.savefig(path)
    except OSError as error:
        raise MemgrainError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
