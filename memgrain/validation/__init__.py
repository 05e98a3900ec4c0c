"""Predictions held against measurements: rows of a CSV, the cases that they are, and how far the simulator is off."""

from __future__ import annotations

from memgrain.validation.external import External
from memgrain.validation.run import Validation, validate

__all__ = ["External", "Validation", "validate"]
