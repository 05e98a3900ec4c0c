"""`memgrain trace export`: the trace of a workload, in a file of ours or of another simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memgrain.cli.options import SetEither


def command(
    workload: Annotated[str, typer.Argument(help="A workload by name or .yaml file, or a file of a trace.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file; flat formats are compressed by .gz or .zst.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="parquet or npz (the trace as it is), ramulator2, dramsim3, oracle_general (libCacheSim), dinero or "
            "din (flat: every access); by the file's ending if left out.",
        ),
    ] = None,
    chip: Annotated[
        str | None, typer.Option(help="Chip whose cores and scratchpad cut the call; h100_sxm if left out.")
    ] = None,
    set_: SetEither = None,
    granule: Annotated[
        int | None,
        typer.Option(help="Bytes of an access of flat formats; the line of --chip, or 64, if left out."),
    ] = None,
    kernel: Annotated[str | None, typer.Option(help="Only this kernel of a workload of several.")] = None,
) -> None:
    """Write the file; print its content and its size."""
    from memgrain.cli.trace.source import read
    from memgrain.errors import MemgrainError
    from memgrain.inputs.quantities import format_bytes
    from memgrain.workloads.formats import FLAT_FORMATS, FORMATS, check_format, export, format_of

    form = form or format_of(out)
    if form is None:
        raise MemgrainError(f"'{out.name}' does not tell a format; give --format, one of {', '.join(FORMATS)}")
    check_format(form)
    if out.is_file() and Path(workload).is_file() and out.samefile(workload):
        raise MemgrainError(f"{out} would be read and written at once; give -o another name")
    found = read(workload, chip, set_ or [], granule, kernel)
    export(found.traces, out, form, found.granule)
    what = f"accesses to {found.granule} B" if form in FLAT_FORMATS else "the trace as it is"
    print(f"{out}: {found.name} as {form}, {what}, {format_bytes(out.stat().st_size)}")
