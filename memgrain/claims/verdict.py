"""The verdict of a claim from its cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be decided from public facts"
ONLY_IF = "holds only if"


@dataclass(frozen=True)
class Decided:
    """A case and whether the claim holds in the case."""

    condition: str
    """The assumption of the case, which completes the sentence 'holds only if ...'."""
    holds: bool | None
    """None if the interval of the result lies on both sides of the criterion."""


def verdict(cases: Sequence[Decided]) -> str:
    """The verdict of cases with different assumptions.

    The claim holds if it holds in every case, and does not hold if it holds in none. If it holds in some cases, it
    holds only if one of their assumptions is true, and undecided cases are named. If it holds in no case and some are
    undecided, the verdict is open for these.
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
