"""A formula of numbers: parameters of a chip by their dotted names, with the ranges of its file, and further numbers
that the claim defines with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from memgrain.analysis.explain import locate
from memgrain.claims.formula import read_formula
from memgrain.claims.interval import ValueInterval, interval_of_formula
from memgrain.claims.options import ExperimentOptions
from memgrain.claims.result import ExperimentResult
from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip, HardwareError, read_chip
from memgrain.inputs.spelling import suggest


class ClaimNumber(BaseModel):
    """A number that a claim defines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float = Field(description="its value")
    range: tuple[float, float] | None = Field(default=None, description="lowest and highest value by the sources")
    source: str = Field(min_length=1, description="where it comes from")


class FormulaOf(BaseModel):
    """A formula and its numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["formula"]
    formula: str = Field(min_length=1, description="+ - * / ** of numbers, names of `numbers` and names of the chip")
    unit: str = Field(default="", description="unit of the result")
    chip: str | None = Field(default=None, description="chip whose dotted names may be used")
    numbers: dict[str, ClaimNumber] = Field(default_factory=dict, description="numbers by name")

    @field_validator("formula")
    @classmethod
    def _readable(cls, text: str) -> str:
        try:
            read_formula(text)
        except MemgrainError as error:
            raise ValueError(str(error)) from None
        return text

    @model_validator(mode="after")
    def _whole(self) -> FormulaOf:
        names = read_formula(self.formula).names
        if unused := sorted(set(self.numbers) - set(names)):
            raise ValueError(f"number '{unused[0]}' is not in the formula '{self.formula}'; remove it")
        if self.chip is None and (missing := [name for name in names if name not in self.numbers]):
            raise ValueError(f"'{missing[0]}' is not a number of the claim, and no chip is named; add it to numbers")
        return self

    def find(self, options: ExperimentOptions) -> ExperimentResult:
        """The value with its interval over all ends of the ranges. Raises MemgrainError if the chip has no such
        number."""
        formula = read_formula(self.formula)
        numbers = {name: ValueInterval.of(number.value, number.range) for name, number in self.numbers.items()}
        if self.chip is not None:
            for name in formula.names:
                if name not in numbers:
                    numbers[name] = number_of(self.chip, name)
        sources = "; ".join(f"{name}: {number.source}" for name, number in self.numbers.items())
        return ExperimentResult(
            interval_of_formula(formula, numbers), self.unit, _command(self.chip, formula.names, self.numbers), sources
        )


def number_of(chip: str, name: str) -> ValueInterval:
    """A number of a chip in base units, with the range of its file. Raises MemgrainError if there is no such number."""
    file = read_chip(chip)
    value = _value(file.chip, name)
    known = file.provenance.get(name)
    if known is None or known.range is None:
        return ValueInterval.of(value)
    ends = []
    for end in known.range:
        try:
            ends.append(_value(read_chip(chip, {name: end}).chip, name))
        except HardwareError:  # the end contradicts the chip's other numbers
            ends.append(value)
    return ValueInterval.of(value, (ends[0], ends[1]))


def _value(chip: Chip, name: str) -> float:
    location = locate(chip, name)
    if location is None or isinstance(location.value, bool) or not isinstance(location.value, int | float):
        known = sorted(read_chip(chip.name).provenance) if location is None else []
        raise MemgrainError(f"{chip.name} has no number '{name}'{suggest(name, known)}; see memgrain chips {chip.name}")
    return float(location.value)


def _command(chip: str | None, names: tuple[str, ...], numbers: Mapping[str, Any]) -> str:
    """The command that shows the numbers of the chip."""
    own = [name for name in names if name not in numbers]
    return " && ".join(f"memgrain explain {name} --chip {chip}" for name in own)
