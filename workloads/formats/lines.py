"""A table of one number for each line of memory that an access stream touches; its size grows with the lines
touched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PAGE = 1 << 9
"""Lines that share one allocation."""


class LineTable:
    """One number for each line; -1 for a line without one."""

    def __init__(self) -> None:
        self.pages: dict[int, int] = {}
        self.pool = np.full(64 * PAGE, -1, np.int64)
        """The numbers; `positions` gives the position of a line's."""

    def positions(self, lines: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in `pool` of the numbers of these lines; may replace `pool` by a larger array."""
        pages = lines // PAGE
        heads = np.flatnonzero(np.diff(pages, prepend=-1))
        found, which = np.unique(pages[heads], return_inverse=True)
        slots = np.array([self.pages.setdefault(page, len(self.pages)) for page in found.tolist()], np.int64)
        if len(self.pages) * PAGE > len(self.pool):
            larger = np.full(max(2 * len(self.pool), len(self.pages) * PAGE), -1, np.int64)
            larger[: len(self.pool)] = self.pool
            self.pool = larger
        lengths = np.diff(np.append(heads, len(pages)))
        at: NDArray[np.int64] = np.repeat(slots[which] * PAGE, lengths) + lines % PAGE
        return at
