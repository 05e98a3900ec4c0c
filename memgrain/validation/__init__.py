"""Validation: compare predictions with measurements, from the rows of a CSV to the errors of the simulator."""

from __future__ import annotations

from memgrain.validation.external import External
from memgrain.validation.run import Validation, validate

__all__ = ["External", "Validation", "validate"]
