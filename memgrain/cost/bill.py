"""Cost of tokens on a chip: amounts with intervals, the inputs that dominate them, and the break-even of two chips.

Every amount is monotone in each input, so its interval follows from the ends of the input ranges; nothing is sampled.
The simulated time of a token enters without an interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from memgrain.cost.cost_input import CostInput, InputEnd
from memgrain.cost.spec import ChipCost, Site, TokenKind
from memgrain.cost.tco import HOUR, HOURS, CostValues, annuity, busy_joules, owned_second, rented_second, tco_year

MILLION = 1e6
ENDS: tuple[InputEnd, InputEnd, InputEnd] = ("low", "value", "high")
OTHER: dict[InputEnd, InputEnd] = {"low": "high", "value": "value", "high": "low"}
SAVES = frozenset({"lifetime", "utilisation"})
"""Inputs of which a larger value makes tokens cheaper; all others make them more expensive."""
CostFormula = Callable[[CostValues], float]


@dataclass(frozen=True)
class Amount:
    """An amount of money or energy with its interval."""

    low: float
    """Every input at the end of its range that minimises the amount."""
    value: float
    """Every input at the value in its file."""
    high: float
    """Every input at the end of its range that maximises the amount."""


@dataclass(frozen=True)
class Bill:
    """Cost of one kind of tokens."""

    phase: TokenKind
    """Kind of tokens."""
    chip_seconds: float
    """Chip-seconds of work per token (time x number of chips)."""
    rented: Amount
    """USD per million tokens on rented chips."""
    owned: Amount
    """USD per million tokens on owned chips."""
    joules: Amount
    """Joules per token at the building's meter. The upper end assumes that the chip draws its full power."""
    tco_year: Amount
    """USD per year of owning one chip that does only this work."""


@dataclass(frozen=True)
class Driver:
    """The effect of one input: USD per million tokens with it alone at the ends of its range."""

    name: str
    """Name of the input; inputs of the site have the prefix `site.`."""
    figure: CostInput
    """The input."""
    ends: tuple[float, float]
    """USD per million tokens with the input at its lowest and at its highest value."""


@dataclass(frozen=True)
class BreakEven:
    """The rent and price of a chip at which its tokens cost as much as another chip's."""

    phase: TokenKind
    """Kind of tokens."""
    rent: Amount
    """USD per hour of the chip, if the other is rented."""
    price: Amount
    """USD of the chip, if the other is owned. Negative: its tokens cost more even at a price of zero."""


def figures(cost: ChipCost, site: Site, phase: TokenKind) -> dict[str, CostInput]:
    """The inputs of a bill by the field names of `CostInputs`."""
    return {
        "price": cost.price,
        "rent": cost.rent,
        "power": cost.power,
        "busy": cost.draw.prefill if phase == "prefill" else cost.draw.decode,
        "idle": cost.draw.idle,
        "server": site.server if cost.server is None else cost.server,
        **{name: getattr(site, name) for name in Site.model_fields if name != "server"},
    }


def bill(cost: ChipCost, site: Site, phase: TokenKind, chip_seconds: float) -> Bill:
    """Cost of tokens that take `chip_seconds` of work each (time x number of chips)."""
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


def drivers(cost: ChipCost, site: Site, phase: TokenKind, chip_seconds: float) -> list[Driver]:
    """Effect of each uncertain input on the cost of a million tokens on owned chips, the largest first."""
    found = figures(cost, site, phase)
    nominal = {name: figure.value for name, figure in found.items()}
    chip = _own(cost)

    def cost_with(name: str, value: float) -> float:
        return owned_second(CostValues(**{**nominal, name: value})) * MILLION * chip_seconds

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
    cost: ChipCost, other: ChipCost, site: Site, phase: TokenKind, chip_seconds: float, other_seconds: float
) -> BreakEven:
    """The rent and the price of a chip at which its tokens cost as much as another chip's at the same site.

    The cost of an owned chip is linear in its price, so both have closed forms; utilisation cancels out of the rent.
    For the intervals, only the chips' own inputs move to their ends: the site's inputs are common to both chips.
    """
    ours, theirs = figures(cost, site, phase), figures(other, site, phase)

    def price(end: InputEnd) -> float:
        n = _of_chip(ours, cost, OTHER[end], price=0.0)
        slope = (annuity(n.interest, n.lifetime) + n.upkeep) / (HOURS * HOUR * n.utilisation)
        target = owned_second(_of_chip(theirs, other, end)) * other_seconds
        return (target / chip_seconds - owned_second(n)) / slope

    rents = [other.rent.at(end) * other_seconds / chip_seconds for end in ENDS]
    return BreakEven(phase, Amount(*rents), Amount(*(price(end) for end in ENDS)))


def _amount(found: dict[str, CostInput], of: CostFormula, saves: frozenset[str] = SAVES) -> Amount:
    return Amount(*(of(_at(found, end, saves)) for end in ENDS))


def _at(found: dict[str, CostInput], end: InputEnd, saves: frozenset[str]) -> CostValues:
    """All inputs at the ends that give an amount's low, nominal or high value."""
    return CostValues(**{name: figure.at(OTHER[end] if name in saves else end) for name, figure in found.items()})


def _of_chip(found: dict[str, CostInput], cost: ChipCost, end: InputEnd, price: float | None = None) -> CostValues:
    """The chip's own inputs at one end of their ranges, the site's at their values."""
    own = _own(cost)
    numbers = {name: figure.at(end) if name in own else figure.value for name, figure in found.items()}
    return CostValues(**{**numbers, **({} if price is None else {"price": price})})


def _own(cost: ChipCost) -> set[str]:
    """Names of the inputs that belong to the chip, not to the site."""
    return {"price", "power", "busy", "idle"} | (set() if cost.server is None else {"server"})
