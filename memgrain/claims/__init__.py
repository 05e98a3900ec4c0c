"""Claims of the article, each decided by experiments: as claimed (the article's numbers) and with the facts
(sources)."""

from __future__ import annotations

from memgrain.claims.options import ExperimentOptions
from memgrain.claims.run import CaseResult, ClaimResult, run_claims
from memgrain.claims.spec import Claim, load_claim, load_claims
from memgrain.runs.shipped import claim_names

__all__ = [
    "CaseResult",
    "Claim",
    "ClaimResult",
    "ExperimentOptions",
    "claim_names",
    "load_claim",
    "load_claims",
    "run_claims",
]
