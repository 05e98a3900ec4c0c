"""Numbers of tokens on the command line: 32768, 32K, 1M."""

from __future__ import annotations

import re

import typer

from memgrain.runs.quantities import TIMES

_TOKENS = re.compile(r"([1-9][0-9]*) ?([KkMm]?)")


def token_count(text: str | int) -> int:
    """The number of tokens of a text; raises typer.BadParameter in one line."""
    found = _TOKENS.fullmatch(str(text).strip())
    if found is None:
        raise typer.BadParameter(f"'{text}' is no number of tokens; write one such as 32768, 32K or 1M")
    return int(found[1]) * TIMES[found[2].upper()]
