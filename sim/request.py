"""Runs that are asked for together: what one level hands to the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.compiled.lookup import lines_of
from sim.compiled.runs import count_bytes, count_transfer
from workloads.trace import WRITE

NO_INDEX = np.zeros(1, np.int64)
"""Indices of runs that gather nothing."""


class Request:
    """`count` runs from `first` on, all reads or all writes (what a cache sends down is mixed, reads first).

    The sizes that levels ask for are the same at every repeat, and counted once.
    """

    __slots__ = ("_lines", "_transfer", "bytes", "count", "first", "indices", "runs", "writes")

    def __init__(self, runs: NDArray[np.void], indices: NDArray[np.int64], first: int, count: int) -> None:
        self.runs, self.indices, self.first, self.count = runs, indices, first, count
        self.bytes = count_bytes(runs, first, count)
        self.writes = bool(runs[first]["op"] == WRITE)
        self._transfer: dict[tuple[int, int], tuple[int, int]] = {}
        self._lines: dict[int, int] = {}

    def transfer(self, granule: int, rows_per_command: int) -> tuple[int, int]:
        """Bytes with every row rounded up to `granule`, and DMA commands."""
        key = (granule, rows_per_command)
        if key not in self._transfer:
            self._transfer[key] = count_transfer(self.runs, self.first, self.count, granule, rows_per_command)
        return self._transfer[key]

    def lines(self, size: int) -> int:
        """Most lines of `size` bytes that the runs can touch."""
        if size not in self._lines:
            self._lines[size] = lines_of(self.runs, self.first, self.count, size)
        return self._lines[size]
