"""Kinds of experiments, one per file. Each computes or simulates one number, or looks up a text."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from memgrain.claims.experiments.best import Best
from memgrain.claims.experiments.cache_bytes import CacheBytesRatio
from memgrain.claims.experiments.capacity import Fill
from memgrain.claims.experiments.cost import Cost
from memgrain.claims.experiments.formula import FormulaOf
from memgrain.claims.experiments.growth import Growth
from memgrain.claims.experiments.lock_in import LockIn
from memgrain.claims.experiments.ratio import PointRatio
from memgrain.claims.experiments.reads import ReadBytesRatio
from memgrain.claims.experiments.step import StepRatio
from memgrain.claims.experiments.text import TextOf

Experiment = Annotated[
    FormulaOf
    | TextOf
    | PointRatio
    | Best
    | Growth
    | Fill
    | CacheBytesRatio
    | ReadBytesRatio
    | Cost
    | StepRatio
    | LockIn,
    Field(discriminator="kind"),
]

__all__ = [
    "Best",
    "CacheBytesRatio",
    "Cost",
    "Experiment",
    "Fill",
    "FormulaOf",
    "Growth",
    "LockIn",
    "PointRatio",
    "ReadBytesRatio",
    "StepRatio",
    "TextOf",
]
