"""Experiments that a claim may name, one file a kind: each works out or simulates one number, or looks up a text."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from codesign.ledger.experiments.best import Best
from codesign.ledger.experiments.capacity import Fill
from codesign.ledger.experiments.cost import Cost
from codesign.ledger.experiments.formula import FormulaOf
from codesign.ledger.experiments.growth import Growth
from codesign.ledger.experiments.kept import Kept
from codesign.ledger.experiments.lock_in import LockIn
from codesign.ledger.experiments.ratio import Ratio
from codesign.ledger.experiments.reads import Reads
from codesign.ledger.experiments.step import StepRatio
from codesign.ledger.experiments.text import TextOf

Experiment = Annotated[
    FormulaOf | TextOf | Ratio | Best | Growth | Fill | Kept | Reads | Cost | StepRatio | LockIn,
    Field(discriminator="kind"),
]

__all__ = [
    "Best",
    "Cost",
    "Experiment",
    "Fill",
    "FormulaOf",
    "Growth",
    "Kept",
    "LockIn",
    "Ratio",
    "Reads",
    "StepRatio",
    "TextOf",
]
