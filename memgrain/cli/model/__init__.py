"""`memgrain model`: whole models on chips."""

from __future__ import annotations

import typer

from memgrain.cli.verbs import group

VERBS = {
    "run": "Simulate a step of a whole model on a chip, or on several.",
    "list": "List the models.",
    "show": "Show a model's layers, caches and bytes with its sources.",
}
"""The verbs, each with its line of help."""

app = typer.Typer(
    cls=group(VERBS, __name__, {}), add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback(invoke_without_command=True)
def model(ctx: typer.Context) -> None:
    """Whole models: time of a step, bytes by component, what memory holds."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
