"""Money and energy per token of a model on a bought or rented chip. Every input number has a source."""

from memgrain.cost.bill import Amount, Bill, BreakEven, Driver, bill, break_even, drivers
from memgrain.cost.cost_input import CostInput
from memgrain.cost.load import cost_names, load_cost, load_site
from memgrain.cost.spec import TOKEN_KINDS, ChipCost, Site, TokenKind
from memgrain.cost.work import TokenWork, work

__all__ = [
    "TOKEN_KINDS",
    "Amount",
    "Bill",
    "BreakEven",
    "ChipCost",
    "CostInput",
    "Driver",
    "Site",
    "TokenKind",
    "TokenWork",
    "bill",
    "break_even",
    "cost_names",
    "drivers",
    "load_cost",
    "load_site",
    "work",
]
