"""Types of a chip's numbers: the texts that each accepts in YAML, and its lowest and highest value.

`memgrain.inputs.quantities` reads and writes the texts.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from memgrain.inputs.quantities import (
    BANDWIDTH,
    DURATION,
    FREQUENCY,
    SIZE,
    Dimension,
    parse_bandwidth,
    parse_bytes,
    parse_duration,
    parse_frequency,
)


def _schema(dimension: Dimension) -> WithJsonSchema:
    names = "|".join(re.escape(name) for name in dimension.units)
    pattern = rf"^\s*[0-9.eE+-]+\s*({names})\s*$"
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [dimension.example]})


def _within(low: int, high: int, dimension: Dimension) -> AfterValidator:
    """Refuses values that no chip has: they overflow 64 bits or take too long to simulate."""

    def check(value: int) -> int:
        if not low <= value <= high:
            write = dimension.format
            raise ValueError(f"{write(value)} is outside {write(low)} to {write(high)}; correct the value")
        return value

    return AfterValidator(check)


Bytes = Annotated[int, BeforeValidator(parse_bytes), _within(1, 2**50, SIZE), _schema(SIZE)]
Bandwidth = Annotated[int, BeforeValidator(parse_bandwidth), _within(10**6, 10**17, BANDWIDTH), _schema(BANDWIDTH)]
Duration = Annotated[int, BeforeValidator(parse_duration), _within(0, 10**13, DURATION), _schema(DURATION)]
Latency = Annotated[int, BeforeValidator(parse_duration), _within(0, 10**9, DURATION), _schema(DURATION)]
Frequency = Annotated[int, BeforeValidator(parse_frequency), _within(10**3, 10**12, FREQUENCY), _schema(FREQUENCY)]
Count = Annotated[int, Field(gt=0, le=10**6, strict=True)]
Rate = Annotated[float, Field(ge=1e-3, le=1e9, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]
