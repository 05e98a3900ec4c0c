"""Every case of every claim decided: what was found, whether the claim holds in it, and the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from memgrain.claims.finding import Finding
from memgrain.claims.options import ExperimentOptions
from memgrain.claims.spec import Case, Claim
from memgrain.claims.verdict import Decided, verdict
from memgrain.runs.execute import DOMAIN


@dataclass(frozen=True)
class CaseResult:
    """A case and its answer."""

    case: Case
    """The case."""
    finding: Finding | None
    """What its experiment found; None if it failed."""
    holds: bool | None
    """Whether the claim holds in it; None if its interval lies on both sides of the criterion, or it failed."""
    failure: str = ""
    """Why it failed, in one line."""


@dataclass(frozen=True)
class ClaimResult:
    """A claim and its verdicts."""

    claim: Claim
    """The claim."""
    cases: tuple[CaseResult, ...]
    """Its cases."""

    @property
    def told(self) -> str:
        """The verdict for chips and numbers as the article tells them; empty if no case supposes them."""
        return self._verdict(True)

    @property
    def sourced(self) -> str:
        """The verdict for chips and numbers as sources have them; empty if no case supposes them."""
        return self._verdict(False)

    def _verdict(self, told: bool) -> str:
        cases = [Decided(found.case.condition, found.holds) for found in self.cases if found.case.told == told]
        return verdict(cases) if cases else ""


def run_claims(
    claims: Sequence[Claim], options: ExperimentOptions, done: Callable[[ClaimResult], None] = lambda result: None
) -> list[ClaimResult]:
    """Decide claims one after the other; `done` is told of each. A case that fails leaves the others as they are."""
    found = []
    for claim in claims:
        found.append(ClaimResult(claim, tuple(_decide(case, options) for case in claim.cases)))
        done(found[-1])
    return found


def _decide(case: Case, options: ExperimentOptions) -> CaseResult:
    """The answer of a case; what the article tells is taken as it is told, not drawn from what it might be."""
    try:
        finding = case.experiment.find(replace(options, draw=False) if case.told else options)
    except DOMAIN as error:
        return CaseResult(case, None, None, " ".join(str(error).split()))
    return CaseResult(case, finding, case.criterion.holds(finding.found))
