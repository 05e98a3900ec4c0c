"""Load a chip from YAML: `extends`, named records, dotted overrides, provenance, and errors that name the mend.

Any value may carry its provenance: `ways: {value: 16, kind: vendor, source: KEY}`. `kind` is measured, vendor, derived
or assumed. `source` is a key of the file's `sources`. `range: [low, high]` gives the values of other sources, or the
conceivable ones. `reason` justifies an assumption. If `value` is a mapping, the provenance holds for every number in
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from memgrain.hwmodels.errors import HardwareError
from memgrain.hwmodels.interconnect import Interconnect, Protocol, Tier
from memgrain.hwmodels.spec import Cache, Chip, Core, Pages, Scratchpad
from memgrain.hwmodels.standard import DramStandard
from memgrain.inputs.keys import validate
from memgrain.inputs.spelling import suggest
from memgrain.inputs.yaml_file import Loader, read_mapping

FOLDER = Path(__file__).parent
KINDS = ("measured", "vendor", "derived", "assumed")
_KEYS = {"value", "kind", "source", "range", "reason"}
_OPTIONAL = {
    name
    for model in (Cache, Chip, Core, Pages, Scratchpad, Interconnect, Tier, Protocol)
    for name, field in model.model_fields.items()
    if not field.is_required()
}


@dataclass(frozen=True)
class Provenance:
    """The provenance of one number."""

    path: str
    """Dotted name of the number, as in an override."""
    value: Any
    """The value as written, with its unit."""
    kind: str
    """measured, vendor, derived or assumed; 'override' if a user set it, 'unsourced' if the file does not say."""
    source: str
    """The citation."""
    range: tuple[Any, Any] | None
    """Lowest and highest conceivable value, as written; None where all sources agree."""
    reason: str
    """The justification of an assumption."""


@dataclass(frozen=True)
class ChipFile:
    """A chip with the provenance of its numbers."""

    chip: Chip
    """The validated chip."""
    provenance: dict[str, Provenance]
    """The provenance of each number, by dotted name."""


def chip_names() -> list[str]:
    """Names of the chips that come with the package."""
    return sorted(path.stem for path in (FOLDER / "chips").glob("*.yaml"))


def standard_names() -> list[str]:
    """Names of the DRAM standards that come with the package."""
    return sorted(path.stem for path in (FOLDER / "dram").glob("*.yaml"))


def load_chip(name: str | Path | Chip, overrides: Mapping[str, Any] | None = None) -> Chip:
    """The chip of that name, or of that YAML file, with dotted overrides such as {"l2.ways": 32} applied.

    A loaded chip is returned as it is, so that functions take either. Raises HardwareError if there is no such chip,
    the file or an override is wrong, or overrides are given for a loaded chip.
    """
    if isinstance(name, Chip) and not overrides:
        return name
    return read_chip(name, overrides).chip


def read_chip(name: str | Path | Chip, overrides: Mapping[str, Any] | None = None) -> ChipFile:
    """Like `load_chip`, with the provenance of every number, which only the chip's file has."""
    if isinstance(name, Chip):
        raise HardwareError(
            f"{name.name} is a loaded chip, without the ranges and sources of its file; give its name or its "
            f"YAML file, and overrides beside it"
        )
    path = _find(name, "chips", "chip", chip_names())
    tree, provenance = _read(path, [])
    _embed_standards(tree, path, provenance)
    for dotted, value in (overrides or {}).items():
        _override(tree, dotted, value, path.name)
        _embed_standards(tree, path, provenance)
        provenance[dotted] = Provenance(dotted, value, "override", "set by the user", None, "")
    return ChipFile(validate(Chip, {**tree, "name": path.stem}, path.name, HardwareError), provenance)


def load_standard(name: str | Path) -> DramStandard:
    """The DRAM standard of that name, or of that YAML file; raises HardwareError if it is missing or wrong."""
    path = _find(name, "dram", "DRAM standard", standard_names())
    tree, _ = _read(path, [])
    return validate(DramStandard, {**tree, "name": path.stem}, path.name, HardwareError)


