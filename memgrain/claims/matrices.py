"""The matrices of a claim's cases: those of one kind joined into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memgrain.claims.finding import Matrix
from memgrain.claims.run import CaseResult


def matrices(cases: Sequence[CaseResult]) -> list[Matrix]:
    """Matrices of the cases in order; those that have title and columns in common are one, with each row once."""
    found: dict[tuple[str, tuple[str, ...]], Matrix] = {}
    for result in cases:
        own = result.finding.matrix if result.finding else None
        if own is None:
            continue
        rows = [(name or result.case.condition, numbers) for name, numbers in own.rows]
        key = (own.title, own.columns)
        before = found[key].rows if key in found else ()
        found[key] = replace(own, rows=tuple(dict.fromkeys((*before, *rows))))
    return list(found.values())
