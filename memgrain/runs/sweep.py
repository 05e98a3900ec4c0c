"""SWEEP.yaml: a grid of dotted keys over chips and a workload, and the tasks it stands for.

name: head_dim_by_ratio
chips: [ascend_910b1, h100_sxm]       # shipped names, or files beside this one
workload: decode_topk                 # a shipped name, a file beside this one, or the mapping itself
set: {shape.q_heads: 64}              # for every point; keys of the chip begin with 'chip.'
grid:                                 # every combination, the last key fastest
  shape.head_dim: [64, 96, 128]
  chip.l2.ways: [8, 16]
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.errors import MemgrainError
from memgrain.inputs.keys import validate
from memgrain.inputs.spelling import suggest
from memgrain.inputs.yaml_file import read_mapping
from memgrain.runs.overrides import CHIP
from memgrain.runs.shipped import find_sweep
from memgrain.runs.task import Files, Point, Task
from memgrain.runs.tune import Tune
from memgrain.workloads import Workload

Key = Annotated[str, Field(min_length=1)]


class Sweep(BaseModel):
    """A grid of points."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        min_length=1, pattern=r"^[\w.-]+$", description="name of the sweep, and of its folder if none is given"
    )
    chips: list[str] = Field(min_length=1, description="chips by name or file; each meets every point of the grid")
    workload: str | dict[str, Any] = Field(description="workload by name or file, or the mapping itself")
    set: dict[Key, Any] = Field(default_factory=dict, description="overrides that hold at every point")
    grid: dict[Key, Annotated[list[Any], Field(min_length=1)]] = Field(
        default_factory=dict, description="overrides that vary, each with its values"
    )
    before: Literal["cold", "dirty", "warm"] = Field(default="cold", description="state of the caches before every run")
    tune: Tune = Field(default=(), description="keys of the tiling of which every point gets its best values")

    def size(self) -> int:
        """Points of the sweep."""
        return len(self.chips) * math.prod(len(values) for values in self.grid.values())

    def tasks(self) -> list[Task]:
        """The tasks in order: chip by chip, the last key of the grid fastest."""
        found = []
        for chip in self.chips:
            for values in itertools.product(*self.grid.values()):
                overrides = {**self.set, **dict(zip(self.grid, values, strict=True))}
                on_chip = {key.removeprefix(CHIP): value for key, value in overrides.items() if key.startswith(CHIP)}
                rest = {key: value for key, value in overrides.items() if not key.startswith(CHIP)}
                found.append(Task(chip, on_chip, self.workload, rest, self.before, self.tune))
        return found

    def points(self) -> tuple[list[Point], list[str]]:
        """The tasks with their files read, and a line for each that is refused; an error if every one is."""
        files: Files = {}
        points: list[Point] = []
        refused: list[str] = []
        first: Exception | None = None
        for task in self.tasks():
            try:
                points.append(task.resolve(files))
            except MemgrainError as error:
                first = first or error
                settings = "".join(f" {key}={value}" for key, value in {**task.chip_set, **task.workload_set}.items())
                refused.append(f"{task.chip}{settings}: {error}")
        if first is not None and not points:
            raise first
        return points, refused


def load_sweep(source: str | Path | Mapping[str, Any]) -> Sweep:
    """The sweep of that file or shipped name, or of a mapping; raises MemgrainError in one line."""
    if isinstance(source, Mapping):
        return _validate(dict(source), "the sweep")
    path = find_sweep(source)
    raw = read_mapping(path, "see 'memgrain examples'", MemgrainError)
    return _beside(_validate(raw, path.name), path.parent)


def _validate(raw: dict[str, Any], file: str) -> Sweep:
    sweep = validate(Sweep, raw, file, MemgrainError)
    both = sorted(set(sweep.set) & set(sweep.grid))
    if both:
        raise MemgrainError(f"{file}: '{both[0]}' stands in set and in grid; keep it in one of them")
    keys = sorted(Workload.model_fields)
    for key in [*sweep.set, *sweep.grid]:
        first_part = key.split(".")[0]
        if not key.startswith(CHIP) and first_part not in keys:
            raise MemgrainError(
                f"{file}: a workload has no '{first_part}'{suggest(first_part, keys)}; known: {', '.join(keys)}; "
                f"a key of the chip begins with 'chip.': chip.{key}"
            )
    return sweep


def _beside(sweep: Sweep, folder: Path) -> Sweep:
    """The sweep with files named relative to its own folder."""

    def place(name: str) -> str:
        if not name.endswith((".yaml", ".yml")) or Path(name).expanduser().is_absolute():
            return name
        return str(folder / name)

    workload = place(sweep.workload) if isinstance(sweep.workload, str) else sweep.workload
    return Sweep.model_validate(
        {**sweep.model_dump(), "chips": [place(chip) for chip in sweep.chips], "workload": workload}
    )
