"""Columns of the attention matrix: tokens that all queries of a head read, one in every `every`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.selection.share import Share


class ColumnSelection(BaseModel):
    """One random token out of every range of `every` tokens; the same for every q tile.

    Ranges are counted from the first candidate, and an incomplete last range has no column, so that all heads have
    lists of equal length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["columns"]
    """Name in the table of selections."""
    every: int = Field(ge=1, le=2**31 - 1)
    """Tokens of a range: the context over the number of columns."""
    share: Share = "head"
    """Owner of a list: each q head, each KV head's group, or all heads of a batch entry."""
    seed: int = Field(default=0, ge=0)
    """Seed of the generator (PCG64); batch entry and list are mixed in."""

    @property
    def unit(self) -> int:
        """Columns are single tokens."""
        return 1

    def count(self, candidates: int, unit: int) -> int:
        """Tokens chosen out of `candidates` tokens."""
        return candidates // self.every

    def choose(self, batch: int, number: int, tile: int, candidates: tuple[int, int], unit: int) -> NDArray[np.int32]:
        """Token numbers, int32, ascending, of list `number` of batch entry `batch`; equal for every q tile."""
        start, stop = candidates
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self.seed, batch, number))))
        stretches = self.count(stop - start, unit)
        within = rng.integers(0, self.every, stretches, dtype=np.int32)
        return (start + np.arange(stretches, dtype=np.int32) * np.int32(self.every) + within).astype(np.int32)
