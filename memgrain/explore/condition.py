"""A condition on a row: a column, a comparison and a number. It is parsed by a pattern and never evaluated as code."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from memgrain.errors import MemgrainError
from memgrain.inputs.quantities import parse_bytes, parse_duration
from memgrain.runs.labels import check_metric
from memgrain.runs.quantities import plain
from memgrain.runs.rows import Row

_PATTERN = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*(<=|>=|==|<|>)\s*(\S.*?)\s*$")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
NEVER = 1e6
"""Violation of a condition if the row has no number in the column; larger than any computed violation."""


@dataclass(frozen=True)
class Condition:
    """A comparison of a row's column with a number."""

    text: str
    """Text of the condition."""
    metric: str
    """The column: a metric, a counter or a key that was set; `l2.hit_rate` is the metric l2_hit_rate."""
    sign: str
    """One of <=, >=, <, >, ==."""
    bound: float
    """The number, in the column's unit."""

    def value(self, row: Row) -> float | None:
        """The row's value in the column, quantities in base units; None if it is not a number.

        Raises MemgrainError if there is no such column.
        """
        return plain(row[column(self.metric, row)])

    def holds(self, row: Row) -> bool:
        """Whether the row meets the condition. A row without a number does not."""
        found = self.value(row)
        return found is not None and _COMPARE[self.sign](found, self.bound)

    def violation(self, row: Row) -> float:
        """Distance from meeting the condition, relative to the bound; 0 or less if it is met, as samplers expect."""
        found = self.value(row)
        if found is None:
            return NEVER
        distance = abs(found - self.bound) if self.sign == "==" else found - self.bound
        relative = (-distance if ">" in self.sign else distance) / (abs(self.bound) or 1.0)
        return min(relative, 0.0) if self.holds(row) else min(max(relative, 1e-12), NEVER)

    def __str__(self) -> str:
        return self.text


def parse_condition(text: str) -> Condition:
    """Parse a condition such as "dram_read_bytes <= 2 GiB". Raises MemgrainError.

    The number may be a percentage, a size (for columns in bytes) or a duration (for columns in us).
    """
    match = _PATTERN.match(text)
    if match is None:
        raise MemgrainError(
            f"cannot read the condition '{text}'; write COLUMN, one of {' '.join(_COMPARE)}, and a number: "
            "l2_hit_rate >= 0.95"
        )
    return Condition(text.strip(), match[1], match[2], _bound(match[3], match[1], text))


def column(name: str, columns: Iterable[str]) -> str:
    """The column `name`, or `name` with dots replaced by underscores. Raises MemgrainError if there is none."""
    known = list(columns)
    if name in known:
        return name
    flat = name.replace(".", "_")
    if flat not in known:
        check_metric(name, known)
    return flat


def _bound(text: str, metric: str, condition: str) -> float:
    share = text.removesuffix("%")
    try:
        return float(share) / (100 if share != text else 1)
    except ValueError:
        pass
    try:
        return parse_duration(text) / 1e6 if metric.endswith("_us") else float(parse_bytes(text))
    except ValueError:
        raise MemgrainError(
            f"cannot read '{text}' in the condition '{condition}'; write a number, a share such as 95%, a size such as "
            "'2 GiB' for bytes, or for a column that ends with _us a duration such as '200 us'"
        ) from None
