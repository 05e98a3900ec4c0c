"""Published scores of sparse attention: rows with their sources, and what lies between two of them, never outside.

published.csv holds the rows, findings.csv what papers say that is no score of one method at one budget.
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
"""Task of a row that is the mean of a benchmark's tasks."""
ROUNDED = 0.005
"""Relative difference of budgets that count as one: papers write 1.56 % for 1/64."""


class Row(BaseModel):
    """One published score."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    """How tokens are selected; `_v_only` is the paper's variant that does so for V alone."""
    model: str
    """The language model, as the source names it."""
    benchmark: str
    """What was asked."""
    task: str
    """One task of the benchmark, or the average of all."""
    context: int | None = Field(gt=0)
    """Tokens; None where the texts of a benchmark have many lengths."""
    budget: float = Field(gt=0)
    """What a step reads, in the unit that `given` names."""
    given: Literal["share", "tokens"]
    """Whether the source gives the budget as a share of the context or in tokens."""
    score: float = Field(ge=0, le=100)
    """Points of 100."""
    full: float = Field(ge=0, le=100)
    """What the same model scores with full attention, in the same source; points of 100."""
    source: str = Field(min_length=1)
    """Paper and table."""

    @model_validator(mode="after")
    def _a_share_is_at_most_one(self) -> Row:
        if self.given == "share" and self.budget > 1:
            raise ValueError(f"share {self.budget:g} is above 1; give tokens")
        return self

    @property
    def share(self) -> float | None:
        """The budget as a share of the context; None where the source gives tokens and no context."""
        if self.given == "share":
            return self.budget
        return None if self.context is None else self.budget / self.context

    @property
    def tokens(self) -> float | None:
        """The budget in tokens; None where the source gives a share and no context."""
        if self.given == "tokens":
            return self.budget
        return None if self.context is None else self.budget * self.context

    def measured(self, unit: Literal["share", "tokens"]) -> float | None:
        """The budget in that unit."""
        return self.share if unit == "share" else self.tokens


@dataclass(frozen=True)
class Answer:
    """What one source says."""

    score: float
    """Points of 100."""
    full: float
    """Full attention, same model and source."""
    rows: tuple[Row, ...]
    """The row at this budget, or the two that it lies between."""

    @property
    def interpolated(self) -> bool:
        """Whether the score lies between two rows."""
        return len(self.rows) == 2

    @property
    def difference(self) -> float:
        """Score less that of full attention, points."""
        return self.score - self.full


@dataclass(frozen=True)
class Score:
    """What published figures say about one method, model, benchmark, context and budget."""

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
    """As asked: a share if at most 1, else tokens."""
    answers: tuple[Answer, ...]
    """One for each source."""

    @property
    def low(self) -> float:
        """The lowest score that a source gives: what a search may count on."""
        return min(answer.score for answer in self.answers)

    @property
    def high(self) -> float:
        """The highest score that a source gives; `low` where there is one."""
        return max(answer.score for answer in self.answers)

    @property
    def difference(self) -> float:
        """The lowest difference to full attention that a source gives, points; negative is a loss."""
        return min(answer.difference for answer in self.answers)


@dataclass(frozen=True)
class Finding:
    """What a paper says that is no score of one method at one budget; nothing is computed from it."""

    what: str
    """What was measured."""
    figure: str
    """As the paper gives it."""
    source: str
    """The paper."""


@lru_cache
def published() -> tuple[Row, ...]:
    """Every row of published.csv."""
    with (FOLDER / "published.csv").open(encoding="utf-8", newline="") as file:
        return tuple(Row.model_validate({**line, "context": line["context"] or None}) for line in csv.DictReader(file))


@lru_cache
def findings() -> tuple[Finding, ...]:
    """Every line of findings.csv."""
    with (FOLDER / "findings.csv").open(encoding="utf-8", newline="") as file:
        return tuple(Finding(line["what"], line["figure"], line["source"]) for line in csv.DictReader(file))


