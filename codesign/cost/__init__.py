"""Money and energy: what tokens of a model cost on a chip that is bought or rented, every number with its source."""

from codesign.cost.bill import Amount, Bill, BreakEven, Driver, bill, break_even, drivers
from codesign.cost.figure import Figure
from codesign.cost.load import cost_names, load_cost, load_site
from codesign.cost.spec import PHASES, ChipCost, Phase, Site
from codesign.cost.work import Work, work

__all__ = [
    "PHASES",
    "Amount",
    "Bill",
    "BreakEven",
    "ChipCost",
    "Driver",
    "Figure",
    "Phase",
    "Site",
    "Work",
    "bill",
    "break_even",
    "cost_names",
    "drivers",
    "load_cost",
    "load_site",
    "work",
]
