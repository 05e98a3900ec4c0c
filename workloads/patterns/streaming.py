"""StreamingLLM's cache: the first tokens (sinks) and a ring of the newest ones; older tokens are dropped."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.patterns.visits import Seen, Visits, open_to_all
from memgrain.workloads.shape import AttentionShape


class Streaming(BaseModel):
    """Every query reads every kept row; shape.kv_len is their number and follows from the context.

    Rows lie as in arXiv 2309.17453: the sinks, then a ring in which the new token takes the row of the oldest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    needs_selection: ClassVar[bool] = False

    kind: Literal["streaming"]
    """Name in the table of patterns."""
    context: int = Field(ge=1, le=2**31 - 1)
    """Tokens of the sequence so far, the new one included."""
    window: int = Field(ge=1, le=2**31 - 1)
    """Tokens of the ring."""
    sinks: int = Field(default=4, ge=0, le=2**31 - 1)
    """First tokens of the sequence, which are kept for ever (4 in the paper)."""

    @property
    def kept(self) -> int:
        """Rows in memory."""
        return min(self.context, self.sinks + self.window)

    def slot(self, batch: int, kv_head: int) -> int:
        """The row of the new token; the same for all heads and sequences."""
        past = self.context - 1 - self.sinks
        return self.context - 1 if past < 0 else self.sinks + past % self.window

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
