"""How a value of a key does beside the best of others: 1 if none does better."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from codesign.ledger.finding import Finding
from codesign.ledger.means import Means, PointOf
from codesign.ledger.points import interval_of, values_of


class Best(BaseModel):
    """A point, and values of one of its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["best"]
    metric: str = Field(min_length=1, description="a metric or counter of a row")
    more_is_better: bool = Field(default=False, description="whether the best is the largest, not the smallest")
    point: PointOf = Field(description="the point but for the key")
    key: str = Field(min_length=1, description="the key, such as shape.head_dim")
    value: Any = Field(description="the value that is said to be best")
    others: list[Any] = Field(min_length=1, description="values that it is compared with")

    def find(self, means: Means) -> Finding:
        """How many times worse the value is than the best of the others; below 1 where it is the best."""
        values = (self.value, *self.others)
        tasks = [self.point.task({self.key: value}) for value in values]
        found, note = interval_of(tasks, self.metric, _most if self.more_is_better else _least, means)
        others = values_of([task.resolve() for task in tasks[1:]], self.metric, means)
        best = self.others[int(np.argmax(others) if self.more_is_better else np.argmin(others))]
        command = f"{self.point.command({self.key: self.value})} && {self.point.command({self.key: best})}"
        return Finding(found, "", command, f"best of the others: {self.key} = {best}; {note}")


def _least(own: NDArray[np.float64], *others: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = own / np.minimum.reduce(others)
    return found


def _most(own: NDArray[np.float64], *others: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.maximum.reduce(others) / own
    return found
