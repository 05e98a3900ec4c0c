"""What a chip costs a year and a second of its work: plain arithmetic over plain numbers, all of one chip."""

from __future__ import annotations

import math
from dataclasses import dataclass

HOURS = 8760.0
"""Hours of a year."""
HOUR = 3600.0
"""Seconds of an hour, and kilojoules of a kilowatt-hour."""


@dataclass(frozen=True)
class Numbers:
    """The numbers of a bill, each at one point of its range; see `spec.ChipCost` and `spec.Site`."""

    price: float
    """USD."""
    rent: float
    """USD an hour."""
    power: float
    """W."""
    busy: float
    """Share of the power that is drawn at work."""
    idle: float
    """Share of the power that is drawn while waiting."""
    server: float
    """USD."""
    electricity: float
    """USD a kWh."""
    pue: float
    """Power of the building over that of its computers."""
    server_power: float
    """Power of a server over that of its chips."""
    hosting: float
    """USD a kW and month."""
    upkeep: float
    """Share of what was invested, a year."""
    interest: float
    """Share of what is owed, a year."""
    lifetime: float
    """Years."""
    utilisation: float
    """Share of all hours at work."""


def annuity(interest: float, years: float) -> float:
    """Share of a sum that is paid back each year, interest included, so that nothing is owed after that many years."""
    paid = -math.expm1(-years * math.log1p(interest))  # 0 without interest, or where it is too small for a float
    return interest / paid if paid else 1 / years


def held_year(n: Numbers) -> float:
    """USD a year for having the chip, at work or not: capital, upkeep, hosting of what its server may draw."""
    capital = (n.price + n.server) * (annuity(n.interest, n.lifetime) + n.upkeep)
    return capital + n.hosting * 12 * n.power * n.server_power / 1000


def at_meter(n: Numbers, share: float) -> float:
    """Watts at the building's meter while the chip draws that share of its power."""
    return n.power * share * n.server_power * n.pue


def tco_year(n: Numbers) -> float:
    """USD a year of owning the chip: `held_year` and the energy of work and of waiting."""
    watts = n.utilisation * at_meter(n, n.busy) + (1 - n.utilisation) * at_meter(n, n.idle)
    return held_year(n) + watts / 1000 * HOURS * n.electricity


def busy_joules(n: Numbers) -> float:
    """Joules at the meter for a second of work, the waiting that goes with it included: (1 - u) / u seconds of it."""
    return at_meter(n, n.busy) + at_meter(n, n.idle) * (1 - n.utilisation) / n.utilisation


def owned_second(n: Numbers) -> float:
    """USD for a second of work of a chip that is owned: its part of the year and its energy."""
    return held_year(n) / (HOURS * HOUR * n.utilisation) + busy_joules(n) / 1000 / HOUR * n.electricity


def rented_second(n: Numbers) -> float:
    """USD for a second of work of a chip that is rented by the hour, waiting included."""
    return n.rent / HOUR / n.utilisation
