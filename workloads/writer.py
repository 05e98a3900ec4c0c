"""A chunk written step by step: for kernels that are no tiled attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from workloads.trace import PROGRAM, RUN, STEP, Chunk, Records

Move = tuple[int, int, int, int, int]
"""A contiguous run: address, bytes, bytes by which a repeat moves it on, READ or WRITE, number of its tensor."""


@dataclass(frozen=True, eq=False)
class OneChunk:
    """A chunk stream of one chunk without gathered runs."""

    programs: Records
    """PROGRAM records."""
    steps: Records
    """STEP records."""
    runs: Records
    """RUN records."""

    def __call__(self) -> Iterator[Chunk]:
        """The chunk."""
        yield Chunk(self.programs, self.steps, self.runs, np.zeros(0, np.int32))


@dataclass
class Writer:
    """Collects programs in launch order, each with the steps that are written after it was begun."""

    _programs: list[tuple[int, int]] = field(default_factory=list)
    _steps: list[tuple[int, ...]] = field(default_factory=list)
    _runs: list[tuple[int, ...]] = field(default_factory=list)

    def program(self, batch: int) -> None:
        """Begin a program that belongs to a batch entry."""
        self._programs.append((len(self._steps), batch))

    def step(
        self, loads: Sequence[Move], stores: Sequence[Move], repeats: int = 1, product: tuple[int, int, int] = (0, 0, 0)
    ) -> None:
        """A step of the program begun last: what it loads and stores, how often, and its m x n x k product."""
        first = len(self._runs)
        self._runs += [(base, 0, 1, size, -1, on, op, tensor) for base, size, on, op, tensor in (*loads, *stores)]
        self._steps.append((first, 0, len(loads), len(stores), repeats, *product, 0, 0, 0, 0))

    def chunks(self) -> OneChunk:
        """What was collected."""
        ends = [*(first for first, _ in self._programs[1:]), len(self._steps)]
        programs = [(first, end - first, batch, 0) for (first, batch), end in zip(self._programs, ends, strict=True)]
        return OneChunk(np.array(programs, PROGRAM), np.array(self._steps, STEP), np.array(self._runs, RUN))
