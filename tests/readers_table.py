"""memgrain/analysis/readers.json, written from the source: the functions that read each number, found by its name."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from memgrain.analysis.explain import FieldLocation, records_with
from memgrain.analysis.readers import TABLE
from memgrain.hwmodels import Chip, chip_names, load_chip
from memgrain.inputs.keys import models_within
from memgrain.sim import METRICS
from memgrain.workloads import Workload, known_keys

ROOT = Path(__file__).parents[1]
BELOW = ("hwmodels", "workloads", "sim")
"""Packages that a checkout keeps beside `memgrain` and links to."""


@dataclass(frozen=True)
class Function:
    """A top-level function of a file, or a method of a class in it."""

    name: str
    """Its name as 'file:function'."""
    classes: frozenset[str]
    """Classes that its file imports or defines."""
    words: frozenset[str]
    """Attributes that it reads, and texts in it."""


def table() -> dict[str, list[str]]:
    """The functions that read each metric, key of a workload and number of a chip, as 'file:function'.

    A function reads a number if it reads an attribute, or contains a text, of that name. For a key of a record its file
    must import or define the class of that record, or of one around it, since other files read a number of that name
    from another record. A function of such a file that reads the name from another record is listed too.
    """
    functions = list(_functions())

    def readers(word: str, owners: set[str] | None) -> list[str]:
        return [one.name for one in functions if word in one.words and (owners is None or owners & one.classes)]

    found = {name: readers(name, None) for name in METRICS}
    for path in known_keys(Workload):
        owners = {model.__name__ for model in records_with(path)} | {"Workload"}
        found.setdefault(path, readers(path.rpartition(".")[2], owners))
    for number in _numbers():
        owners = {number.owner.__name__, *_around(number.owner)}
        found[number.dotted] = sorted({*readers(number.name, owners), *readers(number.key, owners)})
    return {name: list(of) for name, of in sorted(found.items()) if of}


def _functions() -> Iterator[Function]:
    """The functions of all source files, with paths as in a checkout: sim/simulate.py, memgrain/runs/task.py."""
    rooms = sorted(path for path in (ROOT / "memgrain").iterdir() if path.is_dir() and not path.is_symlink())
    for folder in (*(ROOT / name for name in BELOW), *rooms):
        for path in sorted(folder.rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            classes = frozenset(_classes(tree))
            for name, node in _defined(tree, ""):
                yield Function(f"{path.relative_to(ROOT).as_posix()}:{name}", classes, frozenset(_words(node)))


def _classes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def _defined(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _defined(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}", child


def _words(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _numbers() -> Iterator[FieldLocation]:
    """The fields and properties of all records of a chip, and the keys of mappings in them on the chips we have."""
    for model in (Chip, *_within(Chip)):
        own = [name for name in dir(model) if isinstance(getattr(model, name, None), property)]
        for name in (*model.model_fields, *own):
            if not hasattr(BaseModel, name):
                yield FieldLocation(model, name, None, None, name)
    for chip in chip_names():
        yield from _keys(load_chip(chip), None)


def _keys(node: Any, at: FieldLocation | None) -> Iterator[FieldLocation]:
    if isinstance(node, BaseModel):
        for name in type(node).model_fields:
            yield from _keys(getattr(node, name), FieldLocation(type(node), name, None, None, name))
    elif isinstance(node, dict) and at is not None:
        for key, value in node.items():
            inner = FieldLocation(at.owner, at.name, None, None, str(key))
            yield inner
            yield from _keys(value, inner)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _keys(item, at)


def _within(model: type[BaseModel]) -> set[type[BaseModel]]:
    """All records inside a record."""
    inner = {one for info in model.model_fields.values() for one in models_within(info.annotation)}
    return inner.union(*map(_within, inner))


def _around(model: type[BaseModel]) -> set[str]:
    """Names of the records of a chip that contain a record."""
    return {outer.__name__ for outer in (Chip, *_within(Chip)) if model in _within(outer)}


def text() -> str:
    """The content of the file."""
    return json.dumps(table(), indent=1) + "\n"


if __name__ == "__main__":
    TABLE.write_text(text(), encoding="utf-8")
