"""The criterion of a case, applied to an interval or a text."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.claims.interval import ValueInterval


class Criterion(BaseModel):
    """The condition under which the claim holds in a case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: float | None = Field(default=None, description="the number is no smaller")
    at_most: float | None = Field(default=None, description="the number is no larger")
    one_of: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="the text is one of these"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Criterion:
        numbers = self.at_least is not None or self.at_most is not None
        if numbers == (self.one_of is not None):
            raise ValueError("give at_least, at_most or both for a number, or one_of for a text")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least} is above at_most {self.at_most}; exchange them")
        return self

    def holds(self, found: ValueInterval | str) -> bool | None:
        """Whether the criterion is met: True if the whole interval meets it, False if no part of it does, else None."""
        if isinstance(found, str):
            return self.one_of is not None and found in self.one_of
        low = float("-inf") if self.at_least is None else self.at_least
        high = float("inf") if self.at_most is None else self.at_most
        if low <= found.low and found.high <= high:
            return True
        return False if found.high < low or high < found.low else None

    @property
    def text(self) -> str:
        """The criterion in words."""
        if self.one_of is not None:
            return " or ".join(self.one_of)
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:,g} to {self.at_most:,g}" if self.at_least < self.at_most else f"{self.at_most:,g}"
        return f"at least {self.at_least:,g}" if self.at_least is not None else f"at most {self.at_most:,g}"
