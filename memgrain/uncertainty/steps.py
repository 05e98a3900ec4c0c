"""The interval of a step of a whole model: over its chip's uncertain parameters, including links if several chips share
the model, and the model's error from measured steps and layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from memgrain.hwmodels import Chip, load_chip, read_chip
from memgrain.models import ModelJob, ModelRequest, ModelRun
from memgrain.runs.options import RunOptions
from memgrain.uncertainty.hypercube import Drawable
from memgrain.uncertainty.parameters import uncertain_parameters
from memgrain.uncertainty.per_point import FEW
from memgrain.uncertainty.sampling import Drawn, answers, draw_together, value_of
from memgrain.uncertainty.uncertain_result import UncertainResult, uncertain_result_of

UNKNOWN = "; no step over nodes was measured, so no model error is counted"
"""Note if the model's error is unknown."""


@dataclass(frozen=True)
class ModelStep:
    """A step of a model to draw."""

    chip: str
    """Name or file of the chip."""
    chip_set: Mapping[str, Any]
    """Dotted overrides of the chip."""
    request: Callable[[Chip], ModelRequest]
    """The request for a chip; open values are filled in anew from the parameters of each draw."""
    found: ModelRun
    """The result with nominal parameters."""
    whole_prompt: int | None = None
    """Nominal time of the whole prompt in ps, if the interval is of that time."""

    @property
    def metric(self) -> str:
        """Metric of the interval: the time of the whole prompt if it is wanted, in decode the time per token, else the
        time of the step."""
        if self.whole_prompt is not None:
            return "prompt_time_us"
        return "time_per_token_us" if self.found.request.step.phase == "decode" else "time_us"

    @property
    def nominal(self) -> float:
        """The nominal time in us."""
        if self.whole_prompt is not None:
            return self.whole_prompt / 1e6
        return (self.found.time_per_token if self.found.request.step.phase == "decode" else self.found.time) / 1e6

    def drawable(self) -> Drawable[ModelJob]:
        """The step on a chip with drawn parameters."""
        several = self.found.request.shard.chips > 1
        return Drawable(
            tuple(uncertain_parameters(read_chip(self.chip, self.chip_set), self.chip_set, links=several)),
            lambda numbers: ModelJob(
                self.request(load_chip(self.chip, {**self.chip_set, **numbers})), self.whole_prompt is not None
            ),
        )


def interval_of_step(
    step: ModelStep,
    options: RunOptions = RunOptions(),
) -> tuple[UncertainResult, Drawn]:
    """The uncertain time of a step on draws of its chip's parameters, FEW unless `options` has another number.

    A draw that the chip or the step refuses (a memory too small for the model) is replaced. Raises MemgrainError if too
    few are admitted, or if nothing says how wide the interval is.
    """
    with options.folder() as folder:
        _, drawn = draw_together(
            [step.drawable()], (), options.draws(FEW), options.seed, lambda points: answers(points, folder, options)
        )
    values = [[value_of(row, step.metric) for row in rows] for rows in drawn.draws]
    trust, name = step.found.trust, step.found.request.chip.name
    what = f"{step.found.request.step.phase} of {step.found.request.model.name} on {name}"
    note = f"{what}: {trust.sentence}{'' if trust.bounded else UNKNOWN}"
    spread = uncertain_result_of(
        step.metric,
        np.array([step.nominal]),
        np.array(values).reshape(len(values), 1),
        trust.joint if trust.bounded else None,
        1,
        lambda value: value,
        [note],
        [name],
        options.seed,
    )
    return spread, drawn
