"""Known names that are close to a misspelt one, as part of an error message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


def did_you_mean(
    word: str, known: Iterable[str] | Mapping[str, str], most: int = 2, cutoff: float = 0.6, otherwise: str = ""
) -> str:
    """ "did you mean 'a' or 'b'?" with at most `most` known names, closest first; `otherwise` where none is close.

    A mapping has the names to compare as keys and the names to show as values. `cutoff` is the lowest similarity
    (0 to 1) at which a name counts as close.
    """
    shown = known if isinstance(known, Mapping) else {name: name for name in known}
    close = dict.fromkeys(shown[name] for name in difflib.get_close_matches(word, shown, most, cutoff))
    return f"did you mean {' or '.join(map(repr, close))}?" if close else otherwise


def suggest(word: str, known: Iterable[str], most: int = 2) -> str:
    """The same as a clause that follows a message: "; did you mean 'a'?"; empty where no known name is close."""
    hint = did_you_mean(word, known, most)
    return f"; {hint}" if hint else ""
