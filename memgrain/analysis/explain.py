"""Meaning of a dotted name: description and unit from the specification, value and source on each chip, and the
functions that read it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from memgrain.analysis.readers import readers
from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip, ChipFile, Provenance, chip_names, read_chip
from memgrain.inputs.keys import models_within
from memgrain.inputs.quantities import format_bandwidth, format_bytes, format_duration, format_frequency
from memgrain.inputs.spelling import suggest
from memgrain.sim import METRICS
from memgrain.sim.breakdown.glossary import meaning
from memgrain.sim.breakdown.terms import TERMS
from memgrain.workloads import Workload, known_keys

_UNITS = {
    "parse_bytes": ("size in bytes, written like 50 MiB", format_bytes),
    "parse_bandwidth": ("bandwidth in bytes per second, written like 3.35 TB/s", format_bandwidth),
    "parse_duration": ("duration in picoseconds, written like 200 ns", format_duration),
    "parse_frequency": ("frequency in hertz, written like 1.85 GHz", format_frequency),
}


@dataclass(frozen=True)
class ChipValue:
    """Value of a number on one chip."""

    chip: str
    """Name of the chip."""
    text: str
    """The value with its unit."""
    provenance: Provenance | None
    """Source of the value; None if it is derived from other numbers."""


@dataclass(frozen=True)
class Explanation:
    """Everything known about a dotted name."""

    path: str
    """The name."""
    sentence: str
    """Description."""
    unit: str
    """Unit, type or choices."""
    values: list[ChipValue] = field(default_factory=list)
    """Value on each chip that has it."""
    without: list[str] = field(default_factory=list)
    """Chips without such a number."""
    readers: list[str] | None = field(default_factory=list)
    """Functions that read it, as 'file:function'; None for a name in a result."""
    change: str = ""
    """For a part of the time in a result: what to change."""


@dataclass(frozen=True)
class FieldLocation:
    """Location of a number in a chip's records."""

    owner: type[BaseModel]
    """Class of the record that contains it."""
    name: str
    """Field or property of that class."""
    value: Any
    """The number in base units."""
    info: FieldInfo | None
    """Metadata of the field; None for a property."""
    key: str
    """Last part of the dotted name: the field, or the key in a mapping inside the field."""

    @property
    def dotted(self) -> str:
        """Class, field and key as one name: 'Cache.ways', 'DramStandard.timings.tRCD'."""
        return ".".join(dict.fromkeys((self.owner.__name__, self.name, self.key)))


def explain(path: str, chip: str | None = None) -> Explanation:
    """Explain a number of a chip, a key of a workload, a metric, or a name in a result (a part of the time, a bound, a
    limit, a counter). Raises MemgrainError if the name is none of these."""
    if path in METRICS:
        metric = METRICS[path]
        return Explanation(path, metric.sentence, metric.unit or "ratio", readers=readers(path))
    if chip is None and path in known_keys(Workload):
        return _workload_key(path)
    files = [read_chip(name) for name in ([chip] if chip else chip_names())]
    found = {file.chip.name: location for file in files if (location := locate(file.chip, path)) is not None}
    if found:
        return _chip_number(path, files, found)
    if (explained := _name_in_results(path, [file.chip for file in files])) is not None:
        return explained
    known = sorted({*(name for file in files for name in file.provenance), *known_keys(Workload), *METRICS})
    where = f"on {files[0].chip.name}" if chip else "on any chip, in a workload or in a result"
    raise MemgrainError(f"no '{path}' {where}{suggest(path, known)}; 'memgrain chips NAME' lists the numbers of a chip")


def _name_in_results(path: str, chips: list[Chip]) -> Explanation | None:
    """The explanation of a name in results of these chips, or of a record of several numbers."""
    found = {chip.name: explained for chip in chips if (explained := meaning(path, chip)) is not None}
    without = [chip.name for chip in chips if chip.name not in found]
    if found:
        explained = next(iter(found.values()))
        return Explanation(path, explained.sentence, _unit_in_results(path), [], without, None, explained.change)
    for chip in chips:
        if (record := _record(chip, path)) is not None:
            return record
    return None


def _unit_in_results(path: str) -> str:
    """The unit of a name in a result."""
    last = path.rsplit(".", 1)[-1]
    if path in TERMS:
        return "a term"
    if path.startswith("stall.") or "." not in path:
        return "time, or a share of it"
    return (
        "bytes" if last.endswith("bytes") else "µs" if last.endswith("_us") else "ps" if last[-3:] == "_ps" else "count"
    )


