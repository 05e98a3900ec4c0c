"""`memgrain kernels`: the kernels by name, or the description of one with its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from memgrain.workloads import Kernel


def command(
    name: Annotated[
        str | None, typer.Argument(help="Print the description of this kernel, a YAML file to start from.")
    ] = None,
) -> None:
    """List the kernels with their tiles, or print one."""
    from rich.table import Table

    from memgrain.cli.terminal import console
    from memgrain.workloads import WorkloadError, find_kernel, kernel_names, load_kernel
    from memgrain.workloads.kernels.names import ALIASES, FOLDER, plain

    if name is not None:
        if plain(name) in ALIASES and name not in kernel_names():
            stands = ALIASES[plain(name)]
            if len(stands) > 1:
                raise WorkloadError(f"kernel '{name}' stands for {', '.join(stands.values())}; name one of them")
            name = next(iter(stands.values()))
        name = name if name in kernel_names() else find_kernel(name, "decode")
        print((FOLDER / f"{load_kernel(name).name}.yaml").read_text(encoding="utf-8"), end="")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("name", "kernel", "for", "on", "rows x tokens of a tile, by head dimension"):
        table.add_column(column, no_wrap=column in ("name", "for", "on"), overflow="fold")
    for known in kernel_names():
        kernel = load_kernel(known)
        table.add_row(known, kernel.title, kernel.phase, on(kernel), tiles(kernel))
    console().print(table)
    console().print("* what kernel: auto takes there, where it computes the call")


def on(kernel: Kernel) -> str:
    """The architectures that it is described for; a star where it is the default."""
    return ", ".join(f"{name}*" if name in kernel.default_on else name for name in kernel.architectures)


def tiles(kernel: Kernel) -> str:
    """The tile sizes of calls without mask and pages, by head dimension (gather: bytes of a row)."""
    found: dict[str, str] = {}
    for entry in kernel.tiles:
        if not (entry.masked or entry.paged or entry.rows_up_to or entry.scratchpad_up_to):
            rows = "group" if entry.block_q == "auto" else entry.block_q
            size = f"{rows}x{entry.block_kv}" if rows else f"{entry.block_kv} rows"
            found[size] = f" to {entry.up_to}" if entry.up_to else " above"
    return ", ".join(size + limit for size, limit in found.items()) if len(found) > 1 else next(iter(found))
