"""Load the costs of a chip or a site from YAML: `extends`, sources, user overrides, and one-line errors.

A number is written `price: {value: 30000 USD, kind: derived, source: KEY, range: [25000 USD, 40000 USD], reason: ...}`
as in chip files. `source` is a key of the file's `sources`, or a list of keys. A number without a source is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from memgrain.cost.spec import ChipCost, Site
from memgrain.errors import MemgrainError
from memgrain.hwmodels.record import Spec
from memgrain.inputs.keys import closest, known_keys, validate
from memgrain.inputs.spelling import suggest
from memgrain.inputs.yaml_file import read_mapping

FOLDER = Path(__file__).parent
SITE = FOLDER / "site.yaml"
SET = "set by the user"
"""Source of an overridden number."""
_Record = TypeVar("_Record", bound=Spec)


def cost_names() -> list[str]:
    """Names of the chips with costs in the package."""
    return sorted(path.stem for path in (FOLDER / "chips").glob("*.yaml"))


def load_cost(name: str | Path, changes: Mapping[str, Any] | None = None) -> ChipCost:
    """Load the costs of a chip by its name or from a YAML file. `changes` overrides numbers, as in {"price": "20000
    USD"}.

    Raises MemgrainError if there is no such file or if the file or a number is invalid.
    """
    path = _find(name)
    return _record(ChipCost, {**_tree(path, ()), "name": path.stem}, changes or {}, path.name)


def load_site(path: Path | None = None, changes: Mapping[str, Any] | None = None) -> Site:
    """Load the package's site, or the one in `path`. `changes` overrides numbers, as in {"pue": 1.1}. Errors as in
    `load_cost`."""
    return _record(Site, _tree(path or SITE, ()), changes or {}, (path or SITE).name)


def _find(name: str | Path) -> Path:
    known = cost_names()
    if str(name) in known:
        return FOLDER / "chips" / f"{name}.yaml"
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml"):
        return path
    raise MemgrainError(
        f"no costs of a chip '{name}'{suggest(str(name), known)}; known: {', '.join(known)}; or give a .yaml file of "
        "costs as prices"
    )


def _tree(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The content of a file with source keys replaced by citations, merged over the file that it extends."""
    if path in seen:
        raise MemgrainError(
            f"{path.name}: extends itself by way of {' -> '.join(p.name for p in seen)}; break the circle"
        )
    raw = read_mapping(path, "begin with price:", MemgrainError)
    sources, parent = raw.pop("sources", None) or {}, raw.pop("extends", None)
    if not isinstance(sources, dict):
        raise MemgrainError(f"{path.name}: sources must map keys to citations, got {type(sources).__name__} @ sources")
    tree = {key: _cited(node, sources, f"{path.name}: {{}} @ {key}") for key, node in raw.items()}
    if parent is None:
        return tree
    beside = path.parent / f"{parent}.yaml"
    base = _tree(beside if beside.exists() else _find(parent), (*seen, path))
    return {key: _laid(base.get(key), tree.get(key, base.get(key))) for key in {**base, **tree}}


def _cited(node: Any, sources: Mapping[str, Any], error: str) -> Any:
    """`node` with source keys replaced by citations."""
    if not isinstance(node, dict):
        return node
    if "value" not in node:
        return {key: _cited(item, sources, f"{error}.{key}") for key, item in node.items()}
    if "source" not in node:
        raise MemgrainError(error.format("number without a source; add one"))
    keys = node["source"] if isinstance(node["source"], list) else [node["source"]]
    for key in keys:
        if not sources.get(key):
            raise MemgrainError(error.format(f"source '{key}' is not listed under sources; add it there"))
    return {**node, "source": "; ".join(str(sources[key]) for key in keys)}


def _laid(base: Any, top: Any) -> Any:
    """Merge `top` over `base`: a number is replaced as a whole, a mapping of numbers key by key."""
    if isinstance(base, dict) and isinstance(top, dict) and "value" not in base:
        return {**base, **top}
    return top


def _record(model: type[_Record], tree: dict[str, Any], changes: Mapping[str, Any], file: str) -> _Record:
    for dotted, value in changes.items():
        *outer, last = dotted.split(".")
        node = tree
        for key in outer:
            node = node.get(key, {})
        if not isinstance(node, dict) or not (
            (isinstance(node.get(last), dict) and "value" in node[last]) or last == "server"
        ):
            raise MemgrainError(f"{file}: no number '{dotted}' to set; {closest(dotted, known_keys(model))}")
        node[last] = {"value": value, "kind": "override", "source": SET}
    return validate(model, tree, file, MemgrainError)
