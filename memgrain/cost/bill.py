"""What tokens cost on a chip: amounts as intervals, the numbers that move them, and the break-even between two chips.

Every amount is monotone in each number, so its interval has the numbers at those ends of their ranges that make it
least and greatest: nothing is sampled. The time of a token is taken as simulated, without an interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from memgrain.cost.figure import End, Figure
from memgrain.cost.spec import ChipCost, Phase, Site
from memgrain.cost.tco import HOUR, HOURS, Numbers, annuity, busy_joules, owned_second, rented_second, tco_year

MILLION = 1e6
ENDS: tuple[End, End, End] = ("low", "value", "high")
OTHER: dict[End, End] = {"low": "high", "value": "value", "high": "low"}
SAVES = frozenset({"lifetime", "utilisation"})
"""Numbers that make tokens cheaper as they grow; all others make them dearer."""
Sum = Callable[[Numbers], float]


@dataclass(frozen=True)
class Amount:
    """A sum of money or energy and between what it may lie."""

    low: float
    """With every number at the end that makes it least."""
    value: float
    """With every number as its file gives it."""
    high: float
    """With every number at the end that makes it greatest."""


@dataclass(frozen=True)
class Bill:
    """What a kind of tokens costs."""

    phase: Phase
    """Which tokens."""
    chip_seconds: float
    """Seconds of work for one of them, over all chips."""
    rented: Amount
    """USD a million of them, on rented chips."""
    owned: Amount
    """USD a million of them, on owned chips."""
    joules: Amount
    """Joules a token, at the building's meter: with all power drawn at the upper end."""
    tco_year: Amount
    """USD a year of owning one chip that does nothing else."""


@dataclass(frozen=True)
class Driver:
    """A number and the USD for a million tokens with it alone at the ends of its range."""

    name: str
    """Its name, `site.` before those of the site."""
    figure: Figure
    """The number."""
    ends: tuple[float, float]
    """With it at its lowest and at its highest."""


@dataclass(frozen=True)
class BreakEven:
    """Where tokens of a chip and of another cost the same."""

    phase: Phase
    """Which tokens."""
    rent: Amount
    """USD an hour of the chip, against the other rented."""
    price: Amount
    """USD of the chip, against the other owned; below 0: it would cost more even as a gift."""


def figures(cost: ChipCost, site: Site, phase: Phase) -> dict[str, Figure]:
    """The numbers of a bill by the names of `Numbers`."""
    return {
        "price": cost.price,
        "rent": cost.rent,
        "power": cost.power,
        "busy": cost.draw.prefill if phase == "prefill" else cost.draw.decode,
        "idle": cost.draw.idle,
        "server": site.server if cost.server is None else cost.server,
        **{name: getattr(site, name) for name in Site.model_fields if name != "server"},
    }


def bill(cost: ChipCost, site: Site, phase: Phase, chip_seconds: float) -> Bill:
    """What tokens cost that take so many seconds of work each, over all chips."""
    found = figures(cost, site, phase)
    token = MILLION * chip_seconds
    return Bill(
        phase,
        chip_seconds,
        _amount(found, lambda n: rented_second(n) * token),
        _amount(found, lambda n: owned_second(n) * token),
        _amount(found, lambda n: busy_joules(n) * chip_seconds),
        _amount(found, tco_year, saves=SAVES - {"utilisation"}),
    )


def drivers(cost: ChipCost, site: Site, phase: Phase, chip_seconds: float) -> list[Driver]:
    """What each number does to the cost of a million tokens on owned chips, the most telling first."""
    found = figures(cost, site, phase)
    usual = {name: figure.value for name, figure in found.items()}
    chip = _own(cost)

    def cost_with(name: str, value: float) -> float:
        return owned_second(Numbers(**{**usual, name: value})) * MILLION * chip_seconds

    moved = [
        Driver(
            name if name in chip else f"site.{name}",
            figure,
            (cost_with(name, figure.low), cost_with(name, figure.high)),
        )
        for name, figure in found.items()
        if figure.low < figure.high and name != "rent"
    ]
    return sorted(moved, key=lambda driver: -abs(driver.ends[1] - driver.ends[0]))


def break_even(
    cost: ChipCost, other: ChipCost, site: Site, phase: Phase, chip_seconds: float, other_seconds: float
) -> BreakEven:
    """The rent and the price of a chip at which its tokens cost what those of another cost, both at one site.

    The cost of an owned chip is linear in its price, so both have closed forms; of the rent, utilisation drops out. The
    intervals have the chips' numbers at their ends, those of the site as they are: they hold for both chips at once.
    """
    ours, theirs = figures(cost, site, phase), figures(other, site, phase)

    def price(end: End) -> float:
        n = _of_chip(ours, cost, OTHER[end], price=0.0)
        slope = (annuity(n.interest, n.lifetime) + n.upkeep) / (HOURS * HOUR * n.utilisation)
        target = owned_second(_of_chip(theirs, other, end)) * other_seconds
        return (target / chip_seconds - owned_second(n)) / slope

    rents = [other.rent.at(end) * other_seconds / chip_seconds for end in ENDS]
    return BreakEven(phase, Amount(*rents), Amount(*(price(end) for end in ENDS)))


def _amount(found: dict[str, Figure], of: Sum, saves: frozenset[str] = SAVES) -> Amount:
    return Amount(*(of(_at(found, end, saves)) for end in ENDS))


def _at(found: dict[str, Figure], end: End, saves: frozenset[str]) -> Numbers:
    """All numbers at the ends that make an amount least, usual or greatest."""
    return Numbers(**{name: figure.at(OTHER[end] if name in saves else end) for name, figure in found.items()})


def _of_chip(found: dict[str, Figure], cost: ChipCost, end: End, price: float | None = None) -> Numbers:
    """The chip's own numbers at one end, the site's as they are."""
    own = _own(cost)
    numbers = {name: figure.at(end) if name in own else figure.value for name, figure in found.items()}
    return Numbers(**{**numbers, **({} if price is None else {"price": price})})


def _own(cost: ChipCost) -> set[str]:
    """Names of the numbers that are the chip's and not the site's."""
    return {"price", "power", "busy", "idle"} | (set() if cost.server is None else {"server"})
