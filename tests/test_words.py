"""Words that the project no longer uses: a private word where the field has one, a name of something that is gone.

To retire a word, replace it in the rooms that use it and add it to `RETIRED`, first for those rooms, then for all.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
ENDINGS = {".py", ".yaml", ".md", ".toml"}
TEXTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "DESIGN.md",
    "DEVIATIONS.md",
    "Makefile",
    "pyproject.toml",
    "docs",
)
CODE = ("hwmodels", "workloads", "sim", "memgrain", "measurements", "tests", "notebooks")
FLOOR_1 = ("hwmodels", "workloads", "memgrain/inputs", "measurements")
HOUSE = ("hwmodels", "workloads", "sim", "memgrain", "measurements", "docs", *TEXTS)


class Word(NamedTuple):
    """A retired word."""

    pattern: str
    """A regular expression for the whole word, in any case."""
    instead: str
    """What to write."""
    rooms: tuple[str, ...] = (*CODE, *TEXTS)
    """Folders and files in which it is retired."""
    endings: frozenset[str] = frozenset(ENDINGS | {""})
    """Endings of the files that are searched there."""


PYTHON = frozenset({".py"})
RETIRED = (
    Word("codesign", "memgrain"),
    Word("key_errors", "memgrain.inputs.keys"),
    Word("read_described", "read_entry"),
    Word(r"sim/compiled", "sim/engine, sim/cache or sim/native", ("hwmodels", "workloads", "memgrain")),
    Word("told", "named, given, distinguished", FLOOR_1, PYTHON),
    Word("asked|asks", "call, workload, request; requested", FLOOR_1, PYTHON),
    Word("reckon(s|ed|ing)?", "estimate", HOUSE),
    Word("cohorts?", "set group", HOUSE),
    Word("bundles?", "resident run", HOUSE),
    Word("leaders?", "representative", HOUSE),
    Word("flights", "outstanding loads", HOUSE),
    Word("loosens?", "invalidate", ("sim",)),
    Word("agenda", "event queue", HOUSE),
    Word("lattices?", "candidate grid", HOUSE),
    Word("waste[ds]?", "over-fetch", FLOOR_1),
)


def files(rooms: tuple[str, ...], endings: frozenset[str]) -> list[Path]:
    """The files of some rooms, links to other rooms and this file aside."""
    found = []
    for room in rooms:
        path = ROOT / room
        inside = path.rglob("*") if path.is_dir() else [path]
        found += [file for file in inside if file.is_file() and file.suffix in endings and file != Path(__file__)]
    return [file for file in found if "__pycache__" not in file.parts]


@pytest.mark.parametrize("word", RETIRED, ids=lambda word: word.pattern)
def test_a_retired_word_is_not_used(word: Word) -> None:
    pattern = re.compile(rf"(?<![\w-])({word.pattern})(?![\w-])", re.IGNORECASE)
    used = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for file in files(word.rooms, word.endings)
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not used, f"write {word.instead} instead of these:\n" + "\n".join(used)


def test_no_message_below_the_command_line_names_an_option_of_it() -> None:
    """Its readers may have called a function, which has parameters."""
    found = []
    for path in files(("hwmodels", "workloads", "sim", "memgrain"), PYTHON):
        if (ROOT / "memgrain" / "cli") in path.parents:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = [
            part.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Raise)
            for part in ast.walk(node)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        found += [f"{path.name}: {text}" for text in texts if re.search(r"(^|[\s('])(--[a-z]|-[a-z]\b)", text)]
    assert not found
