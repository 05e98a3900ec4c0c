"""Slowdown of designs that are best on one chip when run on others, relative to each chip's own best design."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.claims.interval import ValueInterval
from memgrain.claims.options import ExperimentOptions, PointOf, design_text
from memgrain.claims.points import interval_of, values_of
from memgrain.claims.result import ExperimentResult, ResultMatrix
from memgrain.runs.tune import Tune

Pair = tuple[str, str]
"""The chip that a design is tuned for, and the chip that it is run on."""


class LockIn(BaseModel):
    """Designs and chips."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lock_in"]
    chips: list[str] = Field(min_length=2, description="chips of the matrix, by name or file")
    tuned_for: list[str] = Field(min_length=1, description="those of them whose best designs are run on others")
    run_on: list[str] = Field(min_length=1, description="those of them on which these designs are run")
    workload: str = Field(min_length=1, description="a workload by name or file")
    set: dict[str, Any] = Field(default_factory=dict, description="overrides of every design")
    grid: dict[str, list[Any]] = Field(min_length=1, description="keys of a design, each with its values")
    metric: str = Field(min_length=1, description="a metric or counter of a row")
    more_is_better: bool = Field(default=False, description="whether the largest value is best; default: the smallest")
    tune: Tune = Field(default=(), description="keys of the tiling that are tuned for every design and chip")

    @model_validator(mode="after")
    def _known(self) -> LockIn:
        if unknown := [chip for chip in (*self.tuned_for, *self.run_on) if chip not in self.chips]:
            raise ValueError(f"{unknown[0]} is none of the chips {', '.join(self.chips)}; add it to them")
        if not self._pairs:
            raise ValueError(f"{self.run_on[0]} is tuned for itself; name another chip under run_on")
        return self

    @property
    def _pairs(self) -> list[Pair]:
        return [pair for pair in itertools.product(self.tuned_for, self.run_on) if pair[0] != pair[1]]

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """The largest slowdown of a design of `tuned_for` on a chip of `run_on`, over draws of that chip's uncertain
        parameters. The designs are the best ones for the nominal parameters."""
        designs = [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]
        chips = list(dict.fromkeys(self.chips))
        costs = self._costs(chips, designs, options)
        best = {chip: int(costs[index].argmin()) for index, chip in enumerate(chips)}
        slower = costs / costs.min(axis=1, keepdims=True)
        chosen = {chip: designs[best[chip]] for chip in chips}
        found, note = self._worst(chosen, options)
        rows = tuple(
            (f"tuned for {tuned}: {design_text(chosen[tuned])}", tuple(slower[:, best[tuned]].tolist()))
            for tuned in chips
        )
        matrix = ResultMatrix(
            f"{self.workload}: slowdown beside the chip's own best design", tuple(f"on {chip}" for chip in chips), rows
        )
        tuned, ran = max(self._pairs, key=lambda pair: slower[chips.index(pair[1]), best[pair[0]]])
        commands = dict.fromkeys(self._point(ran).command(chosen[chip]) for chip in (tuned, ran))
        return ExperimentResult(found, "", " && ".join(commands), note, matrix)

    def _worst(self, chosen: Mapping[str, Mapping[str, Any]], options: ExperimentOptions) -> tuple[ValueInterval, str]:
        """The largest slowdown over all pairs as an interval, and its basis."""
        found, notes = [], []
        for tuned, ran in self._pairs:
            tasks = [self._point(ran).task(chosen[chip]) for chip in (tuned, ran)]
            if chosen[tuned] == chosen[ran]:
                found.append(ValueInterval.of(1.0))
                continue
            one, note = interval_of(tasks, self.metric, _fewer if self.more_is_better else np.divide, options)
            found.append(one)
            notes.append(note)
        ends = (max(one.low for one in found), max(one.high for one in found))
        return ValueInterval.of(max(one.value for one in found), ends), "; ".join(dict.fromkeys(notes))

    def _point(self, chip: str) -> PointOf:
        return PointOf(chip=chip, workload=self.workload, set=self.set, tune=self.tune)

    def _costs(
        self, chips: Sequence[str], designs: Sequence[dict[str, Any]], options: ExperimentOptions
    ) -> NDArray[np.float64]:
        """The metric of every design (columns) on every chip (rows), inverted if more is better."""
        points = [self._point(chip).task(design).resolve() for chip in chips for design in designs]
        values = values_of(points, self.metric, options).reshape(len(chips), len(designs))
        return 1 / values if self.more_is_better else values


def _fewer(tuned: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = own / tuned
    return found
