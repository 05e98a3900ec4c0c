"""The exponent of a decode step's cost as a function of the context length; see `memgrain.analysis.scaling`."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from memgrain.analysis.scaling import FITTED_FROM, MECHANISMS, scaling
from memgrain.claims.interval import ValueInterval
from memgrain.claims.options import ExperimentOptions
from memgrain.claims.result import ExperimentResult
from memgrain.errors import MemgrainError
from memgrain.inputs.spelling import suggest

CONTEXTS = (FITTED_FROM, FITTED_FROM << 2, FITTED_FROM << 4)
"""Context lengths over which the exponent is fitted."""


class Growth(BaseModel):
    """A mechanism on a chip and one of its costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["growth"]
    chip: str = Field(min_length=1, description="a chip by name or file")
    mechanism: str = Field(min_length=1, description="a mechanism of memgrain scaling")
    cost: Literal["read_bytes", "operations", "time_us"] = Field(description="the cost")

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """The exponent over all contexts; its interval spans the exponents between neighbouring contexts."""
        names = [mechanism.name for mechanism in MECHANISMS]
        if self.mechanism not in names:
            raise MemgrainError(
                f"no mechanism '{self.mechanism}'{suggest(self.mechanism, names)}; see memgrain scaling"
            )
        own = [mechanism for mechanism in MECHANISMS if mechanism.name == self.mechanism]
        found = scaling(self.chip, CONTEXTS, own, options.placed)
        if found.failures:
            raise MemgrainError(found.failures[0])
        logs = np.log(found.rows[["context", self.cost]].to_numpy(dtype=float))
        steps = [float((after[1] - before[1]) / (after[0] - before[0])) for before, after in pairwise(logs)]
        exponent = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
        command = f"memgrain scaling {self.chip}"
        return ExperimentResult(
            ValueInterval.of(exponent, (min(steps), max(steps))), "", command, "interval: between neighbours"
        )
