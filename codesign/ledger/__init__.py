"""The ledger of claims: what the article says, put to the test by experiments, as told and with the facts."""

from __future__ import annotations

from codesign.ledger.means import Means
from codesign.ledger.run import CaseResult, ClaimResult, run_claims
from codesign.ledger.spec import Claim, load_claim, load_claims
from codesign.shipped import claim_names

__all__ = ["CaseResult", "Claim", "ClaimResult", "Means", "claim_names", "load_claim", "load_claims", "run_claims"]
