"""The JSON Schema of a chip's YAML for editors: pydantic's schema, extended by the forms that the loader also accepts.

Any value may carry its provenance, a DRAM standard may be a name, and a file may have `sources` and `extends`. A file
that extends another may omit any key.
"""

from __future__ import annotations

from typing import Any

from memgrain.hwmodels.load import KINDS
from memgrain.hwmodels.spec import Chip

Schema = dict[str, Any]

_FILE: Schema = {
    "sources": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "full citations, by the key that a value's `source` names",
    },
    "extends": {"type": "string", "description": "name of the chip whose file this one is laid over"},
}


def chip_schema() -> Schema:
    """JSON Schema (draft 2020-12) of the files in `hwmodels/chips`."""
    raw = Chip.model_json_schema()
    records = {**raw.pop("$defs"), "Chip": raw}
    clocks = {"type": "string", "pattern": r"^\s*[0-9]+\s*nCK\s*$"}
    timings = records["DramStandard"]["properties"]["timings"]
    timings["additionalProperties"] = {"anyOf": [timings["additionalProperties"], clocks]}
    defs: Schema = {}
    for name, record in records.items():
        whole = _widened(record)
        if name == "Chip":
            whole["properties"] |= _FILE
            whole["required"].remove("name")
        if name == "DramStandard":
            named: Schema = {"type": "string", "description": "name of a file in hwmodels/dram"}
            changed = _part(whole)
            changed["properties"] = changed["properties"] | {"extends": named}
            whole = {"anyOf": [named, whole, changed | {"required": ["extends"]}]}
        defs[name] = whole
        defs[f"Part{name}"] = _part(whole)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Chip",
        "type": "object",
        "if": {"required": ["extends"]},
        "then": {"$ref": "#/$defs/PartChip"},
        "else": {"$ref": "#/$defs/Chip"},
        "$defs": defs,
    }


def _cited(value: Schema) -> Schema:
    """Schema of a value, or of a mapping with the value and its provenance."""
    mapping = {
        "type": "object",
        "properties": {
            "value": value,
            "kind": {"enum": list(KINDS), "description": "how the value is known"},
            "source": {"type": "string", "description": "a key of the file's sources"},
            "range": {"type": "array", "minItems": 2, "maxItems": 2, "description": "lowest and highest conceivable"},
            "reason": {"type": "string", "description": "why the value is reasonable"},
        },
        "required": ["value", "kind"],
        "additionalProperties": False,
        "if": {"properties": {"kind": {"const": "assumed"}}},
        "then": {"required": ["range", "reason"]},
    }
    found: Schema = {"anyOf": [value, mapping]}
    return found | {key: value[key] for key in ("description", "title") if key in value}


def _widened(record: Schema) -> Schema:
    """Schema of a record in which every value, and every value inside a value, may carry provenance."""
    found = dict(record)
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = _cited(found["additionalProperties"])
    if "properties" in found:
        found["properties"] = {name: _cited(_widened(value)) for name, value in found["properties"].items()}
        found["required"] = list(found.get("required", []))
    return found


def _part(node: Any) -> Any:
    """Schema of a file that extends another: no required keys, and references to other such partial records.

    A level may omit its kind there, so the choice by kind becomes a choice among all kinds.
    """
    if isinstance(node, list):
        return [_part(item) for item in node]
    if not isinstance(node, dict):
        return node
    cited = "value" in node.get("properties", {})
    found = {
        key: item if key == "then" else _part(item)
        for key, item in node.items()
        if key != "discriminator" and (cited or key != "required")
    }
    if "oneOf" in found:
        found["anyOf"] = found.pop("oneOf")
    if isinstance(node.get("$ref"), str):
        found["$ref"] = node["$ref"].replace("#/$defs/", "#/$defs/Part")
    return found
