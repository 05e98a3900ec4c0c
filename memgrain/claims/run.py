"""Decide claims: run the experiment of every case, apply its criterion, and derive the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from memgrain.claims.options import ExperimentOptions
from memgrain.claims.result import ExperimentResult, ResultMatrix
from memgrain.claims.spec import Claim, ClaimCase
from memgrain.claims.verdict import Decided, verdict
from memgrain.runs.execute import DOMAIN


@dataclass(frozen=True)
class CaseResult:
    """A case and its result."""

    case: ClaimCase
    """The case."""
    finding: ExperimentResult | None
    """The result of its experiment; None if it failed."""
    holds: bool | None
    """Whether the claim holds in the case; None if the interval lies on both sides of the criterion, or the case
    failed."""
    failure: str = ""
    """Reason of the failure, one line."""


@dataclass(frozen=True)
class ClaimResult:
    """A claim and its verdicts."""

    claim: Claim
    """The claim."""
    cases: tuple[CaseResult, ...]
    """Its cases."""

    @property
    def as_claimed(self) -> str:
        """The verdict with the article's chips and numbers; empty if no case uses them."""
        return self._verdict(True)

    @property
    def sourced(self) -> str:
        """The verdict with chips and numbers from sources; empty if no case uses them."""
        return self._verdict(False)

    def _verdict(self, as_claimed: bool) -> str:
        cases = [
            Decided(found.case.condition, found.holds) for found in self.cases if found.case.as_claimed == as_claimed
        ]
        return verdict(cases) if cases else ""

    def matrices(self) -> list[ResultMatrix]:
        """Matrices of the cases in order. Those with the same title and columns are merged; equal rows occur once."""
        found: dict[tuple[str, tuple[str, ...]], ResultMatrix] = {}
        for result in self.cases:
            own = result.finding.matrix if result.finding else None
            if own is None:
                continue
            rows = [(name or result.case.condition, numbers) for name, numbers in own.rows]
            key = (own.title, own.columns)
            before = found[key].rows if key in found else ()
            found[key] = replace(own, rows=tuple(dict.fromkeys((*before, *rows))))
        return list(found.values())


def run_claims(
    claims: Sequence[Claim], options: ExperimentOptions, done: Callable[[ClaimResult], None] = lambda result: None
) -> list[ClaimResult]:
    """Decide claims one after the other and call `done` with each result. A failing case does not affect the others."""
    found = []
    for claim in claims:
        found.append(ClaimResult(claim, tuple(_decide(case, options) for case in claim.cases)))
        done(found[-1])
    return found


def _decide(case: ClaimCase, options: ExperimentOptions) -> CaseResult:
    """The result of a case. Cases as claimed use the article's numbers and draw nothing."""
    try:
        finding = case.experiment.find(replace(options, draw=False) if case.as_claimed else options)
    except DOMAIN as error:
        return CaseResult(case, None, None, " ".join(str(error).split()))
    return CaseResult(case, finding, case.criterion.holds(finding.found))
