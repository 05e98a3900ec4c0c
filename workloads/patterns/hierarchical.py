"""Two tiers: a sliding window that is always read, and a content-based choice of the distant tokens before it."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.patterns.visits import Seen, Visits, always, merged, window_and_sinks
from memgrain.workloads.shape import AttentionShape


class Hierarchical(BaseModel):
    """A query at position p reads its window, the sinks, and those tokens before the window that are selected.

    The share of distant tokens is `selection.ratio` (0.01 to 0.5 in the press article that describes the pattern).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    needs_selection: ClassVar[bool] = True

    kind: Literal["hierarchical"]
    """Name in the table of patterns."""
    window: int = Field(ge=1, le=2**31 - 1)
    """Tokens of the window, the query's own included."""
    sinks: int = Field(default=0, ge=0, le=2**31 - 1)
    """First tokens of the sequence that every query after them reads."""

    def mask(self, shape: AttentionShape, selected: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """The definition, [q_len, kv_len]; `selected` [kv_len] are the chosen tokens, all of them where absent."""
        chosen = np.ones(shape.kv_len, bool) if selected is None else selected
        token, at = np.arange(shape.kv_len), shape.positions()
        read: NDArray[np.bool_] = (token <= at) & ((token < self.sinks) | (token > at - self.window) | chosen)
        return read

    def visits(self, shape: AttentionShape, q_start: int, q_stop: int, selecting: bool) -> Visits:
        """Tokens that queries [q_start, q_stop) read together; without `selecting` every distant token is read."""
        stop = shape.position(q_stop - 1) + 1
        start, sinks = max(0, shape.position(q_start) - self.window + 1), min(self.sinks, stop)
        if not selecting:
            return Visits(((0, stop),))
        return Visits(merged([(0, sinks), (start, stop)]), (min(sinks, start), start))

    def each(self, shape: AttentionShape, queries: NDArray[np.int64], selecting: bool) -> Seen:
        """Tokens that each query reads for itself; `selecting` as in `visits`."""
        at = shape.position(0) + queries
        if not selecting:
            return always(at + 1)
        start = np.maximum(0, at - self.window + 1)
        return Seen(window_and_sinks(at, self.window, self.sinks), np.minimum(self.sinks, start), start)
