"""Published scores of sparse attention with their sources, and interpolation between two of them, never beyond.

published.csv holds the scores; findings.csv holds results that are not a score of one method at one budget.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.errors import MemgrainError

FOLDER = Path(__file__).parent
AVERAGE = "average"
"""Task name of a row with the mean over a benchmark's tasks."""
ROUNDED = 0.005
"""Budgets within this relative difference count as equal: papers write 1.56 % for 1/64."""


class PublishedScore(BaseModel):
    """One published score."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    """Selection method; `_v_only` is the paper's variant that selects for V alone."""
    model: str
    """The language model, as the source names it."""
    benchmark: str
    """Name of the benchmark."""
    task: str
    """One task of the benchmark, or the average of all."""
    context: int | None = Field(gt=0)
    """Tokens; None if the texts of the benchmark vary in length."""
    budget: float = Field(gt=0)
    """Selected part of the context, in the unit that `given` names."""
    given: Literal["share", "tokens"]
    """Whether the source gives the budget as a share of the context or in tokens."""
    score: float = Field(ge=0, le=100)
    """Points of 100."""
    full: float = Field(ge=0, le=100)
    """Score of the same model with full attention in the same source; points of 100."""
    source: str = Field(min_length=1)
    """Paper and table."""

    @model_validator(mode="after")
    def _a_share_is_at_most_one(self) -> PublishedScore:
        if self.given == "share" and self.budget > 1:
            raise ValueError(f"share {self.budget:g} is above 1; give tokens")
        return self

    @property
    def share(self) -> float | None:
        """The budget as a fraction of the context; None if the source gives tokens without a context."""
        if self.given == "share":
            return self.budget
        return None if self.context is None else self.budget / self.context

    @property
    def tokens(self) -> float | None:
        """The budget in tokens; None if the source gives a share without a context."""
        if self.given == "tokens":
            return self.budget
        return None if self.context is None else self.budget * self.context

    def measured(self, unit: Literal["share", "tokens"]) -> float | None:
        """The budget in the given unit."""
        return self.share if unit == "share" else self.tokens


@dataclass(frozen=True)
class SourceScore:
    """The score by one source, measured or interpolated."""

    score: float
    """Points of 100."""
    full: float
    """Score of full attention with the same model and source."""
    rows: tuple[PublishedScore, ...]
    """The row at this budget, or the two rows around it."""

    @property
    def interpolated(self) -> bool:
        """Whether the score is interpolated between two rows."""
        return len(self.rows) == 2

    @property
    def difference(self) -> float:
        """Score minus that of full attention, in points."""
        return self.score - self.full


@dataclass(frozen=True)
class Score:
    """The published scores of one method, model, benchmark, context and budget."""

    method: str
    """As in the table."""
    model: str
    """As in the table."""
    benchmark: str
    """As in the table."""
    task: str
    """As in the table."""
    context: int | None
    """Tokens."""
    budget: float
    """The requested budget: a share if at most 1, else tokens."""
    answers: tuple[SourceScore, ...]
    """One result per source."""

    @property
    def low(self) -> float:
        """The lowest score by any source; a search uses this one."""
        return min(answer.score for answer in self.answers)

    @property
    def high(self) -> float:
        """The highest score by any source; equal to `low` if there is one source."""
        return max(answer.score for answer in self.answers)

    @property
    def difference(self) -> float:
        """The lowest difference from full attention by any source, in points; negative is a loss."""
        return min(answer.difference for answer in self.answers)


@dataclass(frozen=True)
class PublishedFinding:
    """A published result that is not a score of one method at one budget. Nothing is computed from it."""

    what: str
    """What was measured."""
    figure: str
    """As the paper gives it."""
    source: str
    """The paper."""


@lru_cache
def published() -> tuple[PublishedScore, ...]:
    """All rows of published.csv."""
    with (FOLDER / "published.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            PublishedScore.model_validate({**line, "context": line["context"] or None}) for line in csv.DictReader(file)
        )


@lru_cache
def findings() -> tuple[PublishedFinding, ...]:
    """All rows of findings.csv."""
    with (FOLDER / "findings.csv").open(encoding="utf-8", newline="") as file:
        return tuple(PublishedFinding(line["what"], line["figure"], line["source"]) for line in csv.DictReader(file))


def floor(
    method: str, budget: float, benchmark: str, model: str, context: int | None = None, task: str = AVERAGE
) -> Score:
    """The published score; see `answer`. A search uses its `low`."""
    return answer(published(), method, budget, benchmark, model, context, task)


