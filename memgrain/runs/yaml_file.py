"""Reads a mapping from a YAML file, with errors in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from memgrain.errors import MemgrainError


def read_mapping(path: Path, mend: str) -> dict[str, Any]:
    """The mapping in a file; raises MemgrainError, with `mend` where the file holds something else."""
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise MemgrainError(f"{path}: cannot be read ({reason}); check the path") from None
    except yaml.YAMLError as error:
        raise MemgrainError(f"{path.name}: not valid YAML ({' '.join(str(error).split())}); mend the syntax") from None
    if not isinstance(raw, dict):
        raise MemgrainError(f"{path.name}: expected a mapping of keys, got {type(raw).__name__}; {mend}")
    return raw
