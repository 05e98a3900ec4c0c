"""Reads past a cache: straight to the level below; where the chip serialises them, those of one line one by one."""

from __future__ import annotations

import numpy as np

from memgrain.hwmodels.spec import Cache as CacheSpec
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.held_lines import hold_lines
from memgrain.sim.levels.level import Level
from memgrain.sim.levels.request import Request

LINES = 1 << 20
"""Lines whose times are kept; lines this many apart share an entry."""


class Uncached:
    """What a cache does with reads past it.

    Where the chip serialises them, a read holds its lines for the whole latency of the level below. The level below
    serves all reads at once, and the wait for lines is added to the answer (see `Scratchpad`).
    """

    def __init__(self, spec: CacheSpec, below: Level) -> None:
        self.spec, self.below, self.queue = spec, below, 0
        self.free = np.zeros(LINES if spec.uncached == "serial" else 0, np.int64)

    def check(self) -> None:
        """Raise SimulationError if the chip does not say whether such reads are serialised."""
        if self.spec.uncached is None:
            raise SimulationError(
                f"the trace reads past {self.spec.name}, and the chip does not say how that goes; set "
                f"{self.spec.name}.uncached to serial or parallel, or read through it"
            )

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """See `Level.serve`."""
        self.check()
        done = self.below.serve(request, repeat, core, now)
        self.queue = 0
        if self.spec.uncached == "serial":
            bits, time = self.spec.line.bit_length() - 1, self.below.latency
            self.queue = int(
                hold_lines(
                    request.runs, request.indices, request.first, request.count, repeat, now, bits, time, self.free
                )
            )
        return done + self.queue

    def forget(self) -> None:
        """Start the clock anew."""
        self.free[:] = 0
