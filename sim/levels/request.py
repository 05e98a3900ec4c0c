"""A request: runs that one level passes to the next together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.levels.dma_requests import count_pieces, count_requests
from memgrain.sim.levels.run_sizes import count_bytes, count_lines, count_slow_rows, count_transfer
from memgrain.workloads.trace import UNCACHED, WRITE

NO_INDEX = np.zeros(1, np.int64)
"""Indices of runs that gather nothing."""


class Request:
    """`count` runs from `first` on, all reads, all writes or all reads past the caches (what a cache sends down is
    mixed, reads first).

    Its sizes are the same at every repeat. Each is counted once, when a level needs it first, because most sizes of the
    requests that a cache sends to the DRAM are never needed.
    """

    __slots__ = (
        *("_lines", "_pieces", "_requests", "_slow_rows", "_transfer"),
        *("bytes", "count", "first", "flags", "indices", "runs", "uncached", "writes"),
    )

    bytes: int
    """Bytes of all runs."""
    writes: bool
    """Whether the first run is a write."""
    uncached: bool
    """Whether the first run is a read past the caches."""

    flags: int
    """Copies that move it, each of which a DMA engine completes before it begins the next one; 0: copies overlap."""

    def __init__(
        self, runs: NDArray[np.void], indices: NDArray[np.int64], first: int, count: int, flags: int = 0
    ) -> None:
        self.runs, self.indices, self.first, self.count, self.flags = runs, indices, first, count, flags

    def __getattr__(self, name: str) -> Any:
        """Count what was not needed before, and keep it."""
        value: Any
        if name == "bytes":
            value = count_bytes(self.runs, self.first, self.count)
        elif name in ("writes", "uncached"):
            value = bool(self.runs[self.first]["op"] == (WRITE if name == "writes" else UNCACHED))
        elif name in self.__slots__:
            value = {}
        else:
            raise AttributeError(name)
        setattr(self, name, value)
        return value

    def transfer(self, granule: int, rows_per_command: int) -> tuple[int, int]:
        """Bytes with every row rounded up to `granule`, and DMA commands."""
        key = (granule, rows_per_command)
        if key not in self._transfer:
            self._transfer[key] = count_transfer(self.runs, self.first, self.count, granule, rows_per_command)
        return self._transfer[key]

    def slow_rows(self, rows_per_command: int, access: int) -> tuple[int, int]:
        """See `count_slow_rows`."""
        key = (rows_per_command, access)
        if key not in self._slow_rows:
            self._slow_rows[key] = count_slow_rows(self.runs, self.first, self.count, rows_per_command, access)
        return self._slow_rows[key]

    def requests(self, largest: int, smallest: int) -> int:
        """Pieces that a DMA engine requests one by one; see `count_requests`."""
        key = (largest, smallest)
        if key not in self._requests:
            self._requests[key] = count_requests(self.runs, self.indices, self.first, self.count, largest, smallest)
        return self._requests[key]

    def pieces(self, size: int) -> int:
        """Pieces of `size` bytes of the rows that do not begin at a multiple of it; see `count_pieces`."""
        if size not in self._pieces:
            self._pieces[size] = count_pieces(self.runs, self.indices, self.first, self.count, size)
        return self._pieces[size]

    def lines(self, size: int) -> int:
        """Most lines of `size` bytes that the runs can touch."""
        if size not in self._lines:
            self._lines[size] = count_lines(self.runs, self.first, self.count, size)
        return self._lines[size]
