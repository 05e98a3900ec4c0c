"""With what experiments are run: how many draws, where rows are kept, how many at a time."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from memgrain.runs.overrides import split
from memgrain.runs.task import Task
from memgrain.runs.tune import Tune


@dataclass(frozen=True)
class Means:
    """What all experiments of a ledger share."""

    out: Path
    """Folder of the rows, which are not simulated again."""
    samples: int = 8
    """Draws of the chips' uncertain numbers for an interval; 0: their files' numbers are taken as they stand."""
    seed: int = 0
    """Seed of the draws."""
    jobs: int | None = None
    """Points at a time; None: one for each core."""
    known: dict[Hashable, Any] = field(default_factory=dict, compare=False)
    """What several cases ask for, by the question; of one run of the ledger, as files may change after it."""


class PointOf(BaseModel):
    """A workload on a chip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chip: str = Field(min_length=1, description="a chip by name or file")
    workload: str = Field(min_length=1, description="a workload by name or file")
    set: dict[str, Any] = Field(default_factory=dict, description="overrides of either")
    tune: Tune = Field(default=(), description="keys of the tiling that are tuned; see memgrain run --tune")

    def task(self, more: Mapping[str, Any] | None = None) -> Task:
        """The task, with more set if that is given."""
        on_chip, rest = split({**self.set, **(more or {})}, self.chip)
        return Task(self.chip, on_chip, self.workload, rest, "cold", self.tune)

    def command(self, more: Mapping[str, Any] | None = None) -> str:
        """The command that runs it."""
        settings = [f"--set {shlex.quote(f'{key}={value}')}" for key, value in {**self.set, **(more or {})}.items()]
        tune = [f"--tune {','.join(self.tune)}"] if self.tune else []
        return " ".join(["memgrain run", self.chip, self.workload, *settings, *tune])


def design_text(design: Mapping[str, Any]) -> str:
    """A design as a person reads it: each key's last word and value."""
    return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in design.items())
