"""`memgrain map`: pictures of where bytes and time go, each beside its table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from memgrain.cli.verbs import group

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERBS = {
    "overfetch": "Bytes fetched for each that is needed, by granule.",
    "latency": "Lines of equal time over head dimension and ratio.",
    "roofline": "A roof for each level of a chip, and a workload below.",
    "stalls": "Where the time goes, a bar for each workload or value.",
    "tensors": "Which tensors misses and bytes of each level are of.",
}
"""The verbs, each with its line of help."""
RENAMED = {"waste": "'memgrain map overfetch'"}
"""Verbs of former versions, each with what to write now."""

FIGURES = (".png", ".pdf", ".svg")
"""File types of figures."""

app = typer.Typer(
    cls=group(VERBS, __name__, {}, RENAMED), add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback(invoke_without_command=True)
def maps(ctx: typer.Context) -> None:
    """Maps: over-fetch by granule, lines of equal time, rooflines, stalls, misses by tensor."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def place(out: Path | None, name: str) -> Path:
    """Where the figure of a map goes; raises MemgrainError if it is no figure's file."""
    from memgrain.errors import MemgrainError

    if out is not None and out.suffix not in FIGURES:
        raise MemgrainError(f"-o {out} is none of {', '.join(FIGURES)}; name one of these")
    return out or Path("out") / f"map_{name}.png"


def draw(figure: Figure, out: Path, quiet: bool) -> None:
    """Write the figure, and say where it is unless `quiet`; raises MemgrainError if it cannot be written."""
    from memgrain.errors import MemgrainError

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out)
    except OSError as error:
        raise MemgrainError(f"cannot write {out} ({error.strerror}); choose another place with -o") from None
    if not quiet:
        print(f"\n{out}")