def floor(
    method: str, budget: float, benchmark: str, model: str, context: int | None = None, task: str = AVERAGE
) -> Score:
    """The published score; see `answer`. A search may count on its `low`."""
    return answer(published(), method, budget, benchmark, model, context, task)


def answer(
    rows: Sequence[Row],
    method: str,
    budget: float,
    benchmark: str,
    model: str,
    context: int | None = None,
    task: str = AVERAGE,
) -> Score:
    """The score at `budget` (a share if at most 1, else tokens): a row's, or linear in log(budget) between two rows.

    Both are of the same source, method, model, benchmark, task and context. `context` may be left out where all rows
    have one. Raises MemgrainError where no row or no two rows answer.
    """
    if not (math.isfinite(budget) and budget > 0):
        raise MemgrainError(f"budget {budget:g} must be above 0; give a share such as 0.05 or tokens such as 4096")
    rows = _chosen(rows, {"method": method, "benchmark": benchmark, "task": task, "model": model})
    rows, context = _at_context(rows, context)
    unit: Literal["share", "tokens"] = "share" if budget <= 1 else "tokens"
    where = f"{method}, {model}, {benchmark}" + ("" if context is None else f" at {context:,} tokens")
    if any(row.measured(unit) is None for row in rows):
        asked, other = ("tokens", "a share, at most 1") if unit == "tokens" else ("a share", "tokens, more than 1")
        raise MemgrainError(f"{where}: budget {budget:g} is {asked}, in which the source gives none; give {other}")
    sources = dict.fromkeys(row.source for row in rows)
    answers = [_between([row for row in rows if row.source == source], unit, budget) for source in sources]
    found = tuple(item for item in answers if item is not None)
    if not found:
        raise MemgrainError(
            f"{where}: budget {budget:g} is outside what was published ({_ranges(rows, unit)}), and "
            "nothing is guessed beyond it; choose a budget within"
        )
    return Score(method, model, benchmark, task, context, budget, found)


def models(method: str, benchmark: str, task: str = AVERAGE) -> list[str]:
    """Models of which there are rows; raises MemgrainError if there are none."""
    rows = _chosen(published(), {"method": method, "benchmark": benchmark, "task": task})
    return list(dict.fromkeys(row.model for row in rows))


def _chosen(rows: Sequence[Row], wanted: dict[str, str]) -> Sequence[Row]:
    """Rows that have all these; raises MemgrainError at the first that none has."""
    before = ""
    for key, value in wanted.items():
        known = list(dict.fromkeys(getattr(row, key) for row in rows))
        if value not in known:
            raise MemgrainError(f"no published row of {key} '{value}'{before}; there are {', '.join(known)}")
        rows = [row for row in rows if getattr(row, key) == value]
        before = f"{before or ' for'} {value}"
    return rows


def _at_context(rows: Sequence[Row], context: int | None) -> tuple[Sequence[Row], int | None]:
    """Rows of one context, and which it is."""
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


def _between(rows: Sequence[Row], unit: Literal["share", "tokens"], budget: float) -> Answer | None:
    """What one source's rows say; None outside them."""
    ordered = sorted(((_log(row, unit), row) for row in rows), key=lambda pair: pair[0])
    place = math.log(budget)
    for at, row in ordered:
        if abs(at - place) <= ROUNDED:
            return Answer(row.score, row.full, (row,))
    for (below, first), (above, second) in pairwise(ordered):
        if below < place < above:
            part = (place - below) / (above - below)
            return Answer(first.score + part * (second.score - first.score), first.full, (first, second))
    return None


def _log(row: Row, unit: Literal["share", "tokens"]) -> float:
    measured = row.measured(unit)
    if measured is None:
        raise MemgrainError(f"{row.source}: no budget in {unit}; ask in the other unit")
    return math.log(measured)


def _ranges(rows: Sequence[Row], unit: Literal["share", "tokens"]) -> str:
    ends = sorted(math.exp(_log(row, unit)) for row in rows)
    return f"{ends[0]:.4g} alone" if len(ends) == 1 else f"{ends[0]:.4g} to {ends[-1]:.4g}"