def _find(name: str | Path, folder: str, what: str, known: list[str]) -> Path:
    if str(name).endswith((".yaml", ".yml")):
        return Path(name)
    if str(name) in known:
        return FOLDER / folder / f"{name}.yaml"
    raise HardwareError(
        f"no {what} '{name}'{suggest(str(name), known)}; known: {', '.join(known)}; or give a .yaml file"
    )


def _read(path: Path, seen: list[Path]) -> tuple[dict[str, Any], dict[str, Provenance]]:
    """The mapping of a file without provenance, merged over the file that it extends; and the provenance by dotted
    name."""
    if path in seen:
        raise HardwareError(
            f"{path.name}: extends itself by way of {' -> '.join(p.name for p in seen)}; break the circle"
        )
    raw = read_mapping(path, "see hwmodels/chips/toy.yaml", HardwareError)
    sources = raw.pop("sources", None) or {}
    if not isinstance(sources, dict):
        raise HardwareError(f"{path.name}: sources must map keys to citations, got {type(sources).__name__} @ sources")
    parent = raw.pop("extends", None)
    found: dict[str, Provenance] = {}
    tree = _strip(raw, "", None, sources, path.name, found)
    if parent is None:
        return tree, found
    beside = path.parent / f"{parent}.yaml"
    base, inherited = _read(beside if beside.exists() else _find(parent, "chips", "chip", chip_names()), [*seen, path])
    merged = _merge(base, tree)
    _check_kinds(merged, base, path.name)
    return merged, {**inherited, **found}


def _check_kinds(tree: dict[str, Any], base: dict[str, Any], file: str) -> None:
    """Raise HardwareError for a level without a kind: its name is misspelt, or it is new and needs one."""
    known = [str(level["name"]) for level in _records(base.get("memory", [])) if "kind" in level]
    for level in _records(tree.get("memory", [])):
        if "kind" not in level:
            name = level["name"]
            raise HardwareError(
                f"{file}: level '{name}' has no kind and does not extend one{suggest(str(name), known)}; add kind: "
                f"cache, scratchpad, link or dram, or correct the name @ {name}"
            )


def _strip(
    node: Any,
    path: str,
    around: dict[str, Any] | None,
    sources: dict[str, str],
    file: str,
    found: dict[str, Provenance],
) -> Any:
    """Return `node` without provenance and record that in `found`; `around` is the provenance of an enclosing value."""
    if isinstance(node, dict) and "value" in node and set(node) <= _KEYS:
        if node.get("kind") not in KINDS:
            raise HardwareError(f"{file}: kind {node.get('kind')!r} is none of {', '.join(KINDS)} @ {path}")
        if node.get("source") is not None and str(node["source"]) not in sources:
            raise HardwareError(f"{file}: source '{node['source']}' is not listed under sources @ {path}; add it there")
        if node.get("range") is not None and not (isinstance(node["range"], list) and len(node["range"]) == 2):
            raise HardwareError(f"{file}: range must be [lowest, highest], got {node['range']!r} @ {path}")
        if node["kind"] == "assumed" and (not node.get("reason") or not node.get("range")):
            raise HardwareError(f"{file}: an assumed value needs a range and a reason @ {path}")
        return _strip(node["value"], path, node, sources, file, found)
    if isinstance(node, dict):
        return {
            key: _strip(item, f"{path}.{key}" if path else str(key), around, sources, file, found)
            for key, item in node.items()
        }
    if isinstance(node, list):
        return [_strip(item, _named(path, item, i), around, sources, file, found) for i, item in enumerate(node)]
    if not isinstance(node, str) or node[:1].isdigit() or around:
        given = around or {}
        limits = given.get("range")
        found[path] = Provenance(
            path,
            node,
            given.get("kind", "unsourced"),
            str(sources.get(str(given.get("source")), "")),
            (limits[0], limits[1]) if limits else None,
            given.get("reason", ""),
        )
    return node


