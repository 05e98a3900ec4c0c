"""A mapping checked against a pydantic model, its first error as one line: the value, the rule, the key, the mend."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from memgrain.inputs.spelling import did_you_mean

Spec = TypeVar("Spec", bound=BaseModel)
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_NAMES = {"model_type": "a mapping", "dict_type": "a mapping", "tuple_type": "a list", "list_type": "a list"}
LONGEST = 60
"""Characters of a value that an error message shows."""
_CLOSE = 0.65
"""Similarity at which a key counts as a misspelling of another: `window` is none of `kind`."""
_CLOSER = 0.8
"""The same for a key of another mapping: `more` is none of `model`."""


def validate(model: type[Spec], raw: object, source: str, error: type[ValueError]) -> Spec:
    """The record that `raw` describes; raises `error` with one line that begins with `source`.

    The line names the deepest key that is wrong. An item of a list is named by its own `name` where it has one, as
    overrides name it ("l2.ways"), and by its index elsewhere ("points.0.id").
    """
    try:
        return model.model_validate(raw)
    except ValidationError as found:
        raise error(f"{source}: {_explain(found.errors(), model, raw)}") from None


def known_keys(model: type[BaseModel]) -> list[str]:
    """Every dotted key that a description of that kind may have."""
    return sorted(set(_keys(model, "")))


def closest(key: str, keys: Sequence[str]) -> str:
    """The mend for a dotted key that does not exist: a key like it, in the same mapping if there is one."""
    above, _, name = key.rpartition(".")
    siblings = {known.rpartition(".")[2]: known for known in keys if known.rpartition(".")[0] == above}
    return did_you_mean(name, siblings, 3, _CLOSE) or _elsewhere(key, keys)


def _elsewhere(key: str, keys: Sequence[str]) -> str:
    """The mend for a dotted key that no key of the same mapping is like: keys of other mappings with such a name."""
    above, _, name = key.rpartition(".")
    others = {known.rpartition(".")[2]: known for known in keys if known.rpartition(".")[0] != above}
    return did_you_mean(name, others, 3, _CLOSER, "leave it out")


def in_line(text: object) -> str:
    """A text without line breaks and repeated spaces."""
    return " ".join(str(text).split())


def shown(value: object) -> str:
    """A value as an error message shows it: on one line, and cut where it is long."""
    text = in_line(repr(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


@dataclass(frozen=True)
class _Place:
    """Where an error is, found by following pydantic's location through the model and the raw mapping."""

    key: str
    """The dotted key as the message names it."""
    schema: str
    """The dotted key as `known_keys` has it, without indices and names of items."""
    depth: int
    """Keys and indices that lead to it."""
    name: str
    """Its last part."""
    types: tuple[Any, ...]
    """What the model admits there, unions taken apart."""
    siblings: tuple[str, ...]
    """Keys that the mapping around it may have."""


def _explain(errors: list[ErrorDetails], model: type[BaseModel], raw: object) -> str:
    """One line for the deepest error, an unknown key before others; errors of a union's members are named together."""
    places = [_place(error, model, raw) for error in errors]
    first = max(range(len(errors)), key=lambda i: (places[i].depth, errors[i]["type"] == "extra_forbidden", -i))
    error, place = errors[first], places[first]
    kind, context, where = error["type"], error.get("ctx", {}), place.key or "the top"
    if kind == "extra_forbidden":
        return f"unknown key '{place.name}' @ {where}; {_meant(place, model)}"
    if kind == "missing":
        return f"expected a value, got nothing @ {where}; add {place.name}:"
    if kind == "union_tag_not_found":
        kinds = " or ".join(tag for option in place.types for tag in _tags(option))
        return f"expected a kind, got nothing @ {_joined(place.key, 'kind')}; add kind: {kinds}"
    if kind == "union_tag_invalid":
        tags = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
        mend = did_you_mean(str(context["tag"]), tags, 1, otherwise="choose one of them")
        return f"expected one of {', '.join(tags)}, got '{context['tag']}' @ {_joined(place.key, 'kind')}; {mend}"
    if kind == "value_error":
        return in_line(context.get("error", error["msg"])) + (f" @ {place.key}" if place.key else "")
    rules = list(
        dict.fromkeys(_rule(place.name, other) for other, at in zip(errors, places, strict=True) if at.key == place.key)
    )
    mend = f"set {rules[0]}" if rules[0].startswith(f"{place.name} ") else f"give {rules[0]}"
    return f"expected {' or '.join(rules)}, got {shown(error['input'])} @ {where}; {mend}"


