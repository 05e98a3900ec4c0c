"""The interval that `memgrain model run --uncertainty` gives, with its progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer

from codesign.cli.terminal import SweepProgress
from codesign.cli.uncertainty import Rounds
from codesign.model_run import ModelRun, Question
from codesign.uncertainty import Spread
from codesign.uncertainty.each import FEW
from codesign.uncertainty.sampling import Drawn
from codesign.uncertainty.steps import Step, interval_of_step
from hwmodels import Chip


def interval_of(
    chip: str,
    chip_set: Mapping[str, Any],
    ask: Callable[[Chip], Question],
    found: ModelRun,
    whole_prompt: int | None,
    samples: int | None,
    seed: int | None,
    jobs: int | None,
) -> tuple[Spread, Drawn]:
    """The interval of a step's time, and what was drawn for it; ends with status 130 after Ctrl-C."""
    progress = SweepProgress(f"{found.asked.model.name}, draws")
    step = Step(chip, chip_set, ask, found, whole_prompt)
    try:
        return interval_of_step(step, FEW if samples is None else samples, seed or 0, jobs=jobs, watch=Rounds(progress))
    except KeyboardInterrupt:
        progress.stop()
        progress.warn("interrupted; the step's own time needs no --uncertainty")
        raise typer.Exit(130) from None
    finally:
        progress.stop()
