"""The mapping in a YAML file, or one line that says why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from memgrain.inputs.keys import in_line

try:
    from yaml import CSafeLoader as SafeLoader  # a chip in 13 ms instead of 50, the largest kernel in 1.5 instead of 11
except ImportError:  # PyYAML without its parser in C
    from yaml import SafeLoader  # type: ignore[assignment]

_TEXT = "tag:yaml.org,2002:str"


class Loader(SafeLoader):
    """YAML in which a key may stand once in a mapping: the plain loader silently keeps the last one."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if type(node) is yaml.ScalarNode and node.tag == _TEXT:  # four of five nodes of a chip need no constructor
            return node.value
        return super().construct_object(node, deep)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        pairs, own = node.value, tuple(node.value)
        found = super().construct_mapping(node, deep)
        if len(found) < len(own) or node.value is not pairs:  # replaced where the mapping merges another one, `<<`
            _check_twice(own, node.start_mark)
        return found


def _check_twice(pairs: tuple[tuple[yaml.Node, yaml.Node], ...], mark: yaml.Mark) -> None:
    seen = set[str]()
    for key in (key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode)):
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key '{key}' stands twice", mark)
        seen.add(key)


def read_mapping(path: Path, mend: str, error: type[ValueError], instead: str = "check the path") -> dict[str, Any]:
    """The mapping in a file; raises `error` with one line.

    `mend` says what to do where the file holds no mapping, `instead` where it cannot be read.
    """
    try:
        raw: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except (OSError, UnicodeDecodeError) as found:
        reason = getattr(found, "strerror", None) or "not UTF-8 text"
        raise error(f"{path}: cannot be read ({reason}); {instead}") from None
    except yaml.YAMLError as found:
        raise error(f"{path.name}: not valid YAML ({in_line(found)}); mend the syntax") from None
    if not isinstance(raw, dict):
        raise error(f"{path.name}: expected a mapping of keys, got {type(raw).__name__}; {mend}")
    return raw
