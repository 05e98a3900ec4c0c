"""Edges that only a planted fault showed to be untested: exact units, numbers in lists, the words of a refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from memgrain.hwmodels import HardwareError, contradictions, load_chip
from memgrain.hwmodels.load import FOLDER, read_chip
from memgrain.hwmodels.schema import chip_schema
from memgrain.inputs.quantities import format_bandwidth, format_bytes, format_duration, format_frequency


@pytest.mark.parametrize(
    ("format_", "value", "text"),
    [
        (format_bytes, 2**10, "1 KiB"),
        (format_bytes, 2**20, "1 MiB"),
        (format_bytes, 2**30, "1 GiB"),
        (format_bytes, 3 * 2**40, "3072 GiB"),
        (format_bytes, 10**9, "1 GB"),
        (format_bytes, 0, "0 B"),
        (format_bandwidth, 10**12, "1 TB/s"),
        (format_bandwidth, 10**9 - 10**6, "999 MB/s"),
        (format_duration, 10**3, "1 ns"),
        (format_duration, 10**12, "1 s"),
        (format_frequency, 10**9, "1 GHz"),
    ],
)
def test_a_whole_unit_is_written_in_that_unit(format_: Callable[[float], str], value: int, text: str) -> None:
    assert format_(value) == text


def test_an_override_reaches_a_record_in_a_list_by_its_place() -> None:
    first, second = (load_chip("toy").dram.standard.constraints[i] for i in range(2))
    key = next(name for name, value in first.model_dump().items() if isinstance(value, str) and value.startswith("t"))
    other = "tBL"  # which lasts as long, so that nothing else becomes impossible
    assert getattr(first, key) != other
    changed = load_chip("toy", {f"hbm.standard.constraints.0.{key}": other}).dram.standard.constraints
    assert getattr(changed[0], key) == other
    assert changed[1] == second
    with pytest.raises(HardwareError, match="to override"):
        load_chip("toy", {f"hbm.standard.constraints.{len(changed)}.{key}": other})


def test_a_refusal_begins_with_what_is_wrong() -> None:
    with pytest.raises(HardwareError) as caught:
        load_chip("toy", {"l2.capacity": "50"})
    assert str(caught.value).startswith("toy.yaml: expected a size such as '50 MiB', got ")
    assert "Value error" not in str(caught.value)


def test_a_misspelt_name_gets_one_suggestion(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match=r"did you mean '[^']+'\?") as caught:
        load_chip("toy", {"l2.capcity": "1 MiB"})
    assert str(caught.value).count("did you mean") == 1
    assert "'capacity'" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ways", {"value": 8, "kind": "assumed", "source": "T", "range": "4 to 16", "reason": "x"}),
        ("ways", {"value": 8, "kind": "assumed", "source": "T", "range": [4], "reason": "x"}),
        ("standard", {"timings": {"tFAW": "16 ns"}}),
    ],
)
def test_the_schema_refuses_a_range_of_words_and_part_of_a_standard(key: str, value: object) -> None:
    chip = yaml.safe_load((FOLDER / "chips" / "toy.yaml").read_text(encoding="utf-8"))
    validator = Draft202012Validator(chip_schema())
    assert validator.is_valid(chip)
    chip["memory"][key == "standard"][key] = value
    assert not validator.is_valid(chip)


def test_provenance_names_a_number_in_a_list_by_the_path_to_the_list() -> None:
    paths = [path for path in read_chip("toy").provenance if "constraints" in path or "None" in path]
    assert paths == ["hbm.standard.constraints.10.window"]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({}, ""),
        ({"l2.bandwidth": "63 GB/s"}, "l2 carries 63 GB/s at most, so hbm.bandwidth 64 GB/s is never reached"),
        ({"l2.scope": "core", "l2.bandwidth": "16 GB/s"}, ""),
        ({"l2.scope": "core", "l2.bandwidth": "15 GB/s"}, "l2 carries 60 GB/s at most"),
        (
            {"l2.scope": "core", "l2.bandwidth": "65 GB/s"},
            "the ports of all cores take 256 GB/s at most, so l2.bandwidth",
        ),
    ],
)
def test_the_levels_of_all_cores_carry_together_what_a_peak_is_held_against(numbers: dict[str, str], said: str) -> None:
    found = contradictions(load_chip("toy", numbers))
    assert len(found) == bool(said)
    assert all(line.startswith(said) for line in found)
