"""`memgrain collective`: an operation over several chips, or the chip's collectives beside measured ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from memgrain.cli.options import AsJson, ChipName
from memgrain.cli.terminal import console

if TYPE_CHECKING:
    from memgrain.hwmodels import Chip
    from memgrain.sim.network.collectives import CollectiveRun
    from memgrain.validation.collectives import CollectiveValidation

WORST = 5
"""Number of worst rows that are shown."""


def command(
    chip: ChipName,
    op: Annotated[
        str, typer.Option(help="all_reduce, all_gather, reduce_scatter, all_to_all, broadcast or send.")
    ] = "all_reduce",
    size: Annotated[
        str, typer.Option("--bytes", help="Bytes of the whole vector, result or message, such as 64MiB.")
    ] = "64 MiB",
    chips: Annotated[int, typer.Option(help="How many chips take part.")] = 8,
    algorithm: Annotated[
        str, typer.Option(help="ring, tree, direct, one_shot, pairwise, in_network; auto takes the quickest.")
    ] = "auto",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a number of the chip: interconnect.node.bandwidth='900 GB/s'. May be repeated.",
        ),
    ] = None,
    validate: Annotated[
        bool,
        typer.Option("--validate", help="Hold the chip against NCCL and vLLM as measured, in place of one operation."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate the messages of a collective, then print a table or one JSON object."""
    from memgrain.hwmodels import load_chip
    from memgrain.runs.overrides import parse
    from memgrain.runs.quantities import size_of
    from memgrain.sim.network.collectives import collective

    found = load_chip(chip, parse(set_ or []))
    if validate:
        from memgrain.validation.collectives import validate_collectives

        return _compare(validate_collectives(found), as_json)
    done = collective(found, op, size_of(size, "--bytes"), chips, algorithm)
    if as_json:
        print(json.dumps(_numbers(found, done), indent=2))
    else:
        _show(found, done)


def _numbers(chip: Chip, done: CollectiveRun) -> dict[str, object]:
    """The JSON object of one operation."""
    return {
        "chip": chip.name,
        "op": done.op,
        "bytes": done.bytes,
        "chips": done.chips,
        "time_us": done.time / 1e6,
        "startup_us": done.startup / 1e6,
        "copy_us": done.copy / 1e6,
        "sent_bytes": done.sent_bytes,
        "steps": done.steps,
        "algorithm": done.algorithm,
        "validated": _label(chip, done),
        "phases": [
            {
                "tier": phase.tier,
                "op": phase.op,
                "algorithm": phase.algorithm,
                "protocol": phase.protocol,
                "chips": phase.chips,
                "steps": phase.steps,
                "time_us": phase.time / 1e6,
                "sent_bytes": phase.sent_bytes,
            }
            for phase in done.phases
        ],
    }


def _show(chip: Chip, done: CollectiveRun) -> None:
    from rich.table import Table

    from memgrain.inputs.quantities import format_bandwidth, format_bytes, format_duration

    screen = console()
    rate = format_bandwidth(done.bytes * 10**12 / done.time)
    screen.print(f"[bold]{done.op} of {format_bytes(done.bytes)} over {done.chips} x {chip.title}[/bold]")
    screen.print(
        f"time {format_duration(done.time)} ({rate} of the {format_bytes(done.bytes)}), of which startup "
        f"{format_duration(done.startup)} and copies {format_duration(done.copy)}",
        markup=False,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("tier", "operation", "algorithm", "protocol", "chips", "steps", "time", "sent by a chip"):
        words = column in ("tier", "operation", "algorithm", "protocol")
        table.add_column(column, justify="left" if words else "right", no_wrap=True)
    for phase in done.phases:
        table.add_row(
            phase.tier,
            phase.op,
            phase.algorithm,
            phase.protocol,
            str(phase.chips),
            str(phase.steps),
            format_duration(phase.time),
            format_bytes(phase.sent_bytes),
        )
    screen.print(table)
    screen.print(_label(chip, done), style="dim", markup=False, soft_wrap=True)


def _label(chip: Chip, done: CollectiveRun) -> str:
    """The validation label of a collective: measured times cover one node, and only some chips."""
    from memgrain.validation.collectives import measured_chips

    if "network" in done.tiers:
        return "not validated over nodes: no collective between nodes was compared on any chip"
    if chip.name in measured_chips():
        return "within a node: --validate gives the errors against measured times, by operation and size"
    names = ", ".join(measured_chips())
    return f"not validated: no measured collectives of {chip.name}; {names} have some, see --validate"


def _compare(found: CollectiveValidation, as_json: bool) -> None:
    from rich.table import Table

    from memgrain.inputs.quantities import format_bytes

    if as_json:
        print(json.dumps({"source": found.source, "held_out": found.summary()}, indent=2))
        return
    screen = console()
    screen.print(f"[bold]{found.source}: rows that nothing was fitted to, errors in %[/bold]")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "rows", "median", "p90", "worst", "bias"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name, figures in found.summary().items():
        errors = (f"{100 * figures[key]:.1f}" for key in ("median_error", "p90_error", "worst_error"))
        table.add_row(name, str(figures["rows"]), *errors, f"{100 * figures['bias']:+.1f}")
    screen.print(table)
    screen.print()
    screen.print("[bold]worst rows[/bold]")
    worst = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("library", "operation", "bytes", "chips", "type", "us", "predicted", "error %"):
        words = column in ("library", "operation", "type")
        worst.add_column(column, justify="left" if words else "right", no_wrap=True)
    frame = found.frame
    for row in frame.loc[frame["error"].abs().sort_values(ascending=False).index].head(WORST).to_dict("records"):
        worst.add_row(
            row["library"],
            row["op"],
            format_bytes(row["bytes"]),
            str(row["chips"]),
            row["dtype"],
            f"{row['measured_us']:.4g}",
            f"{row['predicted_us']:.4g}",
            f"{100 * row['error']:+.1f}",
        )
    screen.print(worst)
