"""What an experiment finds: a number with its interval, or a text; and how it is reproduced."""

from __future__ import annotations

from dataclasses import dataclass

from memgrain.claims.interval import ValueInterval


@dataclass(frozen=True)
class ResultMatrix:
    """Numbers beside a finding: of several designs, or of designs on several chips."""

    title: str
    """What the numbers are."""
    columns: tuple[str, ...]
    """What each column is of."""
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    """What each row is of, and its numbers; a row without a name is that of the case."""


@dataclass(frozen=True)
class ExperimentResult:
    """The answer of one experiment."""

    found: ValueInterval | str
    """A number, in the experiment's unit, or a text."""
    unit: str
    """Unit of the number; empty for a ratio or a text."""
    command: str
    """The command that shows it."""
    note: str = ""
    """On what it rests, where that needs a sentence."""
    matrix: ResultMatrix | None = None
    """Numbers that it was chosen from."""

    @property
    def text(self) -> str:
        """As a person reads it: the number with its interval."""
        if isinstance(self.found, str):
            return self.found
        low, value, high = (number_text(part) for part in (self.found.low, self.found.value, self.found.high))
        span = "" if low == high else f" ({low} to {high})"
        return f"{value}{span}{' ' if self.unit else ''}{self.unit}"


def number_text(value: float) -> str:
    """A number in three digits, whole ones up to a million as they are."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{float(f'{value:.3g}'):,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"
