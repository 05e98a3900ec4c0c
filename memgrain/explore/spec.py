"""SEARCH.yaml: the space, the objectives, the constraints, and the number of trials.

name: head_dim_for_910b
chips: [ascend_910b1]                 # with several chips, the chip varies too
workload: decode_topk                 # a shipped name, a file beside this one, or the mapping itself
set: {shape.kv_len: 32768}            # overrides of every point; keys of the chip begin with 'chip.'
space:                                # keys that vary: a list, or a range
  shape.head_dim: [64, 96, 128]
  selection.ratio: {low: 0.01, high: 0.25, log: true}
  chip.l2.capacity: {low: 96 MiB, high: 384 MiB, step: 96 MiB}
keep:                                 # fixed products; a key that is not in space is computed
  - {keys: [shape.head_dim, shape.q_heads], product: 8192}
objectives: {time_us: minimise, selection.ratio: maximise}
constraints: [dram_read_bytes <= 1 GB, quality.mass >= 0.9]
quality: {mass: {selection: tokens}}  # see memgrain/explore/quality_columns.py
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.errors import MemgrainError
from memgrain.explore.condition import Condition, parse_condition
from memgrain.explore.quality_columns import Quality
from memgrain.inputs.keys import validate
from memgrain.inputs.spelling import suggest
from memgrain.inputs.yaml_file import read_mapping
from memgrain.runs.overrides import CHIP
from memgrain.runs.shipped import find_search
from memgrain.runs.task import Task
from memgrain.runs.tune import Tune
from memgrain.sim import MODEL_VERSION
from memgrain.workloads import KINDS

KeyName = Annotated[str, Field(min_length=1)]
Direction = Literal["minimise", "maximise"]


class ValueRange(BaseModel):
    """A range of values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int | float | str = Field(description="smallest value: a number, or a quantity such as '32 MiB'")
    high: int | float | str = Field(description="largest value")
    step: int | float | str | None = Field(
        default=None, description="distance between values; absent: all values between"
    )
    log: bool = Field(default=False, description="whether proposals are uniform in the logarithm")


class FixedProduct(BaseModel):
    """A product of keys that stays fixed, such as the hidden size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: list[KeyName] = Field(
        min_length=2, description="its factors; one of them may be missing in space and is computed"
    )
    product: int = Field(ge=1, description="the product of their values")


class Search(BaseModel):
    """A search over designs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        min_length=1, pattern=r"^[\w.-]+$", description="name of the study, and of its folder if none is given"
    )
    chips: list[str] = Field(
        min_length=1, description="chips by name or file; if there are several, the chip varies too"
    )
    workload: str | dict[str, Any] = Field(description="workload by name or file, or the mapping itself")
    set: dict[KeyName, Any] = Field(default_factory=dict, description="overrides of every point")
    space: dict[KeyName, Annotated[list[Any], Field(min_length=1)] | ValueRange] = Field(
        min_length=1, description="keys that vary, each with its values or range"
    )
    keep: list[FixedProduct] = Field(default_factory=list, description="fixed products")
    objectives: dict[KeyName, Direction] = Field(min_length=1, description="columns of a row to minimise or maximise")
    constraints: list[str] = Field(default_factory=list, description="comparisons of a column that must hold")
    quality: Quality = Field(
        default_factory=Quality, description="sources of the columns quality.score and quality.mass"
    )
    reference: dict[KeyName, float] = Field(
        default_factory=dict,
        description="reference point of the hypervolume, by objective; absent: the worst of the front",
    )
    sampler: Literal["tpe", "nsga2", "random"] = Field(
        default="tpe", description="sampler that proposes the next point"
    )
    startup: int = Field(
        default=10, ge=2, description="random trials before tpe starts; with nsga2, trials per generation"
    )
    trials: int = Field(default=100, ge=1, description="number of points, including refused ones")
    seed: int = Field(default=0, ge=0, description="seed of the sampler")
    before: Literal["cold", "dirty", "warm"] = Field(default="cold", description="state of the caches before every run")
    tune: Tune = Field(default=(), description="keys of the tiling that are tuned at every point")

    @property
    def conditions(self) -> list[Condition]:
        """The parsed constraints."""
        return [parse_condition(text) for text in self.constraints]

    def task(self, chip: str, overrides: Mapping[str, Any]) -> Task:
        """The task of a point of the space, including the overrides of every point."""
        every = {**self.set, **overrides}
        on_chip = {key.removeprefix(CHIP): value for key, value in every.items() if key.startswith(CHIP)}
        rest = {key: value for key, value in every.items() if not key.startswith(CHIP)}
        return Task(chip, on_chip, self.workload, rest, self.before, self.tune)

    def digest(self) -> str:
        """SHA-256 of everything that determines the trials, except their number and the reference."""
        inputs = {**self.model_dump(mode="json", exclude={"name", "trials", "reference"}), "model": MODEL_VERSION}
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def load_search(source: str | Path | Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> Search:
    """Load a search from a file, a shipped name or a mapping, with top-level keys replaced by `changes`. Raises
    MemgrainError."""
    if isinstance(source, Mapping):
        return _validate({**source, **(changes or {})}, "the search")
    path = find_search(source)
    raw = read_mapping(path, "begin with name:", MemgrainError)
    return _validate(_beside({**raw, **(changes or {})}, path.parent), path.name)


def _validate(raw: dict[str, Any], file: str) -> Search:
    search = validate(Search, raw, file, MemgrainError)
    try:
        _check(search)
    except MemgrainError as error:
        raise MemgrainError(f"{file}: {error}") from None
    return search


def _check(search: Search) -> None:
    """Raise MemgrainError if parts of a search contradict each other."""
    both = sorted(set(search.set) & set(search.space))
    if both:
        raise MemgrainError(f"'{both[0]}' is in both set and space; remove it from one of them")
    fields = sorted({name for kind in KINDS.values() for name in kind.model_fields})
    for key in [*search.set, *search.space, *(key for kept in search.keep for key in kept.keys)]:
        first = key.split(".")[0]
        if not key.startswith(CHIP) and first not in fields:
            raise MemgrainError(
                f"a workload has no '{first}'{suggest(first, fields)}; a key of the chip begins with 'chip.': "
                f"chip.{key}"
            )
    strange = sorted(set(search.reference) - set(search.objectives))
    if strange:
        raise MemgrainError(
            f"reference '{strange[0]}' is not an objective{suggest(strange[0], list(search.objectives))}; remove it"
        )
    if search.reference and len(search.reference) < len(search.objectives):
        missing = next(name for name in search.objectives if name not in search.reference)
        raise MemgrainError(f"reference has no '{missing}'; give a value for each objective, or leave reference out")
    for text in search.constraints:
        parse_condition(text)


def _beside(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The search with relative file names resolved against its own folder."""

    def resolve(name: Any) -> Any:
        if not isinstance(name, str) or not name.endswith((".yaml", ".yml")) or Path(name).expanduser().is_absolute():
            return name
        return str(folder / name)

    chips = raw.get("chips")
    resolved = {"chips": [resolve(chip) for chip in chips]} if isinstance(chips, list) else {}
    return {**raw, **resolved, **({"workload": resolve(raw["workload"])} if "workload" in raw else {})}