def _named(path: str, item: Any, i: int) -> str:
    """Dotted name of an item of a list: its own name where it has one, as in overrides."""
    return str(item["name"]) if isinstance(item, dict) and "name" in item else f"{path}.{i}"


def _merge(base: Any, top: Any) -> Any:
    """Merge `top` over `base`: mappings by key, lists of named records by name; anything else is replaced."""
    if isinstance(base, dict) and isinstance(top, dict):
        return {
            key: _merge(base[key], top[key]) if key in base and key in top else top.get(key, base.get(key))
            for key in [*base, *(key for key in top if key not in base)]
        }
    if (
        isinstance(base, list)
        and isinstance(top, list)
        and all(isinstance(x, dict) and isinstance(x.get("name"), str) for x in base + top)
    ):
        names = [item["name"] for item in base]
        over = {item["name"]: item for item in top}
        return [_merge(item, over.get(item["name"], {})) for item in base] + [x for x in top if x["name"] not in names]
    return top


def _records(node: Any) -> Iterator[dict[str, Any]]:
    """Every core or level inside `node`: mappings with a name, except DRAM standards."""
    if isinstance(node, dict):
        if "name" in node:
            yield node
        for key, item in node.items():
            if key != "standard":
                yield from _records(item)
    elif isinstance(node, list):
        for item in node:
            yield from _records(item)


def _override(tree: dict[str, Any], dotted: str, value: Any, file: str) -> None:
    """Set the number at a dotted key; a text is parsed as YAML."""
    first, *rest = dotted.split(".")
    records = {record["name"]: record for record in _records([tree.get("cores", []), tree.get("memory", [])])}
    node: Any = tree if not rest else records.get(first, tree.get(first))
    keys = rest or [first]
    if node is None:
        known = [*records, *Chip.model_fields]
        raise HardwareError(f"{file}: no '{first}' to override{suggest(first, known)}; known: {', '.join(known)}")
    for key in keys[:-1]:
        if isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            node = node.get(key) if isinstance(node, dict) else None
    if not isinstance(node, dict) or not (keys[-1] in node or keys[-1] in _OPTIONAL):
        known = list(node) if isinstance(node, dict) else []
        raise HardwareError(
            f"{file}: no '{dotted}' to override{suggest(keys[-1], known, 1)}; keys there: {', '.join(known)}"
        )
    try:
        node[keys[-1]] = yaml.load(value, Loader=Loader) if isinstance(value, str) else value
    except yaml.YAMLError:
        raise HardwareError(f"{file}: {value!r} is not a YAML value; quote or correct it @ {dotted}") from None


def _embed_standards(tree: dict[str, Any], path: Path, provenance: dict[str, Provenance]) -> None:
    """Replace the name of a DRAM standard by the content of its file, so that overrides can reach its numbers.

    A mapping with `extends` names the standard and lists the differences of this chip: `{extends: hbm3, timings:
    {...}}`.
    """
    for record in _records(tree.get("memory", [])):
        standard = record.get("standard")
        own = dict(standard) if isinstance(standard, dict) and "extends" in standard else {}
        name = own.pop("extends", standard)
        if not isinstance(name, str):
            continue
        beside = path.parent / f"{name}.yaml"
        found = beside if beside.exists() and beside != path else _find(name, "dram", "DRAM standard", standard_names())
        content, sources = _read(found, [])
        prefix = f"{record['name']}.standard"
        for timing in own.get("timings") or {}:
            known = list(content.get("timings", {}))
            if timing not in known:
                raise HardwareError(
                    f"{path.name}: {name} has no timing '{timing}'{suggest(str(timing), known, 1)}; known: "
                    f"{', '.join(known)} @ {prefix}.timings"
                )
        record["standard"] = _merge(content, own) | {"name": found.stem}
        changed = {item for item in provenance if own and item.startswith(f"{prefix}.")}
        for item in sources.values():
            key = f"{prefix}.{item.path}"
            if key not in changed:
                provenance[key] = replace(item, path=key)
