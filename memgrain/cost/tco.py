"""Cost formulas of one chip: per year of ownership and per second of work."""

from __future__ import annotations

import math
from dataclasses import dataclass

HOURS = 8760.0
"""Hours per year."""
HOUR = 3600.0
"""Seconds per hour, and kilojoules per kilowatt-hour."""


@dataclass(frozen=True)
class CostValues:
    """The inputs of a bill, each at one point of its range; see `spec.ChipCost` and `spec.Site`."""

    price: float
    """USD."""
    rent: float
    """USD per hour."""
    power: float
    """W."""
    busy: float
    """Fraction of the power drawn at work."""
    idle: float
    """Fraction of the power drawn while idle."""
    server: float
    """USD."""
    electricity: float
    """USD per kWh."""
    pue: float
    """Power of the building ÷ power of its computers."""
    server_power: float
    """Power of a server ÷ power of its chips."""
    hosting: float
    """USD per kW and month."""
    upkeep: float
    """Fraction of the investment per year."""
    interest: float
    """Fraction of the outstanding debt per year."""
    lifetime: float
    """Years."""
    utilisation: float
    """Fraction of all hours at work."""


def annuity(interest: float, years: float) -> float:
    """Annual payment per unit of a loan, interest included, that repays it in `years`."""
    paid = -math.expm1(-years * math.log1p(interest))  # 0 without interest, or if the interest is too small for a float
    return interest / paid if paid else 1 / years


def held_year(n: CostValues) -> float:
    """USD per year of ownership, independent of use: capital, upkeep, and hosting of the rated server power."""
    capital = (n.price + n.server) * (annuity(n.interest, n.lifetime) + n.upkeep)
    return capital + n.hosting * 12 * n.power * n.server_power / 1000


def at_meter(n: CostValues, share: float) -> float:
    """Watts at the building's meter while the chip draws `share` of its power."""
    return n.power * share * n.server_power * n.pue


def tco_year(n: CostValues) -> float:
    """USD per year of ownership: `held_year` plus the energy at work and while idle."""
    watts = n.utilisation * at_meter(n, n.busy) + (1 - n.utilisation) * at_meter(n, n.idle)
    return held_year(n) + watts / 1000 * HOURS * n.electricity


def busy_joules(n: CostValues) -> float:
    """Joules at the meter per second of work, including (1 - u) / u seconds of idling for each."""
    return at_meter(n, n.busy) + at_meter(n, n.idle) * (1 - n.utilisation) / n.utilisation


def owned_second(n: CostValues) -> float:
    """USD per second of work on an owned chip: its share of the yearly cost plus its energy."""
    return held_year(n) / (HOURS * HOUR * n.utilisation) + busy_joules(n) / 1000 / HOUR * n.electricity


def rented_second(n: CostValues) -> float:
    """USD per second of work on a chip rented by the hour, including idle hours."""
    return n.rent / HOUR / n.utilisation
