"""SEARCH.yaml: what may vary, what is to be small or large, what must hold, and how long to look.

name: head_dim_for_910b
chips: [ascend_910b1]                 # several: the chip varies too
workload: decode_topk                 # a shipped name, a file beside this one, or the mapping itself
set: {shape.kv_len: 32768}            # for every point; keys of the chip begin with 'chip.'
space:                                # what varies: a list, or a range
  shape.head_dim: [64, 96, 128]
  selection.ratio: {low: 0.01, high: 0.25, log: true}
  chip.l2.capacity: {low: 96 MiB, high: 384 MiB, step: 96 MiB}
keep:                                 # products that stay as they are; a key that is not in space follows
  - {keys: [shape.head_dim, shape.q_heads], product: 8192}
objectives: {time_us: minimise, selection.ratio: maximise}
constraints: [dram_read_bytes <= 1 GB, quality.mass >= 0.9]
quality: {mass: {selection: tokens}}  # see memgrain/explore/floor.py
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memgrain.errors import CodesignError
from memgrain.explore.condition import Condition, parse_condition
from memgrain.explore.floor import Quality
from memgrain.runs.overrides import CHIP
from memgrain.runs.shipped import find_search, suggest
from memgrain.runs.task import Task
from memgrain.runs.tune import Tune
from memgrain.runs.yaml_file import read_mapping
from memgrain.sim import MODEL_VERSION
from memgrain.workloads import KINDS

Key = Annotated[str, Field(min_length=1)]
Direction = Literal["minimise", "maximise"]


class Range(BaseModel):
    """Values from one to another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int | float | str = Field(description="smallest value: a number, or a quantity such as '32 MiB'")
    high: int | float | str = Field(description="largest value")
    step: int | float | str | None = Field(default=None, description="distance of two values; absent: any between")
    log: bool = Field(default=False, description="whether small values are looked at as closely as large ones")


class Kept(BaseModel):
    """A product that stays as it is, such as the hidden size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: list[Key] = Field(min_length=2, description="its factors; one of them may be missing in space, and follows")
    product: int = Field(ge=1, description="what their values make when multiplied")


class Search(BaseModel):
    """A search over designs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        min_length=1, pattern=r"^[\w.-]+$", description="name of the study, and of its folder if none is given"
    )
    chips: list[str] = Field(min_length=1, description="chips by name or file; of several, one is chosen each time")
    workload: str | dict[str, Any] = Field(description="workload by name or file, or the mapping itself")
    set: dict[Key, Any] = Field(default_factory=dict, description="overrides that hold at every point")
    space: dict[Key, Annotated[list[Any], Field(min_length=1)] | Range] = Field(
        min_length=1, description="overrides that vary, each with its values or their range"
    )
    keep: list[Kept] = Field(default_factory=list, description="products that stay as they are")
    objectives: dict[Key, Direction] = Field(min_length=1, description="columns of a row that are to be small or large")
    constraints: list[str] = Field(default_factory=list, description="comparisons of a column that must hold")
    quality: Quality = Field(
        default_factory=Quality, description="where the columns quality.score and quality.mass come from"
    )
    reference: dict[Key, float] = Field(
        default_factory=dict, description="by objective, where the hypervolume ends; absent: the worst of the front"
    )
    sampler: Literal["tpe", "nsga2", "random"] = Field(default="tpe", description="how the next point is chosen")
    startup: int = Field(
        default=10, ge=2, description="trials at random before tpe begins; with nsga2, trials of a generation"
    )
    trials: int = Field(default=100, ge=1, description="points to try, those that are refused included")
    seed: int = Field(default=0, ge=0, description="seed of the choices")
    before: Literal["cold", "dirty", "warm"] = Field(default="cold", description="state of the caches before every run")
    tune: Tune = Field(default=(), description="keys of the tiling of which every point gets its best values")

    @property
    def conditions(self) -> list[Condition]:
        """The constraints, read."""
        return [parse_condition(text) for text in self.constraints]

    def task(self, chip: str, overrides: Mapping[str, Any]) -> Task:
        """The task of a point of the space, what holds at every point included."""
        every = {**self.set, **overrides}
        on_chip = {key.removeprefix(CHIP): value for key, value in every.items() if key.startswith(CHIP)}
        rest = {key: value for key, value in every.items() if not key.startswith(CHIP)}
        return Task(chip, on_chip, self.workload, rest, self.before, self.tune)

    def digest(self) -> str:
        """SHA-256 of what decides the trials, their number and the reference apart."""
        inputs = {**self.model_dump(mode="json", exclude={"name", "trials", "reference"}), "model": MODEL_VERSION}
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def load_search(source: str | Path | Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> Search:
    """The search of that file or shipped name, or of a mapping, with top-level keys changed; raises CodesignError."""
    if isinstance(source, Mapping):
        return _validate({**source, **(changes or {})}, "the search")
    path = find_search(source)
    raw = read_mapping(path, "begin with name:")
    return _validate(_beside({**raw, **(changes or {})}, path.parent), path.name)


def _validate(raw: dict[str, Any], file: str) -> Search:
    try:
        search = Search.model_validate(raw)
    except ValidationError as error:
        first = max(error.errors(), key=lambda item: len(item["loc"]))
        where = ".".join(str(part) for part in first["loc"] if part != Range.__name__)
        if first["type"] == "extra_forbidden":
            name = str(first["loc"][-1])
            message = f"unknown key '{where}'{suggest(name, list(Search.model_fields))}; remove or correct it"
        elif first["type"] == "missing":
            message = f"key '{where}' is missing; add it"
        else:
            message = f"{first['msg'][:1].lower()}{first['msg'][1:]}, got {first['input']!r} @ {where}; correct it"
        raise CodesignError(f"{file}: {message}") from None
    try:
        _check(search)
    except CodesignError as error:
        raise CodesignError(f"{file}: {error}") from None
    return search


def _check(search: Search) -> None:
    """Raise CodesignError where parts of a search contradict each other."""
    both = sorted(set(search.set) & set(search.space))
    if both:
        raise CodesignError(f"'{both[0]}' stands in set and in space; keep it in one of them")
    fields = sorted({name for kind in KINDS.values() for name in kind.model_fields})
    for key in [*search.set, *search.space, *(key for kept in search.keep for key in kept.keys)]:
        first = key.split(".")[0]
        if not key.startswith(CHIP) and first not in fields:
            raise CodesignError(
                f"a workload has no '{first}'{suggest(first, fields)}; a key of the chip begins with 'chip.': "
                f"chip.{key}"
            )
    strange = sorted(set(search.reference) - set(search.objectives))
    if strange:
        raise CodesignError(
            f"reference '{strange[0]}' is no objective{suggest(strange[0], list(search.objectives))}; remove it"
        )
    if search.reference and len(search.reference) < len(search.objectives):
        missing = next(name for name in search.objectives if name not in search.reference)
        raise CodesignError(f"reference has no '{missing}'; give a value for each objective, or leave reference out")
    for text in search.constraints:
        parse_condition(text)


def _beside(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The search with files named relative to its own folder."""

    def place(name: Any) -> Any:
        if not isinstance(name, str) or not name.endswith((".yaml", ".yml")) or Path(name).expanduser().is_absolute():
            return name
        return str(folder / name)

    chips = raw.get("chips")
    placed = {"chips": [place(chip) for chip in chips]} if isinstance(chips, list) else {}
    return {**raw, **placed, **({"workload": place(raw["workload"])} if "workload" in raw else {})}
