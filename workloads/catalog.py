"""Catalogs of the package: folders of YAML files, one entry a file, such as kernels and models."""

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
    """The entry in a YAML file, named after the file; `known` are the names to suggest if the file cannot be read.

    Raises WorkloadError, in one line, if the file cannot be read or is wrong.
    """
    raw = read_mapping(path, "begin with title:", WorkloadError, f"name one of {', '.join(known)}")
    return validate(spec, {**raw, "name": path.stem}, path.name, WorkloadError)
