"""`memgrain trace`: traces in and out; one file a verb, each imported only when it is called."""

from __future__ import annotations

import typer

from memgrain.cli.verbs import group

VERBS = {
    "export": "Write a workload's trace to a file, for us or another simulator.",
    "import": "Read a trace of another simulator, or a mask, into a file of ours.",
    "show": "Count a trace: bytes, footprint, reuse; and draw its addresses.",
    "fit": "Fit a synthetic selection to a recorded one.",
}
"""The verbs, each with the line that `memgrain trace --help` prints."""
MODULES = {"import": "import_"}
"""Modules of verbs that are keywords."""

app = typer.Typer(
    cls=group(VERBS, __name__, MODULES), add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback(invoke_without_command=True)
def trace(ctx: typer.Context) -> None:
    """Write, read, show and fit traces."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
