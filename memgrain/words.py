"""Suggestions for misspelled names, for the messages of all rooms."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def closest(word: str, known: Iterable[str], count: int = 2, cutoff: float = 0.6) -> list[str]:
    """Up to `count` of the `known` names that are spelled like `word`, the most alike first; `cutoff` is the least
    similarity, from 0 to 1."""
    return difflib.get_close_matches(word, list(known), count, cutoff)


def did_you_mean(names: Sequence[str]) -> str:
    """The question "did you mean 'a' or 'b'?"; empty without names."""
    return f"did you mean {' or '.join(repr(name) for name in names)}?" if names else ""


def suggest(word: str, known: Iterable[str], count: int = 2) -> str:
    """The question behind a semicolon, to be added to a message about `word`; empty where no known name is close."""
    question = did_you_mean(closest(word, known, count))
    return f"; {question}" if question else ""
