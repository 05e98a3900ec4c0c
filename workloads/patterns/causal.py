"""Every query reads the tokens up to its own."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from memgrain.workloads.patterns.visits import Seen, Visits, always
from memgrain.workloads.shape import AttentionShape


class Causal(BaseModel):
    """A query at position p reads tokens 0..p; with a selection, the selected of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    needs_selection: ClassVar[bool] = False

    kind: Literal["causal"]
    """Name in the table of patterns."""

    def mask(self, shape: AttentionShape, selected: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """The definition, [q_len, kv_len]; `selected` [kv_len] are the chosen tokens, all of them where absent."""
        chosen = np.ones(shape.kv_len, bool) if selected is None else selected
        visible: NDArray[np.bool_] = np.arange(shape.kv_len) <= shape.positions()
        return visible & chosen

    def visits(self, shape: AttentionShape, q_start: int, q_stop: int, selecting: bool) -> Visits:
        """Tokens that queries [q_start, q_stop) read together; `selecting` turns the ranges into candidates."""
        visible = (0, shape.position(q_stop - 1) + 1)
        return Visits((), visible) if selecting else Visits((visible,))

    def each(self, shape: AttentionShape, queries: NDArray[np.int64], selecting: bool) -> Seen:
        """Tokens that each query reads for itself; `selecting` as in `visits`."""
        stop = shape.position(0) + queries + 1
        return Seen(np.zeros_like(stop), np.zeros_like(stop), stop) if selecting else always(stop)
