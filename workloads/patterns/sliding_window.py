"""Every query reads the last tokens before it, and optionally the first of the sequence (sinks)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.patterns.visits import Seen, Visits, always, merged, window_and_sinks
from memgrain.workloads.shape import AttentionShape


class SlidingWindow(BaseModel):
    """A query at position p reads tokens p - window + 1 .. p and the sinks; a selection chooses within the window."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    needs_selection: ClassVar[bool] = False

    kind: Literal["sliding_window"]
    """Name in the table of patterns."""
    window: int = Field(ge=1, le=2**31 - 1)
    """Tokens of the window, the query's own included."""
    sinks: int = Field(default=0, ge=0, le=2**31 - 1)
    """First tokens of the sequence that every query after them reads (StreamingLLM: 4)."""

    def mask(self, shape: AttentionShape, selected: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """The definition, [q_len, kv_len]; `selected` [kv_len] are the chosen tokens, all of them where absent."""
        chosen = np.ones(shape.kv_len, bool) if selected is None else selected
        token, at = np.arange(shape.kv_len), shape.positions()
        read: NDArray[np.bool_] = (token <= at) & ((token < self.sinks) | ((token > at - self.window) & chosen))
        return read

    def visits(self, shape: AttentionShape, q_start: int, q_stop: int, selecting: bool) -> Visits:
        """Tokens that queries [q_start, q_stop) read together; `selecting` makes the window the candidates."""
        stop = shape.position(q_stop - 1) + 1
        start, sinks = max(0, shape.position(q_start) - self.window + 1), min(self.sinks, stop)
        if not selecting:
            return Visits(merged([(0, sinks), (start, stop)]))
        return Visits(merged([(0, sinks)]), (min(max(start, sinks), stop), stop))

    def each(self, shape: AttentionShape, queries: NDArray[np.int64], selecting: bool) -> Seen:
        """Tokens that each query reads for itself; `selecting` as in `visits`."""
        at = shape.position(0) + queries
        if not selecting:
            return always(window_and_sinks(at, self.window, self.sinks))
        sinks = np.minimum(self.sinks, at + 1)
        return Seen(sinks, np.maximum(np.maximum(0, at - self.window + 1), sinks), at + 1)
