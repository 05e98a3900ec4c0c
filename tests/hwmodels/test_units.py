"""Do quantities mean what they say, and survive being written and read?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgrain.inputs.quantities import (
    format_bandwidth,
    format_bytes,
    format_duration,
    format_frequency,
    parse_bandwidth,
    parse_bytes,
    parse_duration,
    parse_frequency,
)

PAIRS = [
    (format_bytes, parse_bytes),
    (format_bandwidth, parse_bandwidth),
    (format_duration, parse_duration),
    (format_frequency, parse_frequency),
]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_bytes, "50 MiB", 50 * 2**20),
        (parse_bytes, "141 GB", 141 * 10**9),
        (parse_bytes, " 1.5 KiB ", 1536),
        (parse_bytes, "524032B", 524032),
        (parse_bandwidth, "3.35 TB/s", 3_350_000_000_000),
        (parse_bandwidth, "1 GiB/s", 2**30),
        (parse_duration, "0.764 ns", 764),
        (parse_duration, "1e3 us", 10**9),
        (parse_duration, "0 ns", 0),
        (parse_frequency, "1302.083333 MHz", 1_302_083_333),
    ],
)
def test_parse(parse: Callable[[Any], int], text: str, value: int) -> None:
    assert parse(text) == value
    assert isinstance(parse(text), int)


@pytest.mark.parametrize(("format_", "parse"), PAIRS, ids=lambda f: f.__name__)
@given(value=st.integers(0, 2**60))
def test_round_trip(format_: Callable[[float], str], parse: Callable[[Any], int], value: int) -> None:
    assert parse(format_(value)) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(("format_", "parse"), PAIRS, ids=lambda f: f.__name__)
@given(value=st.integers(1, 999_999), power=st.integers(0, 3))
def test_round_trip_is_exact_for_six_digits(
    format_: Callable[[float], str], parse: Callable[[Any], int], value: int, power: int
) -> None:
    assert parse(format_(value * 1000**power)) == value * 1000**power


@given(number=st.integers(0, 2**20), unit=st.sampled_from(["B", "KiB", "MiB", "GiB", "kB", "MB", "GB"]))
def test_whole_numbers_are_exact(number: int, unit: str) -> None:
    assert parse_bytes(f"{number} {unit}") == number * parse_bytes(f"1 {unit}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (50 * 2**20, "50 MiB"),
        (132644864, "126.5 MiB"),
        (80 * 10**9, "80 GB"),
        (64, "64 B"),
    ],
)
def test_format_bytes_takes_the_base_that_divides_evenly(value: int, text: str) -> None:
    assert format_bytes(value) == text


@pytest.mark.parametrize(
    "bad",
    [
        50,
        5.0,
        None,
        "50",
        "MiB",
        "-1 MiB",
        "50 mib",
        "50 MiB/s",
        "1,5 MiB",
        "1e400 B",
        "1e30 GiB",
        "50 MB MB",
        "",
        [],
        True,
    ],
)
def test_bad_sizes_are_refused_in_one_line(bad: object) -> None:
    with pytest.raises(ValueError, match=r"^.+$") as caught:
        parse_bytes(bad)
    assert "\n" not in str(caught.value)