def _rule(name: str, error: ErrorDetails) -> str:
    """What a value should have been."""
    context = error.get("ctx", {})
    for bound, sign in _BOUNDS.items():
        if bound in context:
            limit = context[bound]
            return f"{name} {sign} {int(limit) if limit == int(limit) else limit}"
    if error["type"] in _NAMES:
        return _NAMES[error["type"]]
    if error["type"] == "literal_error":
        return str(context["expected"])
    rule = re.sub(r"^(Input|String|Value|List|Tuple|Dictionary|Set) should (be|have) ", "", error["msg"])
    rule = rule.removeprefix("a valid ").partition(",")[0].partition(" after validation")[0]
    return f"an {rule}" if rule.startswith("integer") else f"a {rule}" if rule[:6] in ("number", "string") else rule


def _meant(place: _Place, model: type[BaseModel]) -> str:
    """The mend for an unknown key: a key of the same mapping that is like it, then any key of the model."""
    above = place.key.removesuffix(place.name)
    siblings = {name: above + name for name in place.siblings}
    return did_you_mean(place.name, siblings, 3, _CLOSE) or _elsewhere(place.schema, known_keys(model))


def _place(error: ErrorDetails, model: type[BaseModel], raw: object) -> _Place:
    """Where an error is: without the names of union members that pydantic puts between the keys."""
    key, schema, name, depth, node = "", "", "", 0, raw
    types: tuple[Any, ...] = (model,)
    siblings: tuple[str, ...] = ()
    for part in error["loc"]:
        models = [option for option in types if _is_model(option)]
        member = [option for option in models if part in (option.__name__, *_tags(option))]
        fields = [found[part] for found in map(_fields, models) if isinstance(part, str) and part in found]
        inside = [inner for option in types for inner in _items(option, part)]
        if member and (len(models) > 1 or not fields):
            types = (member[0],)
            continue
        if not (fields or inside or (part == error["loc"][-1] and error["type"] == "extra_forbidden")):
            continue
        siblings = tuple(name for option in models for name in _fields(option))
        types = tuple(dict.fromkeys(_options([field.annotation for field in fields] or inside)))
        node, name, depth = _inner(node, part), str(part), depth + 1
        own = node.get("name") if isinstance(part, int) and isinstance(node, Mapping) else None
        key = own if isinstance(own, str) else _joined(key, name)
        schema = schema if isinstance(part, int) else _joined(schema, name)
    return _Place(key, schema, depth, name, types, siblings)


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _inner(node: object, part: int | str) -> object:
    if isinstance(node, Mapping):
        return node.get(part)
    if isinstance(node, Sequence) and isinstance(part, int) and not isinstance(node, str) and part < len(node):
        return node[part]
    return None


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the keys that a description has."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _is_model(option: object) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)


def _tags(model: Any) -> tuple[str, ...]:
    """The values of `kind` that choose a member of a union."""
    field = model.model_fields.get("kind") if _is_model(model) else None
    return get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()


def _options(annotations: Iterable[Any]) -> Iterator[Any]:
    """The types that annotations admit, unions and `Annotated` taken apart."""
    for annotation in annotations:
        origin = get_origin(annotation)
        if origin is Annotated:
            yield from _options(get_args(annotation)[:1])
        elif origin in (Union, UnionType):
            yield from _options(get_args(annotation))
        else:
            yield annotation


def _items(option: Any, part: int | str) -> Iterator[Any]:
    """What a list, tuple or mapping type holds at a key or index."""
    origin, inner = get_origin(option), get_args(option)
    if not isinstance(origin, type) or not inner:
        return
    if issubclass(origin, Mapping) and part != "[key]":
        yield inner[-1]
    elif issubclass(origin, Sequence) and isinstance(part, int):
        yield inner[part] if origin is tuple and part < len(inner) and inner[-1] is not ... else inner[0]


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, info in _fields(model).items():
        yield prefix + name
        for inner in models_within(info.annotation):
            yield from _keys(inner, f"{prefix}{name}.")


def models_within(annotation: object) -> Iterator[type[BaseModel]]:
    """All models inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_within(inner)
