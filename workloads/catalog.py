"""Descriptions that come with the package as YAML, one file a name: read and checked, with errors in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from memgrain.inputs.keys import validate
from memgrain.inputs.yaml_file import read_mapping
from memgrain.workloads.errors import WorkloadError

Entry = TypeVar("Entry", bound=BaseModel)


def read_entry(path: Path, spec: type[Entry], known: Sequence[str]) -> Entry:
    """The description in a YAML file, its name being the file's; `known` are the names that could be meant instead.

    Raises WorkloadError, in one line, if the file cannot be read or says something else.
    """
    raw = read_mapping(path, "begin with title:", WorkloadError, f"name one of {', '.join(known)}")
    return validate(spec, {**raw, "name": path.stem}, path.name, WorkloadError)
