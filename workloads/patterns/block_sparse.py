"""Every query reads its own aligned block and a choice of the blocks before it."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.patterns.visits import Seen, Visits, always, merged
from memgrain.workloads.shape import AttentionShape


class BlockSparse(BaseModel):
    """A query at position p reads its block up to p and the selected blocks before; blocks are aligned to their size.

    The share of blocks is `selection.ratio`; the selection's unit is the block.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    needs_selection: ClassVar[bool] = True

    kind: Literal["block_sparse"]
    """Name in the table of patterns."""
    block: int = Field(ge=1, le=2**20)
    """Tokens of a block."""

    def mask(self, shape: AttentionShape, selected: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """The definition, [q_len, kv_len]; `selected` [kv_len] are the chosen tokens, all of them where absent."""
        chosen = np.ones(shape.kv_len, bool) if selected is None else selected
        token, at = np.arange(shape.kv_len), shape.positions()
        read: NDArray[np.bool_] = (token <= at) & ((token // self.block == at // self.block) | chosen)
        return read

    def visits(self, shape: AttentionShape, q_start: int, q_stop: int, selecting: bool) -> Visits:
        """Tokens that queries [q_start, q_stop) read together; without `selecting` every block is read."""
        local, stop = shape.position(q_start) // self.block * self.block, shape.position(q_stop - 1) + 1
        if not selecting:
            return Visits(((0, stop),))
        return Visits(merged([(local, stop)]), (0, local))

    def each(self, shape: AttentionShape, queries: NDArray[np.int64], selecting: bool) -> Seen:
        """Tokens that each query reads for itself; `selecting` as in `visits`."""
        stop = shape.position(0) + queries + 1
        local = (stop - 1) // self.block * self.block
        return Seen(stop - local, np.zeros_like(local), local) if selecting else always(stop)
