"""CLAIM.yaml: the article's words, the experiments that test them, and the criteria.

title: The 910B has cache lines of 128 bytes
words: ["the 128-byte cache line of the Ascend 910B"]     # quoted from the article
meaning: one sentence that can be tested
cases:
  - if: the chip is the 910B1 of the vendor's papers      # ends the sentence 'holds only if ...'
    told: false                                           # true: chips and numbers as the article claims
    measure: bytes of a line of the L2
    experiment: {kind: formula, chip: ascend_910b1, formula: l2.line, unit: B}
    criterion: {at_least: 128, at_most: 128}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from memgrain.claims.criterion import Criterion
from memgrain.claims.experiments import Experiment
from memgrain.errors import MemgrainError
from memgrain.inputs.keys import validate
from memgrain.inputs.yaml_file import read_mapping
from memgrain.runs.shipped import claim_names, find_claim

NonEmptyText = Annotated[str, Field(min_length=1)]


class ClaimCase(BaseModel):
    """One interpretation of a claim, decided by one experiment."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    condition: NonEmptyText = Field(
        alias="if", description="the assumption of the case; completes the sentence 'holds only if ...'"
    )
    as_claimed: bool = Field(
        alias="told", description="whether chips and numbers are as the article claims, not as sources say"
    )
    measure: NonEmptyText = Field(description="the quantity that the experiment determines")
    experiment: Experiment = Field(description="the experiment")
    criterion: Criterion = Field(description="the condition under which the claim holds")


class Claim(BaseModel):
    """One claim of the article."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: NonEmptyText = Field(description="name of its file")
    title: NonEmptyText = Field(description="the claim in a few words")
    words: list[NonEmptyText] = Field(min_length=1, description="the article's own words")
    meaning: NonEmptyText = Field(description="what is tested, in one or two sentences")
    cases: list[ClaimCase] = Field(min_length=1, description="interpretations, each decided on its own")
    remark: str = Field(default="", description="remark on the verdict")


def load_claims(names: Sequence[str] = (), tune: Sequence[str] = ()) -> list[Claim]:
    """Load the claims of these names or files, or all shipped claims; see `load_claim`."""
    return [load_claim(name, tune) for name in names or claim_names()]


def load_claim(name: str, tune: Sequence[str] = ()) -> Claim:
    """Load a claim by its name or from a YAML file. Keys in `tune` replace the claim's own tuned keys. Raises
    MemgrainError with one line."""
    path = find_claim(name)
    raw = read_mapping(path, "begin with title:", MemgrainError)
    if tune:
        raw = _tuned(raw, list(tune))
    return validate(Claim, {**raw, "name": path.stem}, path.name, MemgrainError)


def _tuned(part: Any, keys: list[str]) -> Any:
    """A part of a claim's file, changed so that every experiment on a workload tunes these keys."""
    if isinstance(part, list):
        return [_tuned(item, keys) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: _tuned(value, keys) for key, value in part.items()}
    return {**found, "tune": keys} if "workload" in part else found
