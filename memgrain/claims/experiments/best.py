"""A design compared with the best of other designs: 1 if none is better."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from memgrain.claims.options import ExperimentOptions, PointOf, design_text
from memgrain.claims.points import interval_of, values_of
from memgrain.claims.result import ExperimentResult, ResultMatrix

Design = dict[str, Any]
"""Values by key, such as {shape.head_dim: 96}."""


class Best(BaseModel):
    """A point and the designs that it is run with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["best"]
    metric: str = Field(min_length=1, description="a metric or counter of a row")
    more_is_better: bool = Field(default=False, description="whether the largest value is best; default: the smallest")
    point: PointOf = Field(description="the point without the design")
    design: Design = Field(min_length=1, description="the design that the claim calls best")
    others: list[Design] = Field(min_length=1, description="designs that it is compared with")

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """How many times worse the design is than the best of the others; below 1 if it is better."""
        designs = (self.design, *self.others)
        tasks = [self.point.task(design) for design in designs]
        found, note = interval_of(tasks, self.metric, _most if self.more_is_better else _least, options)
        values = values_of([task.resolve() for task in tasks], self.metric, options)
        worse = values.max() / values if self.more_is_better else values / values.min()
        best = self.others[int(np.argmin(worse[1:]))]
        command = f"{self.point.command(self.design)} && {self.point.command(best)}"
        order = sorted(range(len(designs)), key=lambda index: [float(value) for value in designs[index].values()])
        matrix = ResultMatrix(
            f"{self.metric}: how many times worse than the best design",
            tuple(design_text(designs[index]) for index in order),
            (("", tuple(float(worse[index]) for index in order)),),
        )
        return ExperimentResult(found, "", command, note, matrix)


def _least(own: NDArray[np.float64], *others: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = own / np.minimum.reduce(others)
    return found


def _most(own: NDArray[np.float64], *others: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.maximum.reduce(others) / own
    return found
