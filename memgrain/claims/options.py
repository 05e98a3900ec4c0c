"""Options of experiments, and the point that most experiments simulate."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from memgrain.runs.options import RunOptions
from memgrain.runs.overrides import split
from memgrain.runs.task import Task
from memgrain.runs.tune import Tune

SAMPLES = 8
"""Draws for an interval, unless another number is given."""


@dataclass(frozen=True)
class ExperimentOptions:
    """What all experiments of one run of claims share."""

    run: RunOptions = RunOptions()
    """How points are run, and how many draws an interval rests on: SAMPLES unless another number is given."""
    draw: bool = True
    """Whether the chips' uncertain parameters are drawn; if not, their nominal values are used."""
    known: dict[Hashable, Any] = field(default_factory=dict, compare=False)
    """Results that several cases need, by their request; valid for one run of the claims, as files may change after
    it."""

    @property
    def placed(self) -> RunOptions:
        """The options of a run, with the folder of the rows and the number of draws filled in."""
        return replace(self.run, out=self.folder, samples=self.run.draws(SAMPLES))

    @property
    def folder(self) -> Path:
        """Folder of the rows; those that are there are not simulated again."""
        return self.run.out or Path("out") / "claims"


class PointOf(BaseModel):
    """A workload on a chip, as a claim's file names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chip: str = Field(min_length=1, description="a chip by name or file")
    workload: str = Field(min_length=1, description="a workload by name or file")
    set: dict[str, Any] = Field(default_factory=dict, description="overrides of either")
    tune: Tune = Field(default=(), description="keys of the tiling that are tuned; see memgrain run --tune")

    def task(self, more: Mapping[str, Any] | None = None) -> Task:
        """The task, with the further overrides `more`."""
        on_chip, rest = split({**self.set, **(more or {})}, self.chip)
        return Task(self.chip, on_chip, self.workload, rest, "cold", self.tune)

    def command(self, more: Mapping[str, Any] | None = None) -> str:
        """The command that runs the point."""
        settings = [f"--set {shlex.quote(f'{key}={value}')}" for key, value in {**self.set, **(more or {})}.items()]
        tune = [f"--tune {','.join(self.tune)}"] if self.tune else []
        return " ".join(["memgrain run", self.chip, self.workload, *settings, *tune])


def design_text(design: Mapping[str, Any]) -> str:
    """A design in words: the last part of each key with its value."""
    return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in design.items())
