"""What a design that is best on one chip costs on another: the worst slowdown against that chip's own best design."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from codesign.errors import CodesignError
from codesign.ledger.finding import Finding
from codesign.ledger.interval import Interval
from codesign.ledger.means import Means, PointOf
from codesign.ledger.points import values_of


class LockIn(BaseModel):
    """Designs and chips."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lock_in"]
    tuned_for: list[str] = Field(min_length=1, description="chips that designs are chosen for, by name or file")
    run_on: list[str] = Field(min_length=1, description="chips that these designs are run on")
    workload: str = Field(min_length=1, description="a workload by name or file")
    set: dict[str, Any] = Field(default_factory=dict, description="overrides that hold for every design")
    grid: dict[str, list[Any]] = Field(min_length=1, description="keys of a design, each with its values")
    metric: str = Field(min_length=1, description="a metric or counter of a row")
    more_is_better: bool = Field(default=False, description="whether the best design has the most of it")

    def find(self, means: Means) -> Finding:
        """The worst slowdown of all pairs of chips; its interval, from the mildest pair to the worst."""
        designs = [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]
        chips = list(dict.fromkeys((*self.tuned_for, *self.run_on)))
        costs = dict(zip(chips, self._table(chips, designs, means), strict=True))
        best = {chip: int(costs[chip].argmin()) for chip in chips}
        slowdowns = {
            (tuned, ran): float(costs[ran][best[tuned]] / costs[ran][best[ran]])
            for tuned, ran in itertools.product(self.tuned_for, self.run_on)
            if tuned != ran
        }
        if not slowdowns:
            raise CodesignError(f"{self.run_on[0]} is tuned for itself; name another chip under run_on")
        worst = max(slowdowns, key=lambda pair: slowdowns[pair])
        choices = "; ".join(
            f"best on {chip}: {' '.join(f'{key}={value}' for key, value in designs[best[chip]].items())}"
            for chip in chips
        )
        command = self._point(worst[1]).command(designs[best[worst[0]]])
        found = Interval(min(slowdowns.values()), slowdowns[worst], slowdowns[worst])
        return Finding(found, "", command, f"worst: tuned for {worst[0]}, run on {worst[1]}; {choices}")

    def _point(self, chip: str) -> PointOf:
        return PointOf(chip=chip, workload=self.workload, set=self.set)

    def _table(self, chips: Sequence[str], designs: Sequence[dict[str, Any]], means: Means) -> NDArray[np.float64]:
        """The metric of every design (columns) on every chip (rows), or its inverse, so that less is better."""
        points = [self._point(chip).task(design).resolve() for chip in chips for design in designs]
        values = values_of(points, self.metric, means).reshape(len(chips), len(designs))
        return 1 / values if self.more_is_better else values
