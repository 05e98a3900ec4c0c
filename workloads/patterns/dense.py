"""Every query reads every token."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from memgrain.workloads.patterns.visits import Seen, Visits, open_to_all
from memgrain.workloads.shape import AttentionShape


class Dense(BaseModel):
    """Every query reads every token; with a selection, every query reads the selected tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    needs_selection: ClassVar[bool] = False

    kind: Literal["dense"]
    """Name in the table of patterns."""

    def mask(self, shape: AttentionShape, selected: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """The definition, [q_len, kv_len]; `selected` [kv_len] are the chosen tokens, all of them where absent."""
        chosen = np.ones(shape.kv_len, bool) if selected is None else selected
        return np.broadcast_to(chosen, (shape.q_len, shape.kv_len)).copy()

    def visits(self, shape: AttentionShape, q_start: int, q_stop: int, selecting: bool) -> Visits:
        """Tokens that queries [q_start, q_stop) read; `selecting` turns the ranges into candidates."""
        return Visits((), (0, shape.kv_len)) if selecting else Visits(((0, shape.kv_len),))

    def each(self, shape: AttentionShape, queries: NDArray[np.int64], selecting: bool) -> Seen:
        """Tokens that each query reads for itself; `selecting` as in `visits`."""
        return open_to_all(shape.kv_len, queries, selecting)
