"""Draws of chips' uncertain parameters from one Latin hypercube, shared by all points that are simulated on them."""

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
    """Something to simulate on draws of a chip's parameters."""

    own: tuple[UncertainParameter, ...]
    """Uncertain parameters of its chip."""
    resolve: Callable[[dict[str, Any]], P]
    """Maps parameters (by dotted name) to the job to run. Raises one of `execute.DOMAIN` if they are refused."""


@dataclass(frozen=True)
class Draw(Generic[P]):
    """One draw of the parameters."""

    settings: dict[str, Any]
    """Parameter values by dotted name."""
    points: tuple[P, ...]
    """Jobs with these parameters."""


class Hypercube(Generic[P]):
    """The source of the draws. A parameter with the same value, range and source in several files is one column."""

    def __init__(self, drawables: Sequence[Drawable[P]], seed: int) -> None:
        self.drawables = drawables
        numbers = dict.fromkeys(known.item for each in drawables for known in each.own)
        self.columns: dict[Provenance, int] = {item: index for index, item in enumerate(numbers)}
        """Column of each parameter with a range."""
        self.drawn = 0
        """Number of draws so far, including refused ones."""
        self.refused = [0] * len(drawables)
        """For each of `drawables`, the number of draws that it refused."""
        self._tried: list[set[tuple[str, Any]]] = [set() for _ in drawables]
        self._engine: Any = (
            qmc.LatinHypercube(len(self.columns), seed=np.random.default_rng(seed)) if self.columns else None
        )

    def together(self, wanted: int, limit: int) -> list[Draw[P]]:
        """Draws that all of `drawables` accept. Raises MemgrainError beyond `limit` draws."""
        found: list[Draw[P]] = []
        while len(found) < wanted:
            if self.drawn >= limit:
                raise MemgrainError(
                    f"of {self.drawn} draws of {len(self.columns)} parameters too few are chips that run the workload; "
                    "narrow the ranges in the YAML, or fix numbers that depend on one another by overrides"
                )
            for quantiles in self._engine.random(wanted - len(found)):
                self.drawn += 1
                draw = self._of_all(quantiles)
                if draw is not None:
                    found.append(draw)
        return found

    def each(self, wanted: Sequence[int], limit: int) -> list[list[Draw[P]]]:
        """For each of `drawables`, the next draws that it accepts, up to its number in `wanted`; fewer beyond `limit`
        draws."""
        found: list[list[Draw[P]]] = [[] for _ in self.drawables]
        while (most := max(n - len(draws) for n, draws in zip(wanted, found, strict=True))) > 0 and self.drawn < limit:
            for quantiles in self._engine.random(most):
                self.drawn += 1
                for index, (count, draws) in enumerate(zip(wanted, found, strict=True)):
                    draw = self._of_one(index, quantiles) if len(draws) < count else None
                    if draw is not None:
                        draws.append(draw)
        return found

    def never(self, kept: Sequence[Draw[P]], index: int | None = None) -> tuple[str, ...]:
        """Alternatives that were tried, are in no draw of `kept`, and are refused on their own too; of
        all drawables, or of the one at `index`."""
        indices = range(len(self.drawables)) if index is None else [index]
        passed = {item for draw in kept for item in draw.settings.items()}
        tried = {item for number in indices for item in self._tried[number]}
        return tuple(
            sorted(
                f"{path}={with_unit(value)}"
                for path, value in tried - passed
                if any(self._refuses(self.drawables[number], path, value) for number in indices)
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
        for index in range(len(self.drawables)):
            draw = self._of_one(index, quantiles)
            if draw is None:
                return None
            settings |= draw.settings
            points += draw.points
        return Draw(settings, tuple(points))

    def _of_one(self, index: int, quantiles: NDArray[np.float64]) -> Draw[P] | None:
        one = self.drawables[index]
        drawn = {known.item.path: known.at(quantiles[self.columns[known.item]]) for known in one.own}
        self._tried[index] |= {(known.item.path, drawn[known.item.path]) for known in one.own if known.choices}
        try:
            return Draw(drawn, (one.resolve(drawn),))
        except DOMAIN:
            self.refused[index] += 1
            return None
