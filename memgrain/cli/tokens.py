"""Numbers of tokens on the command line: 32768, 32K, 1M."""

from __future__ import annotations

import typer

from memgrain.inputs.quantities import parse_tokens


def token_count(text: str | int) -> int:
    """The number of tokens of a text; raises typer.BadParameter in one line."""
    try:
        return parse_tokens(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
