"""H2O's cache: for each head the tokens with the most attention so far (heavy hitters) and the newest ones."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.patterns.visits import Seen, Visits, open_to_all
from memgrain.workloads.shape import AttentionShape


class HeavyHitters(BaseModel):
    """Every query reads every kept row; shape.kv_len is their number and follows from the context.

    Heads keep different tokens, but the same number (arXiv 2306.14048). Rows do not move: a new token takes the row of
    the token that its head evicts, which is drawn at random here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    needs_selection: ClassVar[bool] = False

    kind: Literal["heavy_hitters"]
    """Name in the table of patterns."""
    context: int = Field(ge=1, le=2**31 - 1)
    """Tokens of the sequence so far, the new one included."""
    heavy: float = Field(gt=0, le=1)
    """Share of the context that is kept for its attention (rounded down, at least one token)."""
    recent: float = Field(ge=0, le=1)
    """Share of the context that is kept as the newest (rounded down)."""
    seed: int = Field(default=0, ge=0)
    """Seed of the rows of evicted tokens (PCG64); batch entry and head are mixed in."""

    @model_validator(mode="after")
    def _a_share(self) -> HeavyHitters:
        if self.heavy + self.recent > 1:
            raise WorkloadError(
                f"heavy {self.heavy} and recent {self.recent} are more than the whole context; lower one of them"
            )
        return self

    @property
    def kept(self) -> int:
        """Rows in memory, in each head."""
        heavy, recent = (int(share * self.context + 1e-9) for share in (self.heavy, self.recent))
        return max(1, heavy) + min(recent, self.context - max(1, heavy))

    def slot(self, batch: int, kv_head: int) -> int:
        """The row of a head's new token: the last one while nothing is evicted, otherwise a random one."""
        if self.kept == self.context:
            return self.context - 1
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self.seed, batch, kv_head))))
        return int(rng.integers(self.kept))

    def mask(self, shape: AttentionShape, selected: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """The definition, [q_len, kv_len]; `selected` [kv_len] are the chosen rows, all of them where absent."""
        chosen = np.ones(shape.kv_len, bool) if selected is None else selected
        return np.broadcast_to(chosen, (shape.q_len, shape.kv_len)).copy()

    def visits(self, shape: AttentionShape, q_start: int, q_stop: int, selecting: bool) -> Visits:
        """Tokens that queries [q_start, q_stop) read; `selecting` turns the rows into candidates."""
        return Visits((), (0, shape.kv_len)) if selecting else Visits(((0, shape.kv_len),))

    def each(self, shape: AttentionShape, queries: NDArray[np.int64], selecting: bool) -> Seen:
        """Tokens that each query reads for itself; `selecting` as in `visits`."""
        return open_to_all(shape.kv_len, queries, selecting)
