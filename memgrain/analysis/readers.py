"""Find the functions that read a number in the source text itself, so that the result cannot become stale."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
BELOW = ("hwmodels", "workloads", "sim")
"""Packages that a checkout keeps beside this one and links to."""


def readers(name: str, owners: frozenset[str] | None) -> list[str]:
    """Functions whose source reads an attribute, or a key in quotes, called `name`, as 'file:function'.

    With `owners`, only files that import or define one of those classes count, since other files read a number of that
    name from another record. A function in such a file that reads the name from another record is listed too.
    """
    found, word = list[str](), re.compile(rf"\b{re.escape(name)}\b")
    for where, path in _sources():
        text = path.read_text(encoding="utf-8")
        if not word.search(text):  # parsing all files takes seconds
            continue
        tree = ast.parse(text)
        if owners is None or owners & _classes(tree):
            found += [f"{where}:{function}" for function, node in _functions(tree, "") if _reads(node, name)]
    return found


def _sources() -> Iterator[tuple[str, Path]]:
    """All source files with their paths in a checkout: sim/simulate.py, memgrain/runs/task.py."""
    for name in BELOW:
        for path in sorted((ROOT / name).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path
    for folder in sorted(path for path in ROOT.iterdir() if path.is_dir() and path.name not in BELOW):
        for path in sorted(folder.rglob("*.py")):
            yield path.relative_to(ROOT.parent).as_posix(), path


def _classes(tree: ast.Module) -> set[str]:
    """Names of the classes that a file imports or defines."""
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    """The top-level functions of a file and the methods of its classes, with dotted names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}", child


def _reads(function: ast.AST, name: str) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Load))
        or (isinstance(node, ast.Constant) and node.value == name)
        for node in ast.walk(function)
    )
