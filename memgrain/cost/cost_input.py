"""A cost input with its provenance: value, kind, source and range. YAML files write it with its unit, as chip files
do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from memgrain.hwmodels.record import Spec
from memgrain.inputs.quantities import amount

Kind = Literal["vendor", "measured", "derived", "assumed", "override"]
InputEnd = Literal["low", "value", "high"]
"""End of the range at which an input is taken; "value" is the number itself."""


class CostInput(Spec):
    """A number with its source and its range."""

    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """The number in the unit of its field."""
    kind: Kind
    """vendor: published by a seller or operator; measured: measured or counted; derived: computed from such numbers;
    assumed: chosen, with a range and a reason; override: set by the user."""
    source: Annotated[str, Field(min_length=1)]
    """Citations: URLs or documents, with dates where known."""
    range: (
        tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], Annotated[float, Field(allow_inf_nan=False)]] | None
    ) = None
    """Lowest and highest value by the sources, or the conceivable range where nothing is public; None: the value is
    exact."""
    reason: str = ""
    """Why this value was chosen, or the basis of its range."""

    @model_validator(mode="after")
    def _holds(self) -> CostInput:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"value {self.value:g} is outside of its range [{self.low:g}, {self.high:g}]; correct one")
        if self.kind == "assumed" and (self.range is None or not self.reason):
            raise ValueError(f"value {self.value:g} is assumed, which needs a range and a reason; add them")
        return self

    @property
    def low(self) -> float:
        """The lowest conceivable value."""
        return self.value if self.range is None else self.range[0]

    @property
    def high(self) -> float:
        """The highest conceivable value."""
        return self.value if self.range is None else self.range[1]

    def at(self, end: InputEnd) -> float:
        """The number at the given end of its range."""
        return {"low": self.low, "value": self.value, "high": self.high}[end]


def _read(unit: str, raw: Any) -> Any:
    """Strip the unit from the value and range of `raw`. Refuses numbers without provenance or in another unit."""
    if isinstance(raw, CostInput):
        return raw
    if not isinstance(raw, Mapping):
        raise ValueError(f"{raw!r} has no source; write {{value: {_example(unit)}, kind: ..., source: ...}}")
    found = dict(raw)
    if "value" in found:
        found["value"] = _number(found["value"], unit)
    if isinstance(found.get("range"), list):
        found["range"] = [_number(end, unit) for end in found["range"]]
    return found


def _number(text: Any, unit: str) -> float:
    if unit:
        number = amount(text, unit)
        if number is not None:
            return number
    elif isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    raise ValueError(f"expected a number such as '{_example(unit)}', got {text!r}; correct it")


def _example(unit: str) -> str:
    return f"100 {unit}" if unit else "0.5"


Dollars = Annotated[CostInput, BeforeValidator(partial(_read, "USD"))]
DollarsAnHour = Annotated[CostInput, BeforeValidator(partial(_read, "USD/h"))]
DollarsAKilowattHour = Annotated[CostInput, BeforeValidator(partial(_read, "USD/kWh"))]
DollarsAKilowattMonth = Annotated[CostInput, BeforeValidator(partial(_read, "USD/kW/month"))]
Watts = Annotated[CostInput, BeforeValidator(partial(_read, "W"))]
Years = Annotated[CostInput, BeforeValidator(partial(_read, "years"))]
Unitless = Annotated[CostInput, BeforeValidator(partial(_read, ""))]
