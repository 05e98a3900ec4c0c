"""Text that people write: errors of any pydantic model as one line, quantities, names that are close to others."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.inputs.keys import closest, known_keys, validate
from memgrain.inputs.quantities import DIMENSIONS, SIZE, Dimension, amount, dimension_of, parse_tokens, split
from memgrain.inputs.spelling import did_you_mean, suggest
from memgrain.inputs.yaml_file import Loader


def test_a_key_stands_once_in_a_mapping_and_may_replace_a_merged_one() -> None:
    merged = yaml.load("a: &a {k: 1, l: 2}\nb: {<<: *a, k: 3}\nc: [*a, yes, 'yes', 1_0]", Loader=Loader)
    assert merged == {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}, "c": [{"k": 1, "l": 2}, True, "yes", 10]}
    for text in ("{k: 1, l: 2, k: 3}", "a: &a {k: 1, l: 2}\nb: {<<: *a, k: 3, k: 4}"):
        with pytest.raises(yaml.YAMLError, match="key 'k' stands twice"):
            yaml.load(text, Loader=Loader)


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Circle(Closed):
    kind: Literal["circle"]
    radius: int = Field(gt=0)


class Box(Closed):
    kind: Literal["box"]
    sides: tuple[int, int]


class Scene(Closed):
    shapes: list[Annotated[Circle | Box, Field(discriminator="kind")]] = []
    named: list[dict[str, Any]] = []
    colours: dict[str, Literal["red", "blue"]] = {}
    size: int | Literal["auto"] = "auto"
    frame: Box | None = None
    deep: int = Field(default=1, alias="depth")

    @model_validator(mode="after")
    def _agree(self) -> Scene:
        if self.size == 13:
            raise ValueError("size 13 is bad luck; take 12")
        return self


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({"shapes": [{"kind": "circle"}]}, "expected a value, got nothing @ shapes.0.radius; add radius:"),
        (
            {"shapes": [{"kind": "circle", "radius": 0}]},
            "expected radius > 0, got 0 @ shapes.0.radius; set radius > 0",
        ),
        (
            {"shapes": [{"kind": "box", "sides": [1, 2], "radius": 1}]},
            "unknown key 'radius' @ shapes.0.radius; leave it out",  # a key of the other member
        ),
        (
            {"shapes": [{"kind": "circle", "radios": 1}]},
            "unknown key 'radios' @ shapes.0.radios; did you mean 'shapes.0.radius'?",
        ),
        (
            {"shapes": [{"kind": "cirkle"}]},
            "expected one of circle, box, got 'cirkle' @ shapes.0.kind; did you mean 'circle'?",
        ),
        ({"shapes": [{}]}, "expected a kind, got nothing @ shapes.0.kind; add kind: circle or box"),
        ({"shapes": 5}, "expected a list, got 5 @ shapes; give a list"),
        ({"shapes": [{"kind": "box", "sides": ["a", 1]}]}, "expected an integer, got 'a' @ shapes.0.sides.0; give"),
        ({"colours": {"sky": "green"}}, "expected 'red' or 'blue', got 'green' @ colours.sky; give 'red' or 'blue'"),
        ({"size": "big"}, "expected an integer or 'auto', got 'big' @ size; give an integer"),
        ({"size": 13}, "size 13 is bad luck; take 12"),
        ({"frame": {"kind": "box", "side": 1}}, "unknown key 'side' @ frame.side; did you mean 'frame.sides'?"),
        ({"depth": "x"}, "expected an integer, got 'x' @ depth; give an integer"),
        ({"dept": 1}, "unknown key 'dept' @ dept; did you mean 'depth'?"),
        ({"radius": 1}, "unknown key 'radius' @ radius; did you mean"),
        (7, "expected a mapping, got 7 @ the top; give a mapping"),
    ],
)
def test_the_first_error_of_a_model_is_one_line(raw: object, line: str) -> None:
    with pytest.raises(KeyError_) as caught:
        validate(Scene, raw, "scene.yaml", KeyError_)
    assert str(caught.value).startswith(f"scene.yaml: {line}")


class KeyError_(ValueError):
    """Stands for the exception of a room."""


def test_an_item_of_a_list_is_named_by_its_own_name() -> None:
    class Level(Closed):
        name: str
        ways: int

    class Machine(Closed):
        memory: list[Level]

    with pytest.raises(KeyError_, match=r"expected an integer, got 'x' @ l2\.ways; give"):
        validate(Machine, {"memory": [{"name": "l1", "ways": 1}, {"name": "l2", "ways": "x"}]}, "chip", KeyError_)


def test_known_keys_are_dotted_and_the_closest_is_in_the_same_mapping() -> None:
    keys = known_keys(Scene)
    assert {"shapes", "shapes.radius", "frame.sides"} <= set(keys)
    assert closest("frame.side", keys) == "did you mean 'frame.sides'?"
    assert closest("xyzzy", keys) == "leave it out"


def test_names_are_compared_by_key_and_shown_by_value() -> None:
    assert did_you_mean("fa9", {"fa3": "Flash 3", "fa2": "Flash 2"}, 1) == "did you mean 'Flash 3'?"
    assert (suggest("lr", ["lru", "fifo"]), suggest("zzz", ["lru"])) == ("; did you mean 'lru'?", "")


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda dimension: dimension.name)
@given(data=st.data())
def test_a_quantity_is_its_number_times_its_unit(dimension: Dimension, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 10**6)) / Fraction(10 ** data.draw(st.integers(0, 3)))
    unit = data.draw(st.sampled_from(list(dimension.units)))
    text = f"{float(number)}{data.draw(st.sampled_from(['', ' ', '  ']))}{unit}"
    exact = number * dimension.units[unit]
    assert abs(dimension.parse(text) - exact) <= Fraction(1, 2) + exact / 2**50
    assert dimension_of(text) is dimension
    for other in DIMENSIONS:
        if other is not dimension:
            with pytest.raises(ValueError, match=f"expected a {other.name} such as"):
                other.parse(text)


@given(st.integers(0, 2**50))
def test_a_size_as_text_reads_back_as_itself(value: int) -> None:
    assert SIZE.parse(SIZE.text(value)) == value


def test_a_text_is_split_into_number_and_unit() -> None:
    assert split(" 4 nCK ") == (4, "nCK")
    assert split("5 USD/kW/month") == (5, "USD/kW/month")
    assert split("1e-2") == (0.01, "")
    assert [split(text) for text in ("-1 ns", "", "ns", 5, None, "1 2")] == [None] * 6
    assert (amount("95%", "%"), amount("95", "%"), amount("4 nCK", "ns")) == (95.0, None, None)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("32768", 2**15), (7, 7), ("32K", 2**15), ("1m", 2**20), ("1.5K tokens", 1536), ("1 token", 1)],
)
def test_tokens_come_in_powers_of_two(text: str | int, tokens: int) -> None:
    assert parse_tokens(text) == tokens


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1 KiB", "", "K", True, None])
def test_what_is_no_number_of_tokens_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a number of tokens; write one such as 32768, 32K or 1M"):
        parse_tokens(text)
