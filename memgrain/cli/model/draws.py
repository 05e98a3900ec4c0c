"""The interval of `memgrain model run --uncertainty`, with its progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import typer

from memgrain.cli.terminal import SweepProgress
from memgrain.cli.uncertainty import Rounds
from memgrain.hwmodels import Chip
from memgrain.models import ModelRequest, ModelRun
from memgrain.runs.options import RunOptions
from memgrain.uncertainty import UncertainResult
from memgrain.uncertainty.sampling import Drawn
from memgrain.uncertainty.steps import ModelStep, interval_of_step


def interval_of(
    chip: str,
    chip_set: Mapping[str, Any],
    request: Callable[[Chip], ModelRequest],
    found: ModelRun,
    whole_prompt: int | None,
    options: RunOptions,
) -> tuple[UncertainResult, Drawn]:
    """The interval of a step's time, and what was drawn for it; ends with status 130 after Ctrl-C."""
    progress = SweepProgress(f"{found.request.model.name}, draws")
    step = ModelStep(chip, chip_set, request, found, whole_prompt)
    try:
        return interval_of_step(step, replace(options, progress=Rounds(progress)))
    except KeyboardInterrupt:
        progress.stop()
        progress.warn("interrupted; the step's own time needs no --uncertainty")
        raise typer.Exit(130) from None
    finally:
        progress.stop()
