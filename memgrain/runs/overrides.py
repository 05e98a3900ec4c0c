"""Dotted overrides: parsed from text, and split into those of the chip and those of the workload."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip, load_chip
from memgrain.inputs.spelling import suggest
from memgrain.workloads import KINDS

CHIP = "chip."
_NUMBER = re.compile(r"^[+-]?[0-9.]+[eE][+-]?[0-9]+$")
"""A float that YAML 1.1 reads as a text: 1e-2."""


def parse(pairs: Iterable[str]) -> dict[str, Any]:
    """Overrides from texts such as 'l2.ways=32'; a value is read as YAML reads it, 1e-2 as a number too."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise MemgrainError(f"cannot read '{pair}': expected KEY=VALUE such as l2.ways=32")
        if key.strip() in found:
            raise MemgrainError(f"'{key.strip()}' is set twice; drop one")
        found[key.strip()] = parse_value(text.strip())
    return found


def split(overrides: Mapping[str, Any], chip: str | Path | Chip) -> tuple[dict[str, Any], dict[str, Any]]:
    """The overrides of the chip and those of the workload, by the first part of each key.

    Names of cores, levels and fields of the chip go to the chip, fields of a workload to the workload; 'chip.' in front
    says it outright. Raises MemgrainError for a key that fits neither or both.
    """
    spec = load_chip(chip)
    ours, theirs = chip_keys(spec), sorted({name for kind in KINDS.values() for name in kind.model_fields})
    to_chip: dict[str, Any] = {}
    to_workload: dict[str, Any] = {}
    for key, value in overrides.items():
        first = key.split(".")[0]
        if key.startswith(CHIP):
            to_chip[key.removeprefix(CHIP)] = value
        elif first in ours and first in theirs:
            raise MemgrainError(f"'{key}' could be the chip's or the workload's; write 'chip.{key}' for the chip's")
        elif first in ours:
            to_chip[key] = value
        elif first in theirs:
            to_workload[key] = value
        else:
            raise MemgrainError(
                f"no '{first}' to set{suggest(first, ours + theirs)}; {spec.name} has {', '.join(ours)}; "
                f"a workload has {', '.join(theirs)}"
            )
    return to_chip, to_workload


def chip_keys(chip: Chip) -> list[str]:
    """First parts of the overrides of a chip: its cores, its levels, its own numbers."""
    cores = [core.name for core in chip.cores]
    levels = [level.name for core in chip.cores for level in core.near] + [level.name for level in chip.memory]
    return [
        *cores,
        *levels,
        "architecture",
        "pages",
        "launch_overhead",
        "mixed_launch",
        "dispatch",
        "barrier",
        "exchange",
        "interconnect",
    ]


def columns(chip_set: Mapping[str, Any], workload_set: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides as the columns of a row, the workload's first: 'shape.head_dim', 'chip.l2.ways'."""
    return {**workload_set, **{CHIP + key: value for key, value in chip_set.items()}}


def parse_value(text: str) -> Any:
    """A value as YAML reads it, 1e-2 as a number too; raises MemgrainError."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise MemgrainError(f"cannot read the value '{text}'; write a number, a text or a YAML list") from None
    if isinstance(value, str) and _NUMBER.match(value):
        return float(value)
    return value