def _chip_number(path: str, files: list[ChipFile], found: dict[str, FieldLocation]) -> Explanation:
    location = next(iter(found.values()))
    if location.info is None:
        sentence, unit, write = (
            inspect.getdoc(getattr(location.owner, location.name)) or "",
            "derived from other numbers",
            str,
        )
    else:
        sentence, (unit, write) = location.info.description or "", _unit(location.info)
    values = [
        ChipValue(name, _text(found[name].value, write), file.provenance.get(path))
        for file in files
        if (name := file.chip.name) in found
    ]
    return Explanation(
        path,
        sentence,
        unit,
        values,
        [file.chip.name for file in files if file.chip.name not in found],
        readers(location.dotted) or readers(f"{location.owner.__name__}.{location.name}"),
    )


def locate(chip: Chip, path: str) -> FieldLocation | None:
    """Locate the number with that dotted name in a chip; None if there is none."""
    location = _locate(chip, path)
    return location if location and not isinstance(location.value, BaseModel | list | dict) else None


def _locate(chip: Chip, path: str) -> FieldLocation | None:
    """Locate the number or record with that dotted name in a chip."""
    first, *rest = path.split(".")
    records = {
        record.name: record
        for record in [*chip.cores, *(level for core in chip.cores for level in core.near), *chip.memory]
    }
    node: Any = records.get(first, chip)
    parts = rest if first in records else [first, *rest]
    location: FieldLocation | None = None
    for part in parts:
        if isinstance(node, dict) and part in node and location is not None:
            location = FieldLocation(location.owner, location.name, node[part], location.info, part)
        elif isinstance(node, BaseModel) and part in type(node).model_fields:
            location = FieldLocation(type(node), part, getattr(node, part), type(node).model_fields[part], part)
        elif isinstance(node, BaseModel) and isinstance(getattr(type(node), part, None), property):
            location = FieldLocation(type(node), part, getattr(node, part), None, part)
        else:
            return None
        node = location.value
    return location


def _record(chip: Chip, path: str) -> Explanation | None:
    """The explanation of a record of several numbers of a chip, with the names of its fields."""
    cores = {core.name: core for core in chip.cores}
    location = _locate(chip, path)
    value = location.value if location is not None else cores.get(path)
    if isinstance(value, BaseModel):
        names = list(type(value).model_fields)
    elif isinstance(value, dict):
        names = list(map(str, value))
    else:
        return None
    sentence = (location.info.description if location is not None and location.info is not None else None) or ""
    sentence = sentence or inspect.getdoc(type(value)) or ""
    return Explanation(path, sentence, f"record of {', '.join(names)}; ask for {path}.{names[0]}", readers=None)


def _unit(info: FieldInfo) -> tuple[str, Any]:
    """The unit of a field in words, and the function that formats its values."""
    for item in [*info.metadata, *_metadata(info.annotation)]:
        name = getattr(getattr(item, "func", None), "__name__", "")
        if name in _UNITS:
            return _UNITS[name]
    return _type(info.annotation), str


def _metadata(annotation: Any) -> Iterator[Any]:
    """All `Annotated` metadata inside a type."""
    yield from getattr(annotation, "__metadata__", ())
    for inner in get_args(annotation):
        yield from _metadata(inner)


def _type(annotation: Any) -> str:
    """Describe a type in words."""
    plain = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    if annotation in plain:
        return plain[annotation]
    if str(get_origin(annotation)) == "typing.Literal":
        return "one of " + ", ".join(map(str, get_args(annotation)))
    inner = [_type(item) for item in get_args(annotation) if item is not type(None)]
    return " or ".join(dict.fromkeys(text for text in inner if text)) if inner else getattr(annotation, "__name__", "")


def _text(value: Any, write: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(write(value))


def _workload_key(path: str) -> Explanation:
    """The explanation of a workload's key, with the docstring of its field."""
    last = path.rpartition(".")[2]
    owners = records_with(path)
    info = owners[0].model_fields[last]
    sentences = dict.fromkeys(sentence for model in owners if (sentence := _sentence(model, last)))
    default = "" if info.is_required() else f"; {info.default} if left out"
    return Explanation(path, " / ".join(sentences), f"{_type(info.annotation)}{default}", readers=readers(path))


def records_with(path: str) -> list[type[BaseModel]]:
    """The records of a workload that have the last part of a dotted key, one for each kind that may stand there."""
    models: list[type[BaseModel]] = [Workload]
    *parts, last = path.split(".")
    for part in parts:
        models = [
            inner
            for model in models
            if part in model.model_fields
            for inner in models_within(model.model_fields[part].annotation)
        ]
    return [model for model in models if last in model.model_fields]


def _sentence(model: type[BaseModel], name: str) -> str:
    """The docstring under a field."""
    if model.model_fields[name].description:
        return str(model.model_fields[name].description)
    body = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(body, ast.ClassDef)
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.target.id == name
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            return " ".join(str(following.value.value).split())
    return ""
