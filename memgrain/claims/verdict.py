"""From the cases of a claim to its verdict: for the chips as the article tells them, and for what sources say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be decided from public facts"
ONLY_IF = "holds only if"


@dataclass(frozen=True)
class Decided:
    """A case and whether the claim holds in it."""

    condition: str
    """What the case supposes, as the end of a sentence that begins with 'holds only if'."""
    holds: bool | None
    """None if the interval of its finding lies on both sides of the criterion."""


def verdict(cases: Sequence[Decided]) -> str:
    """The verdict of cases that suppose different things.

    It holds if it does in every case, and does not if it does in none. If it does in some, it holds only if one of
    these is so; cases that nothing decides are named. If no case holds and one is open, nothing can be said.
    """
    true = [case.condition for case in cases if case.holds]
    unsure = [case.condition for case in cases if case.holds is None]
    if len(true) == len(cases):
        return HOLDS
    if true:
        beside = f"; undecided if {_any_of(unsure)}" if unsure else ""
        return f"{ONLY_IF} {_any_of(true)}{beside}"
    if not unsure:
        return FAILS
    if len(unsure) == len(cases):
        return OPEN
    return f"{FAILS}, or {OPEN} if {_any_of(unsure)}"


def _any_of(conditions: Sequence[str]) -> str:
    return ", or ".join(dict.fromkeys(conditions))
