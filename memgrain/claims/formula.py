"""Formulas of claims: numbers, dotted names, + - * / **, and a few functions. Python's parser reads them and this
module evaluates the tree, so that a file cannot run code."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from memgrain.errors import MemgrainError

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {"min": min, "max": max, "log2": math.log2, "ceil": math.ceil}


@dataclass(frozen=True)
class Formula:
    """A parsed formula."""

    text: str
    """The text of the formula."""
    tree: ast.expr
    """The syntax tree."""
    names: tuple[str, ...]
    """The distinct names in the formula."""

    def __call__(self, numbers: Mapping[str, float]) -> float:
        """Evaluate the formula. Raises MemgrainError if it has no value for these numbers."""
        try:
            return float(_worked_out(self.tree, numbers))
        except (ZeroDivisionError, OverflowError, ValueError) as error:
            raise MemgrainError(f"'{self.text}' has no value ({error}); correct its numbers") from None


def read_formula(text: str) -> Formula:
    """Parse a formula. Raises MemgrainError if the text is not one."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise MemgrainError(f"cannot read the formula '{text}'; write one such as 'price * tokens / 1e6'") from None
    return Formula(text, tree, tuple(dict.fromkeys(_names(tree, text))))


def _names(node: ast.expr, text: str) -> list[str]:
    """The names in a formula. Raises MemgrainError for a construct that is not allowed."""
    name = _name(node)
    if name is not None:
        return [name]
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return []
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _names(node.operand, text)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _names(node.left, text) + _names(node.right, text)
    if isinstance(node, ast.Call) and not node.keywords and _name(node.func) in _FUNCTIONS:
        return [name for part in node.args for name in _names(part, text)]
    raise MemgrainError(
        f"'{ast.unparse(node)}' in the formula '{text}' is no number, name, + - * / ** or one of "
        f"{', '.join(_FUNCTIONS)}; write it with these"
    )


def _name(node: ast.expr) -> str | None:
    """The dotted name that a node stands for; None for any other node."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _name(node.value)
        return None if inner is None else f"{inner}.{node.attr}"
    return None


def _worked_out(node: ast.expr, numbers: Mapping[str, float]) -> Any:
    name = _name(node)
    if name is not None:
        return numbers[name]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp):
        return -_worked_out(node.operand, numbers)
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_worked_out(node.left, numbers), _worked_out(node.right, numbers))
    assert isinstance(node, ast.Call)
    return _FUNCTIONS[str(_name(node.func))](*(_worked_out(part, numbers) for part in node.args))
