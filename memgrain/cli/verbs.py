"""Groups of verbs whose modules are imported when a verb is called, not when it is listed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


def group(
    verbs: Mapping[str, str], package: str, modules: Mapping[str, str], renamed: Mapping[str, str] | None = None
) -> type[TyperGroup]:
    """The group of `verbs`, each with its line of help; a verb is `command`, or `app` where it has verbs of its own, in
    the module of `package` that has its name or the one that `modules` gives. `renamed` says what to write in place of
    verbs that there were."""

    class Verbs(TyperGroup):
        """A group that imports a verb's module when the verb is called."""

        def list_commands(self, ctx: Any) -> list[str]:
            """The verbs, in the order of the table."""
            return list(verbs)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """The command of a verb for the list, without its module."""
            return TyperCommand(cmd_name, help=verbs[cmd_name]) if cmd_name in verbs else None

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            """The command of a verb, with its module imported."""
            if args and (now := (renamed or {}).get(args[0])):
                ctx.fail(f"'{args[0]}' is no verb any more: write {now}")
            name, _, rest = super().resolve_command(ctx, args)
            module = importlib.import_module(f"{package}.{modules.get(str(name), name)}")
            if hasattr(module, "app"):
                return name, typer.main.get_command(module.app), rest
            alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            alone.command(name, help=verbs[str(name)])(module.command)
            return name, typer.main.get_command(alone), rest

    return Verbs
