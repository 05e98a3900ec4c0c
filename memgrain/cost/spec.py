"""Cost records of a chip and of its site, as the YAML files of this package define them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from memgrain.cost.cost_input import (
    Dollars,
    DollarsAKilowattHour,
    DollarsAKilowattMonth,
    DollarsAnHour,
    Unitless,
    Watts,
    Years,
)
from memgrain.hwmodels.record import Spec

TokenKind = Literal["decode", "prefill", "cached"]
TOKEN_KINDS: tuple[TokenKind, ...] = ("decode", "prefill", "cached")
"""Kinds of tokens that are paid for: new ones, prompt tokens that are computed, prompt tokens found in a cache."""


class PowerDraw(Spec):
    """Power draw of a chip as fractions of its power rating."""

    decode: Unitless
    """While decoding or reading a cache."""
    prefill: Unitless
    """While computing prompts."""
    idle: Unitless
    """While idle."""

    @model_validator(mode="after")
    def _fits(self) -> PowerDraw:
        for busy in (self.decode, self.prefill):
            pairs = ((self.idle.low, busy.low), (self.idle.value, busy.value), (self.idle.high, busy.high))
            if any(idle > at_work for idle, at_work in pairs) or busy.high > 1:
                raise ValueError("draw: shares must be at most 1, and idle at most what is drawn at work; correct them")
        return self


class ChipCost(Spec):
    """Price, rent and power of a chip in the sense of `hwmodels`, which may be one of two on a card."""

    name: str = Field(min_length=1)
    """The chip's name in `hwmodels`; the file's name."""
    note: str = ""
    """Remarks on these numbers."""
    price: Dollars
    """Purchase price."""
    rent: DollarsAnHour
    """Rent, including server, network, power and cooling."""
    power: Watts
    """Thermal design power or board power."""
    draw: PowerDraw
    """Fractions of that power."""
    server: Dollars | None = None
    """The chip's part of server and network, if it differs from the site's; 0 if the price includes it."""


class Site(Spec):
    """A data centre: energy, hosting and capital costs, lifetime and utilisation."""

    electricity: DollarsAKilowattHour
    """Price of energy."""
    pue: Unitless
    """Power usage effectiveness: power of the building ÷ power of its computers; covers cooling and conversion."""
    server_power: Unitless
    """Power of a server ÷ power of the chips in it."""
    server: Dollars
    """Price of a chip's part of server, network cards and switches."""
    hosting: DollarsAKilowattMonth
    """Rent of space and cooling plant per kilowatt of rated server power; energy is extra."""
    upkeep: Unitless
    """Staff and repairs per year, as a fraction of the investment."""
    interest: Unitless
    """Cost of capital per year."""
    lifetime: Years
    """Time after which a chip and its server have no value."""
    utilisation: Unitless
    """Fraction of all hours in which a chip produces tokens at the simulated rate."""

    @model_validator(mode="after")
    def _fits(self) -> Site:
        for name, figure in (("pue", self.pue), ("server_power", self.server_power)):
            if figure.low < 1:
                raise ValueError(
                    f"{name} {figure.low:g} is below 1, but a whole draws at least as much as its part; correct it"
                )
        if not 0 < self.utilisation.low <= self.utilisation.high <= 1:
            raise ValueError("utilisation must be above 0 and at most 1; correct it")
        if self.lifetime.low <= 0:
            raise ValueError("lifetime must be above 0 years; correct it")
        return self
