"""A metric of one point divided by that of another, with an interval over uncertain parameters and the model's
error."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from memgrain.claims.options import ExperimentOptions, PointOf
from memgrain.claims.points import interval_of
from memgrain.claims.result import ExperimentResult


class PointRatio(BaseModel):
    """Two points and a metric."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ratio"]
    metric: str = Field(min_length=1, description="a metric or counter of a row")
    over: PointOf = Field(description="the point above the line")
    under: PointOf = Field(description="the point below the line")

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """The ratio."""
        tasks = [self.over.task(), self.under.task()]
        found, note = interval_of(tasks, self.metric, np.divide, options)
        return ExperimentResult(found, "", f"{self.over.command()} && {self.under.command()}", note)
