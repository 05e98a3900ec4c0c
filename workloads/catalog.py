"""Descriptions that come with the package as YAML, one file a name: read and checked, with errors in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from memgrain.workloads.errors import WorkloadError

try:
    from yaml import CSafeLoader as SafeLoader  # the largest kernel in 1.5 ms instead of 11
except ImportError:  # PyYAML without its parser in C
    from yaml import SafeLoader  # type: ignore[assignment]

Described = TypeVar("Described", bound=BaseModel)


def read_described(path: Path, spec: type[Described], known: Sequence[str]) -> Described:
    """The description in a YAML file, its name being the file's; `known` are the names that could be meant instead.

    Raises WorkloadError, in one line, if the file cannot be read or says something else.
    """
    try:
        raw: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise WorkloadError(f"{path.name}: cannot be read ({reason}); name one of {', '.join(known)}") from None
    except yaml.YAMLError as error:
        raise WorkloadError(f"{path.name}: not valid YAML ({' '.join(str(error).split())}); mend the line") from None
    if not isinstance(raw, dict):
        raise WorkloadError(f"{path.name}: expected a mapping of keys, got {type(raw).__name__}; begin with title:")
    try:
        return spec.model_validate({**raw, "name": path.stem})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top"
        raise WorkloadError(
            f"{path.name}: {' '.join(first['msg'].removeprefix('Value error, ').split())} @ {where}; correct it"
        ) from None
