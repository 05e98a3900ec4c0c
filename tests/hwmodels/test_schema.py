"""Does the schema that editors get accept every shipped chip, and refuse what the loader refuses?"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from memgrain.hwmodels import chip_names
from memgrain.hwmodels.load import FOLDER
from memgrain.hwmodels.schema import chip_schema


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(chip_schema())
    return Draft202012Validator(chip_schema())


def raw(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "chips" / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", chip_names())
def test_every_shipped_chip_is_valid_and_with_an_unknown_key_is_not(name: str, validator: Draft202012Validator) -> None:
    validator.validate(raw(name))
    assert not validator.is_valid(raw(name) | {"titel": "x"})
    for key in ("cores", "memory"):
        chip = raw(name)
        if key in chip:
            chip[key][0]["wayz"] = 4
            assert not validator.is_valid(chip)


@pytest.mark.parametrize(
    ("level", "key", "value", "valid"),
    [
        (0, "ways", 8, True),
        (0, "ways", {"value": 8, "kind": "vendor", "source": "T"}, True),
        (0, "ways", {"value": 8, "kind": "assumed", "source": "T", "range": [4, 16], "reason": "x"}, True),
        (0, "ways", {"value": 8, "kind": "assumed", "source": "T"}, False),
        (0, "ways", {"value": 8, "kind": "guess"}, False),
        (0, "ways", {"value": 8, "kind": "vendor", "sauce": "T"}, False),
        (0, "ways", {"value": "8", "kind": "vendor"}, False),
        (0, "ways", 0, False),
        (0, "capacity", 50, False),
        (0, "capacity", "50 ns", False),
        (0, "capacity", {"value": "2 MiB", "kind": "vendor"}, True),
        (0, "kind", "cash", False),
        (0, "replacement", "mru", False),
        (1, "standard", "ddr5", True),
        (1, "standard", 5, False),
        (1, "standard", {"extends": "hbm3", "timings": {"tFAW": {"value": "16 ns", "kind": "vendor"}}}, True),
        (1, "standard", {"extends": "hbm3", "timings": {"tFAW": 16}}, False),
    ],
)
@pytest.mark.parametrize("extends", [False, True])
def test_values(level: int, key: str, value: Any, valid: bool, extends: bool, validator: Draft202012Validator) -> None:
    chip = raw("toy")
    if extends:
        chip = {"extends": "toy", "memory": [{"name": "l2"}, {"name": "hbm"}]}
    chip["memory"][level][key] = value
    assert validator.is_valid(chip) == valid


def test_only_a_file_that_extends_another_may_lack_keys(validator: Draft202012Validator) -> None:
    chip = raw("toy")
    del chip["vendor"]
    assert not validator.is_valid(chip)
    assert validator.is_valid(chip | {"extends": "toy"})
    assert validator.is_valid({"extends": "toy"})


def test_descriptions_reach_the_editor() -> None:
    assert chip_schema()["$defs"]["Cache"]["properties"]["ways"]["description"] == "lines of a set"
