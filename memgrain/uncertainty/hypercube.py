"""Draws of the uncertain numbers of chips from one Latin hypercube, the same draw for all that is simulated on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Provenance
from memgrain.runs.execute import DOMAIN
from memgrain.runs.pool import Job
from memgrain.runs.provenance import with_unit
from memgrain.uncertainty.parameters import UncertainParameter

P = TypeVar("P", bound=Job)


@dataclass(frozen=True)
class Drawable(Generic[P]):
    """What is to be simulated on draws of a chip's numbers."""

    own: tuple[UncertainParameter, ...]
    """Uncertain numbers of its chip."""
    resolve: Callable[[dict[str, Any]], P]
    """What runs with these numbers, by dotted name; raises one of `execute.DOMAIN` where they are not admitted."""


@dataclass(frozen=True)
class Draw(Generic[P]):
    """One draw."""

    settings: dict[str, Any]
    """What it sets."""
    points: tuple[P, ...]
    """What runs with that."""


class Hypercube(Generic[P]):
    """Where draws come from: a number that several files give alike, value, range and source, is one column."""

    def __init__(self, asked: Sequence[Drawable[P]], seed: int) -> None:
        self.asked = asked
        numbers = dict.fromkeys(known.item for each in asked for known in each.own)
        self.columns: dict[Provenance, int] = {item: place for place, item in enumerate(numbers)}
        """Numbers with a range, each with its column."""
        self.drawn = 0
        """Draws so far, refused ones included."""
        self.refused = [0] * len(asked)
        """For each of `asked`, draws that it did not admit."""
        self._tried: list[set[tuple[str, Any]]] = [set() for _ in asked]
        self._engine: Any = (
            qmc.LatinHypercube(len(self.columns), seed=np.random.default_rng(seed)) if self.columns else None
        )

    def together(self, wanted: int, limit: int) -> list[Draw[P]]:
        """Draws that all of `asked` admit; raises MemgrainError beyond `limit` draws."""
        found: list[Draw[P]] = []
        while len(found) < wanted:
            if self.drawn >= limit:
                raise MemgrainError(
                    f"of {self.drawn} draws of {len(self.columns)} numbers too few are chips that run the workload; "
                    "narrow the ranges in the YAML, or fix numbers that depend on one another with --set"
                )
            for quantiles in self._engine.random(wanted - len(found)):
                self.drawn += 1
                draw = self._of_all(quantiles)
                if draw is not None:
                    found.append(draw)
        return found

    def each(self, wanted: Sequence[int], limit: int) -> list[list[Draw[P]]]:
        """For each of `asked` so many of the next draws as it admits, from the first on; fewer beyond `limit` draws."""
        found: list[list[Draw[P]]] = [[] for _ in self.asked]
        while (most := max(n - len(draws) for n, draws in zip(wanted, found, strict=True))) > 0 and self.drawn < limit:
            for quantiles in self._engine.random(most):
                self.drawn += 1
                for place, (count, draws) in enumerate(zip(wanted, found, strict=True)):
                    draw = self._of_one(place, quantiles) if len(draws) < count else None
                    if draw is not None:
                        draws.append(draw)
        return found

    def never(self, kept: Sequence[Draw[P]], place: int | None = None) -> tuple[str, ...]:
        """Alternatives tried that are in no draw of `kept` and that are refused by themselves too: of all that is
        asked, or of that at `place`."""
        places = range(len(self.asked)) if place is None else [place]
        passed = {item for draw in kept for item in draw.settings.items()}
        tried = {item for number in places for item in self._tried[number]}
        return tuple(
            sorted(
                f"{path}={with_unit(value)}"
                for path, value in tried - passed
                if any(self._refuses(self.asked[number], path, value) for number in places)
            )
        )

    def _refuses(self, one: Drawable[P], path: str, value: Any) -> bool:
        if any(known.item.path == path for known in one.own):
            try:
                one.resolve({path: value})
            except DOMAIN:
                return True
        return False

    def _of_all(self, quantiles: NDArray[np.float64]) -> Draw[P] | None:
        settings: dict[str, Any] = {}
        points: list[P] = []
        for place in range(len(self.asked)):
            draw = self._of_one(place, quantiles)
            if draw is None:
                return None
            settings |= draw.settings
            points += draw.points
        return Draw(settings, tuple(points))

    def _of_one(self, place: int, quantiles: NDArray[np.float64]) -> Draw[P] | None:
        one = self.asked[place]
        drawn = {known.item.path: known.at(quantiles[self.columns[known.item]]) for known in one.own}
        self._tried[place] |= {(known.item.path, drawn[known.item.path]) for known in one.own if known.choices}
        try:
            return Draw(drawn, (one.resolve(drawn),))
        except DOMAIN:
            self.refused[place] += 1
            return None