def answer(
    rows: Sequence[PublishedScore],
    method: str,
    budget: float,
    benchmark: str,
    model: str,
    context: int | None = None,
    task: str = AVERAGE,
) -> Score:
    """The score at `budget` (a share if at most 1, else tokens): a row's, or interpolated linearly in log(budget).

    The two rows of an interpolation have the same source, method, model, benchmark, task and context. `context` may be
    omitted if all rows have the same. Raises MemgrainError if there is no such row and no two rows around it.
    """
    if not (math.isfinite(budget) and budget > 0):
        raise MemgrainError(f"budget {budget:g} must be above 0; give a share such as 0.05 or tokens such as 4096")
    rows = _chosen(rows, {"method": method, "benchmark": benchmark, "task": task, "model": model})
    rows, context = _at_context(rows, context)
    unit: Literal["share", "tokens"] = "share" if budget <= 1 else "tokens"
    where = f"{method}, {model}, {benchmark}" + ("" if context is None else f" at {context:,} tokens")
    if any(row.measured(unit) is None for row in rows):
        given, other = ("tokens", "a share, at most 1") if unit == "tokens" else ("a share", "tokens, more than 1")
        raise MemgrainError(f"{where}: budget {budget:g} is {given}, in which the source gives none; give {other}")
    sources = dict.fromkeys(row.source for row in rows)
    answers = [_between([row for row in rows if row.source == source], unit, budget) for source in sources]
    found = tuple(item for item in answers if item is not None)
    if not found:
        raise MemgrainError(
            f"{where}: budget {budget:g} is outside what was published ({_ranges(rows, unit)}), and "
            "scores are not extrapolated; choose a budget within"
        )
    return Score(method, model, benchmark, task, context, budget, found)


def models(method: str, benchmark: str, task: str = AVERAGE) -> list[str]:
    """Models with rows; raises MemgrainError if there are none."""
    rows = _chosen(published(), {"method": method, "benchmark": benchmark, "task": task})
    return list(dict.fromkeys(row.model for row in rows))


def _chosen(rows: Sequence[PublishedScore], wanted: dict[str, str]) -> Sequence[PublishedScore]:
    """Rows with all these values; raises MemgrainError at the first value that no row has."""
    before = ""
    for key, value in wanted.items():
        known = list(dict.fromkeys(getattr(row, key) for row in rows))
        if value not in known:
            raise MemgrainError(f"no published row of {key} '{value}'{before}; there are {', '.join(known)}")
        rows = [row for row in rows if getattr(row, key) == value]
        before = f"{before or ' for'} {value}"
    return rows


def _at_context(rows: Sequence[PublishedScore], context: int | None) -> tuple[Sequence[PublishedScore], int | None]:
    """Rows of one context, and that context."""
    known = list(dict.fromkeys(row.context for row in rows))
    if context is None and len(known) == 1:
        return rows, known[0]
    found = [row for row in rows if row.context == context]
    if context is None or not found:
        contexts = ", ".join(f"{length:,}" for length in known if length is not None)
        shown = "no context was given" if context is None else f"nothing was published at {context:,} tokens"
        mend = f"give one of {contexts}" if contexts else "its texts have many lengths; leave the context out"
        first = rows[0]
        raise MemgrainError(f"{first.method}, {first.model}, {first.benchmark}: {shown}; {mend}")
    return found, context


def _between(rows: Sequence[PublishedScore], unit: Literal["share", "tokens"], budget: float) -> SourceScore | None:
    """The score by the rows of one source; None outside their range."""
    ordered = sorted(((_log(row, unit), row) for row in rows), key=lambda pair: pair[0])
    index = math.log(budget)
    for at, row in ordered:
        if abs(at - index) <= ROUNDED:
            return SourceScore(row.score, row.full, (row,))
    for (below, first), (above, second) in pairwise(ordered):
        if below < index < above:
            part = (index - below) / (above - below)
            return SourceScore(first.score + part * (second.score - first.score), first.full, (first, second))
    return None


def _log(row: PublishedScore, unit: Literal["share", "tokens"]) -> float:
    measured = row.measured(unit)
    if measured is None:
        raise MemgrainError(f"{row.source}: no budget in {unit}; use the other unit")
    return math.log(measured)


def _ranges(rows: Sequence[PublishedScore], unit: Literal["share", "tokens"]) -> str:
    ends = sorted(math.exp(_log(row, unit)) for row in rows)
    return f"{ends[0]:.4g} alone" if len(ends) == 1 else f"{ends[0]:.4g} to {ends[-1]:.4g}"
