"""From YAML to a chip's costs and to a site: `extends`, sources, numbers set by the user, and errors of one line.

A number is written `price: {value: 30000 USD, kind: derived, source: KEY, range: [25000 USD, 40000 USD], reason: ...}`
as chips write theirs; `source` is a key of the file's `sources`, or a list of them. A number without is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from memgrain.cost.spec import ChipCost, Site
from memgrain.errors import CodesignError
from memgrain.hwmodels.record import Spec
from memgrain.inputs.keys import closest, known_keys, validate
from memgrain.runs.shipped import suggest
from memgrain.runs.yaml_file import read_mapping

FOLDER = Path(__file__).parent
SITE = FOLDER / "site.yaml"
SET = "set by the user"
"""Source of a number that was overridden."""
_Record = TypeVar("_Record", bound=Spec)


def cost_names() -> list[str]:
    """Names of the chips whose costs come with the package."""
    return sorted(path.stem for path in (FOLDER / "chips").glob("*.yaml"))


def load_cost(name: str | Path, changes: Mapping[str, Any] | None = None) -> ChipCost:
    """The costs of the chip of that name, or of that YAML file, with numbers such as {"price": "20000 USD"} set.

    Raises CodesignError if there are none, or if the file or a number is wrong.
    """
    path = _find(name)
    return _record(ChipCost, {**_tree(path, ()), "name": path.stem}, changes or {}, path.name)


def load_site(path: Path | None = None, changes: Mapping[str, Any] | None = None) -> Site:
    """The site that comes with the package, or that of a file, with numbers such as {"pue": 1.1} set; errors as
    `load_cost`."""
    return _record(Site, _tree(path or SITE, ()), changes or {}, (path or SITE).name)


def _find(name: str | Path) -> Path:
    known = cost_names()
    if str(name) in known:
        return FOLDER / "chips" / f"{name}.yaml"
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml"):
        return path
    raise CodesignError(
        f"no costs of a chip '{name}'{suggest(str(name), known)}; known: {', '.join(known)}; or give a .yaml file of "
        "costs with --prices"
    )


def _tree(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The numbers of a file with citations in place of keys, on top of those of the file that it extends."""
    if path in seen:
        raise CodesignError(
            f"{path.name}: extends itself by way of {' -> '.join(p.name for p in seen)}; break the circle"
        )
    raw = read_mapping(path, "begin with price:")
    sources, parent = raw.pop("sources", None) or {}, raw.pop("extends", None)
    if not isinstance(sources, dict):
        raise CodesignError(f"{path.name}: sources must map keys to citations, got {type(sources).__name__} @ sources")
    tree = {key: _cited(node, sources, f"{path.name}: {{}} @ {key}") for key, node in raw.items()}
    if parent is None:
        return tree
    beside = path.parent / f"{parent}.yaml"
    base = _tree(beside if beside.exists() else _find(parent), (*seen, path))
    return {key: _laid(base.get(key), tree.get(key, base.get(key))) for key in {**base, **tree}}


def _cited(node: Any, sources: Mapping[str, Any], error: str) -> Any:
    """`node` with citations in place of the keys of sources."""
    if not isinstance(node, dict):
        return node
    if "value" not in node:
        return {key: _cited(item, sources, f"{error}.{key}") for key, item in node.items()}
    if "source" not in node:
        raise CodesignError(error.format("number without a source; add one"))
    keys = node["source"] if isinstance(node["source"], list) else [node["source"]]
    for key in keys:
        if not sources.get(key):
            raise CodesignError(error.format(f"source '{key}' is not listed under sources; add it there"))
    return {**node, "source": "; ".join(str(sources[key]) for key in keys)}


def _laid(base: Any, top: Any) -> Any:
    """`top` over `base`: numbers are replaced as a whole, what holds numbers is laid key by key."""
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
            raise CodesignError(f"{file}: no number '{dotted}' to set; {closest(dotted, known_keys(model))}")
        node[last] = {"value": value, "kind": "override", "source": SET}
    return validate(model, tree, file, CodesignError)
