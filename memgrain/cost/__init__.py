"""Money and energy per token of a model on a bought or rented chip. Every input number has a source."""

from memgrain.cost.bill import Amount, Bill, BreakEven, Driver, bill, break_even, drivers
from memgrain.cost.figure import Figure
from memgrain.cost.load import cost_names, load_cost, load_site
from memgrain.cost.spec import PHASES, ChipCost, Phase, Site
from memgrain.cost.work import Work, work

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
