"""What a chip costs to have and to feed, and where it stands: the records that the YAML files of this package fill."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from memgrain.cost.figure import (
    Dollars,
    DollarsAKilowattHour,
    DollarsAKilowattMonth,
    DollarsAnHour,
    Ratio,
    Watts,
    Years,
)
from memgrain.hwmodels.record import Spec

Phase = Literal["decode", "prefill", "cached"]
PHASES: tuple[Phase, ...] = ("decode", "prefill", "cached")
"""Kinds of tokens that are paid for: new ones, prompt tokens that are computed, prompt tokens found in a cache."""


class Draw(Spec):
    """What a chip draws, as shares of its power."""

    decode: Ratio
    """While it decodes, or reads a cache."""
    prefill: Ratio
    """While it reads prompts."""
    idle: Ratio
    """While it waits."""

    @model_validator(mode="after")
    def _fits(self) -> Draw:
        for busy in (self.decode, self.prefill):
            pairs = ((self.idle.low, busy.low), (self.idle.value, busy.value), (self.idle.high, busy.high))
            if any(idle > at_work for idle, at_work in pairs) or busy.high > 1:
                raise ValueError("draw: shares must be at most 1, and idle at most what is drawn at work; correct them")
        return self


class ChipCost(Spec):
    """Price, rent and power of a chip: of what `hwmodels` calls a chip, which may be one of two on a card."""

    name: str = Field(min_length=1)
    """The chip's name in `hwmodels`; the file's name."""
    note: str = ""
    """What a reader should know of these numbers."""
    price: Dollars
    """To buy it."""
    rent: DollarsAnHour
    """To rent it, with all that it needs: server, network, power, cooling."""
    power: Watts
    """Thermal design power or board power."""
    draw: Draw
    """Shares of it."""
    server: Dollars | None = None
    """Its part of server and network, if other than the site's: 0 where the price has it already."""


class Site(Spec):
    """Where chips stand and how they are paid for."""

    electricity: DollarsAKilowattHour
    """Price of energy."""
    pue: Ratio
    """Power of the whole building over that of its computers (power usage effectiveness): cooling and conversion."""
    server_power: Ratio
    """Power of a server over that of the chips in it."""
    server: Dollars
    """A chip's part of server, network cards and switches."""
    hosting: DollarsAKilowattMonth
    """Rent of space and cooling plant, for each kilowatt that servers may draw; energy is paid apart."""
    upkeep: Ratio
    """Staff and repairs a year, as a share of what was invested."""
    interest: Ratio
    """Cost of capital a year."""
    lifetime: Years
    """After which a chip and its server are worth nothing."""
    utilisation: Ratio
    """Share of all hours in which a chip makes tokens at the rate that is simulated."""

    @model_validator(mode="after")
    def _fits(self) -> Site:
        for name, figure in (("pue", self.pue), ("server_power", self.server_power)):
            if figure.low < 1:
                raise ValueError(f"{name} {figure.low:g} is below 1: the whole draws no less than a part; correct it")
        if not 0 < self.utilisation.low <= self.utilisation.high <= 1:
            raise ValueError("utilisation must be above 0 and at most 1; correct it")
        if self.lifetime.low <= 0:
            raise ValueError("lifetime must be above 0 years; correct it")
        return self
