"""From what pydantic finds wrong with a workload's keys to one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from memgrain.workloads.errors import WorkloadError

Spec = TypeVar("Spec", bound=BaseModel)


def checked(model: type[Spec], raw: Mapping[str, object], source: str) -> Spec:
    """What a raw mapping says; errors as WorkloadError in one line that begins with `source`."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise WorkloadError(f"{source}: {_explain(error.errors(), known_keys(model))}") from None


def known_keys(model: type[BaseModel]) -> list[str]:
    """Every dotted key that a workload of that kind may have."""
    return sorted(set(_keys(model, "")))


def _explain(errors: list[ErrorDetails], keys: list[str]) -> str:
    """One line for the deepest thing that pydantic found wrong; the members of a union are named together."""
    error = max(errors, key=lambda found: _dotted(found, keys).count("."))
    key, kind, context, got = _dotted(error, keys), error["type"], error.get("ctx", {}), error["input"]
    name = key.rpartition(".")[2]
    if kind == "extra_forbidden":
        return f"unknown key '{name}' @ {key}; {closest(key, keys)}"
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
    return f"expected {' or '.join(dict.fromkeys(rules))}, got {shown(got)} @ {key or 'the top'}; {mend}"


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


def closest(key: str, keys: list[str]) -> str:
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


def in_line(error: object) -> str:
    return " ".join(str(error).split())


def shown(value: object) -> str:
    text = in_line(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


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
