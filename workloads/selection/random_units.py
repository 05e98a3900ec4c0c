"""A random choice of tokens, or of aligned blocks of tokens, out of a range of candidates."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.selection.share import Share


class RandomSelection(BaseModel):
    """Distinct units of `unit` tokens, each set of that size equally likely; the same seed gives the same lists."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["random"]
    """Name in the table of selections."""
    ratio: float | None = Field(default=None, gt=0, le=1)
    """Share of the candidates that is read (rounded down to whole units, at least one); this or `tokens`."""
    tokens: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """Tokens read (rounded down to whole units, at least one; all candidates if there are fewer); this or `ratio`."""
    unit: int | None = Field(default=None, ge=1, le=2**20)
    """Tokens of a unit, aligned to its size; where absent the pattern's block, or 1."""
    share: Share = "group"
    """Owner of a list: each q head, each KV head's group, or all heads of a batch entry."""
    order: Literal["sorted", "random"] = "sorted"
    """Order in which the kernel reads the units."""
    step: int = Field(default=0, ge=0, le=2**10)
    """Number of the decode step; each after step 0 keeps a share of the lists of the step before."""
    overlap: float | None = Field(default=None, ge=0, le=1)
    """Share of the units that the next step selects again (rounded to whole units); needed where step is not 0."""
    seed: int = Field(default=0, ge=0)
    """Seed of the generator (PCG64); batch entry, list and q tile are mixed in."""

    @model_validator(mode="after")
    def _one_size(self) -> RandomSelection:
        if (self.ratio is None) == (self.tokens is None):
            given = "both" if self.ratio is not None else "neither"
            raise WorkloadError(f"selection has {given} of ratio and tokens, must have one; set ratio or tokens")
        if self.step and self.overlap is None:
            raise WorkloadError(f"selection.step is {self.step} and overlap is missing; set selection.overlap")
        return self

    def count(self, candidates: int, unit: int) -> int:
        """Tokens chosen out of `candidates` tokens in units of `unit` (which divides `candidates`)."""
        if candidates == 0:
            return 0
        wanted = self.tokens if self.ratio is None else int(self.ratio * candidates + 1e-9)
        return max(1, min(wanted or 0, candidates) // unit) * unit

    def choose(self, batch: int, number: int, tile: int, candidates: tuple[int, int], unit: int) -> NDArray[np.int32]:
        """First tokens of the chosen units, int32, of list `number` of batch entry `batch` for q tile `tile`."""
        start, stop = candidates
        units = (stop - start) // unit
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self.seed, batch, number, tile))))
        chosen = sample(rng, units, self.count(stop - start, unit) // unit)
        for _ in range(self.step):
            chosen = redraw(rng, chosen, units, self.overlap or 0.0)
        if self.order == "random":
            rng.shuffle(chosen)
        return (chosen + start // unit) * np.int32(unit)


def sample(rng: np.random.Generator, population: int, count: int) -> NDArray[np.int32]:
    """`count` distinct numbers below `population`, sorted, each set equally likely.

    Random numbers are marked in a bitmap until enough distinct ones are marked (of the set or its complement, whichever
    is smaller). All numbers are treated alike, so the set is uniform; choosing half of 2**20 takes 5 to 10 ms.
    """
    rest = count > population // 2
    wanted = population - count if rest else count
    marked = np.zeros(population, bool)
    while missing := wanted - int(np.count_nonzero(marked)):
        marked[rng.integers(0, population, missing, dtype=np.int32)] = True
    return np.flatnonzero(~marked if rest else marked).astype(np.int32)


def redraw(rng: np.random.Generator, chosen: NDArray[np.int32], population: int, overlap: float) -> NDArray[np.int32]:
    """The share `overlap` of the numbers `chosen`, filled up with new ones below `population`, sorted.

    Which numbers are kept is random. New ones are drawn from all numbers that were not kept, so a dropped one may
    return.
    """
    kept = rng.permutation(chosen)[: round(len(chosen) * overlap)]
    free = np.ones(population, bool)
    free[kept] = False
    fresh = np.flatnonzero(free)[sample(rng, population - len(kept), len(chosen) - len(kept))]
    return np.sort(np.concatenate([kept, fresh.astype(np.int32)]))
