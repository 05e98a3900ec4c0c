"""From a YAML file and overrides to a workload, and from what is wrong with them to one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from workloads.errors import WorkloadError
from workloads.gemm import Gemm
from workloads.indexed import Indexed
from workloads.matrix import Elementwise, MatrixRead
from workloads.workload import Workload

AnyWorkload = Workload | Indexed | MatrixRead | Elementwise | Gemm
KINDS: dict[str, type[Workload] | type[Indexed] | type[MatrixRead] | type[Elementwise] | type[Gemm]] = {
    "attention": Workload,
    "indexed": Indexed,
    "matrix_read": MatrixRead,
    "elementwise": Elementwise,
    "gemm": Gemm,
}
"""What a workload may be, by its kind."""


def load_workload(path: str | Path, overrides: Mapping[str, object] | None = None) -> Workload:
    """The attention workload of a YAML file; see `load_any`."""
    return _attention(load_any(path, overrides), Path(path).name)


def load_any(path: str | Path, overrides: Mapping[str, object] | None = None) -> AnyWorkload:
    """The workload of a YAML file, of whatever kind.

    `overrides` maps dotted keys ("shape.head_dim") to values and is applied before validation; strings are read as
    YAML. Raises WorkloadError, in one line that names the file, the value, the rule, the key and the mend.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise WorkloadError(f"{path.name}: cannot be read ({_line(error)}); give a YAML file of a workload") from None
    except yaml.YAMLError as error:
        raise WorkloadError(f"{path.name}: not valid YAML ({_line(error)}); mend the line") from None
    if not isinstance(raw, dict):
        raise WorkloadError(f"{path.name}: expected a mapping, got {_shown(raw)}; begin with kind: attention")
    for key, value in (overrides or {}).items():
        _override(raw, key, value, path.name)
    selection = raw.get("selection")
    if isinstance(selection, dict) and isinstance(selection.get("path"), str):
        selection["path"] = str(path.parent / selection["path"])
    if isinstance(raw.get("kernel"), str) and raw["kernel"].endswith((".yaml", ".yml")):
        raw["kernel"] = str(path.parent / raw["kernel"])
    return parse_any(raw, path.name)


def parse_workload(raw: Mapping[str, object], source: str = "workload") -> Workload:
    """The attention workload of a raw mapping; errors as WorkloadError in one line that begins with `source`."""
    return _attention(parse_any(raw, source), source)


def parse_any(raw: Mapping[str, object], source: str = "workload") -> AnyWorkload:
    """The workload of a raw mapping, of any kind; errors as WorkloadError in one line that begins with `source`."""
    model = _model(raw)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise WorkloadError(f"{source}: {_explain(error.errors(), known_keys(model))}") from None


def known_keys(model: type[BaseModel] = Workload) -> list[str]:
    """Every dotted key that a workload of that kind may have."""
    return sorted(set(_keys(model, "")))


def _model(raw: Mapping[str, object]) -> type[AnyWorkload]:
    """What a raw mapping is to be read as: what its kind says, else attention, which then says what is wrong."""
    return KINDS.get(str(raw.get("kind")), Workload)


def _attention(found: AnyWorkload, source: str) -> Workload:
    if isinstance(found, Workload):
        return found
    raise WorkloadError(f"{source}: kind is {found.kind}, and this needs an attention workload; give kind: attention")


def _override(raw: dict[str, Any], key: str, value: object, source: str) -> None:
    """Set dotted `key` in `raw`; `value` as YAML if it is a string."""
    keys = known_keys(_model(raw))
    if key not in keys:
        raise WorkloadError(f"{source}: unknown key '{key}' in the overrides; {_closest(key, keys)}")
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise WorkloadError(f"{source}: override {key} is not valid YAML ({_line(error)}); quote it") from None
    *path, last = key.split(".")
    at = raw
    for name in path:
        inner = at.get(name)
        if inner is None:
            inner = {}
        if not isinstance(inner, dict):
            inner = dict.fromkeys("qkvo", inner) if name == "dtype" else {}
        at[name] = at = dict(inner)
    at[last] = value


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield prefix + name
        for inner in _models(info.annotation):
            yield from _keys(inner, f"{prefix}{name}.")


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _explain(errors: list[ErrorDetails], keys: list[str]) -> str:
    """One line for the deepest thing that pydantic found wrong; the members of a union are named together."""
    error = max(errors, key=lambda found: _dotted(found, keys).count("."))
    key, kind, context, got = _dotted(error, keys), error["type"], error.get("ctx", {}), error["input"]
    name = key.rpartition(".")[2]
    if kind == "extra_forbidden":
        return f"unknown key '{name}' @ {key}; {_closest(key, keys)}"
    if kind == "missing":
        return f"expected a value, got nothing @ {key}; add {name}:"
    if kind == "union_tag_not_found":
        return f"expected a kind, got nothing @ {key}.kind; add kind:"
    if kind == "union_tag_invalid":
        return f"expected one of {context['expected_tags']}, got '{context['tag']}' @ {key}.kind; {_pick(context)}"
    if kind == "value_error":
        return f"{context.get('error', error['msg'])}" + (f" @ {key}" if key else "")
    rules = [_rule(name, found) for found in errors if _dotted(found, keys) == key]
    mend = f"set {rules[0]}" if rules[0].startswith(f"{name} ") else f"give {rules[0]}"
    return f"expected {' or '.join(dict.fromkeys(rules))}, got {_shown(got)} @ {key or 'the top'}; {mend}"


def _rule(name: str, error: ErrorDetails) -> str:
    """What a value should have been."""
    context = error.get("ctx", {})
    for bound, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        if bound in context:
            limit = context[bound]
            return f"{name} {sign} {int(limit) if limit == int(limit) else limit}"
    if error["type"] == "literal_error":
        return str(context["expected"])
    if error["type"] in ("model_type", "model_attributes_type"):
        return "a mapping"
    if error["type"] == "tuple_type":
        return "a list"
    message = error["msg"].removeprefix("Input should be ").removeprefix("String should have ")
    return message.removeprefix("a valid ").partition(",")[0]


def _pick(context: Mapping[str, Any]) -> str:
    tags = str(context["expected_tags"]).replace("'", "").split(", ")
    close = difflib.get_close_matches(str(context["tag"]), tags, 1)
    return f"did you mean '{close[0]}'?" if close else "choose one of them"


def _closest(key: str, keys: list[str]) -> str:
    """The mend for a key that does not exist."""
    siblings = [k for k in keys if k.rpartition(".")[0] == key.rpartition(".")[0]]
    close = difflib.get_close_matches(key, siblings, 3, 0.5) or difflib.get_close_matches(key, keys, 3, 0.5)
    return f"did you mean {' or '.join(repr(k) for k in close)}?" if close else "leave it out"


def _dotted(error: ErrorDetails, known: list[str]) -> str:
    """The key in the file: without the names of union members that pydantic puts between."""
    path = ""
    for part in map(str, error["loc"]):
        dotted = f"{path}.{part}" if path else part
        path = dotted if dotted in known else path
    if error["type"] == "extra_forbidden":
        last = str(error["loc"][-1])
        path = f"{path}.{last}" if path else last
    return path


def _line(error: object) -> str:
    return " ".join(str(error).split())


def _shown(value: object) -> str:
    text = _line(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
