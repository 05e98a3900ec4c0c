"""MInference's vertical-slash heads: diagonals of the attention matrix near the query, and chosen columns before
them."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.patterns.visits import Seen, Visits, always, merged
from memgrain.workloads.shape import AttentionShape


class VerticalSlash(BaseModel):
    """The queries of a block read, for each diagonal, the block of tokens at that distance before theirs (up to the
    query itself), and the selected tokens beyond `reach`.

    Diagonals are read in blocks as in the kernel of arXiv 2407.02490 and are the same for all heads; columns come from
    the selection, so each head may have its own (`share: head`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    needs_selection: ClassVar[bool] = True

    kind: Literal["vertical_slash"]
    """Name in the table of patterns."""
    slashes: int = Field(ge=1, le=2**20)
    """Diagonals, that of the queries themselves included."""
    reach: int = Field(ge=1, le=2**31 - 1)
    """Distance in tokens within which diagonals lie; columns are chosen beyond it."""
    block: int = Field(default=64, ge=1, le=2**20)
    """Queries of a block, and tokens of a diagonal that they read together (64 in the paper); a q tile lies in one
    block."""
    seed: int = Field(default=0, ge=0)
    """Seed of the diagonals' distances (PCG64)."""

    @model_validator(mode="after")
    def _room(self) -> VerticalSlash:
        if self.slashes > self.reach // self.block:
            raise WorkloadError(
                f"slashes {self.slashes} exceeds the {self.reach // self.block} blocks of {self.block} in reach "
                f"{self.reach}; raise reach or lower slashes"
            )
        return self

    @property
    def distances(self) -> tuple[int, ...]:
        """Distances of the diagonals in tokens, ascending from 0: whole blocks below reach."""
        rng = np.random.Generator(np.random.PCG64(self.seed))
        others = rng.permutation(self.reach // self.block - 1)[: self.slashes - 1] + 1
        return tuple(int(number) * self.block for number in sorted([0, *others]))

    def mask(self, shape: AttentionShape, selected: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """The definition, [q_len, kv_len]; `selected` [kv_len] are the chosen tokens, all of them where absent."""
        chosen = np.ones(shape.kv_len, bool) if selected is None else selected
        token, at = np.arange(shape.kv_len), shape.positions()
        begin = shape.position(0) + np.arange(shape.q_len)[:, None] // self.block * self.block
        read = (token < begin + self.block - self.reach // self.block * self.block) & chosen
        for distance in self.distances:
            read |= (token >= begin - distance) & (token < begin - distance + self.block)
        within: NDArray[np.bool_] = read & (token <= at)
        return within

    def visits(self, shape: AttentionShape, q_start: int, q_stop: int, selecting: bool) -> Visits:
        """Tokens that queries [q_start, q_stop) read together; without `selecting` every distant token is read.

        Raises WorkloadError if they lie in two blocks.
        """
        first = q_start // self.block * self.block
        if q_stop > first + self.block:
            raise WorkloadError(
                f"queries {q_start}..{q_stop - 1} of a tile lie in two blocks of {self.block}; set tiling.block_q to a "
                "divisor of pattern.block"
            )
        begin, stop = shape.position(first), shape.position(q_stop - 1) + 1
        strips = [(max(0, begin - d), min(begin - d + self.block, stop)) for d in self.distances]
        far = max(0, begin + self.block - self.reach // self.block * self.block)
        far = min(far, stop)
        if not selecting:
            return Visits(merged([(0, far), *strips]))
        return Visits(merged(strips), (0, far))

    def each(self, shape: AttentionShape, queries: NDArray[np.int64], selecting: bool) -> Seen:
        """Tokens that each query reads for itself; `selecting` as in `visits`."""
        begin, stop = shape.position(0) + queries // self.block * self.block, shape.position(0) + queries + 1
        slashes = [np.minimum(begin - d + self.block, stop) - np.maximum(0, begin - d) for d in self.distances]
        near = sum((np.maximum(0, tokens) for tokens in slashes), np.zeros_like(stop))
        far = np.clip(begin + self.block - self.reach // self.block * self.block, 0, stop)
        return Seen(near, np.zeros_like(far), far) if selecting else always(near + far)
