"""`memgrain trace`: traces in and out; one file a verb, each imported only when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

VERBS = {
    "export": "Write a workload's trace to a file, for us or another simulator.",
    "import": "Read a trace of another simulator, or a mask, into a file of ours.",
    "show": "Count a trace: bytes, footprint, reuse; and draw its addresses.",
    "fit": "Fit a synthetic selection to a recorded one.",
}
"""The verbs, each with the line that `memgrain trace --help` prints."""
MODULES = {"import": "import_"}
"""Modules of verbs that are keywords."""


class _Verbs(TyperGroup):
    """The group of verbs; a verb's module is imported when the verb is called, not when it is listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The verbs, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """What the list of verbs shows."""
        return TyperCommand(cmd_name, help=VERBS[cmd_name]) if cmd_name in VERBS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb itself, with its module."""
        name, _, rest = super().resolve_command(ctx, args)
        module = importlib.import_module(f"codesign.cli.trace.{MODULES.get(str(name), name)}")
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        alone.command(name, help=VERBS[str(name)])(module.command)
        return name, typer.main.get_command(alone), rest


app = typer.Typer(cls=_Verbs, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def trace(ctx: typer.Context) -> None:
    """Write, read, show and fit traces."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
