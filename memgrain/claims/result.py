"""The result of an experiment: a number with its interval or a text, and the command that reproduces it."""

from __future__ import annotations

from dataclasses import dataclass

from memgrain.claims.interval import ValueInterval


@dataclass(frozen=True)
class ResultMatrix:
    """A table of numbers of several designs, or of designs on several chips."""

    title: str
    """Title: what the numbers are."""
    columns: tuple[str, ...]
    """Column names."""
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    """Row names and numbers. A row without a name takes the name of the case."""


@dataclass(frozen=True)
class ExperimentResult:
    """The result of one experiment."""

    found: ValueInterval | str
    """A number in `unit`, or a text."""
    unit: str
    """Unit of the number; empty for a ratio or a text."""
    command: str
    """The command that reproduces the result."""
    note: str = ""
    """The basis of the result; may be empty."""
    matrix: ResultMatrix | None = None
    """The numbers from which the result was selected."""

    @property
    def text(self) -> str:
        """The text, or the number with its interval and unit."""
        if isinstance(self.found, str):
            return self.found
        low, value, high = (rounded(part) for part in (self.found.low, self.found.value, self.found.high))
        span = "" if low == high else f" ({low} to {high})"
        return f"{value}{span}{' ' if self.unit else ''}{self.unit}"


def rounded(value: float) -> str:
    """Format a number with three significant digits; whole numbers up to a million in full."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{float(f'{value:.3g}'):,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"
