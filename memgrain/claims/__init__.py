"""The ledger of claims: what the article says, put to the test by experiments, as told and with the facts."""

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
