"""A census of a trace's programs, counted while they run: DMA commands by tensor, score tiles, rows of programs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.trace import Chunk, count_commands, run_times

COMMANDS, BYTES, GATHERED, FEWEST, ENTRIES = range(5)
"""Entries of a tensor: DMA commands, the bytes that they move, those of the commands that move gathered rows, and the
commands that would do if the rows of each run lay at one regular distance."""


@dataclass
class Census:
    """Counts over the chunks of a trace so far."""

    tensors: int
    """Tensors of the trace."""
    rows_per_command: int
    """Rows at a regular distance that one DMA command can move; 0 if no engine takes commands."""
    columns: int = 0
    """Keys of the widest score tile."""
    main: int = 0
    """Programs of chunks without a barrier."""
    heads: set[int] = field(default_factory=set)
    """Batch and head of those, as one number."""
    commands: NDArray[np.int64] = field(init=False)
    """[tensor, ENTRIES]."""

    def __post_init__(self) -> None:
        """Begin with nothing counted."""
        self.commands = np.zeros((self.tensors, ENTRIES), np.int64)

    def add(self, chunk: Chunk) -> None:
        """Count a chunk."""
        scored = chunk.steps["n1"][chunk.steps["exps"] > 0]
        self.columns = max(self.columns, int(scored.max(initial=0)))
        if not chunk.barrier:
            self.main += len(chunk.programs)
            of = chunk.programs["batch"].astype(np.int64) << 32 | chunk.programs["head"]
            self.heads.update(np.unique(of).tolist())
        if self.rows_per_command:
            self._add_commands(chunk)

    def _add_commands(self, chunk: Chunk) -> None:
        runs, times = chunk.runs, run_times(chunk)
        rows, gathered = runs["count"].astype(np.int64), runs["index"] >= 0
        commands = count_commands(runs, self.rows_per_command) * times
        fewest = np.minimum(commands, -(-rows // self.rows_per_command) * times)
        found = np.column_stack([commands, rows * runs["bytes"] * times, commands * gathered, fewest])
        np.add.at(self.commands, runs["tensor"].astype(np.intp), found)

    @property
    def splits(self) -> int:
        """Programs for each batch and head."""
        return self.main // len(self.heads) if self.heads else 0
