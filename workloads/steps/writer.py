"""A writer of chunks step by step, for kernels other than tiled attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.trace import PROGRAM, RUN, STEP, Chunk, Records

Move = tuple[int, int, int, int, int]
"""A contiguous run: address, bytes, advance in bytes per repeat, READ or WRITE, index of its tensor."""


@dataclass(frozen=True)
class Pieces:
    """A run of several pieces of equal size, strided or gathered."""

    base: int
    """Address of the first piece; gathered: of piece 0."""
    stride: int
    """Bytes from a piece to the next; gathered: bytes per number."""
    count: int
    """Pieces."""
    bytes: int
    """Bytes of a piece."""
    op: int
    """READ or WRITE."""
    tensor: int
    """Index of its tensor."""
    index: int = -1
    """Position of the numbers of gathered pieces in the chunk's indices (`Writer.numbers`); -1: strided."""
    advance: int = 0
    """Bytes by which each repeat advances; gathered: numbers."""
    block: int = 1
    """`RUN.block`, for gathered pieces."""


@dataclass(frozen=True, eq=False)
class OneChunk:
    """A chunk stream of one chunk."""

    programs: Records
    """PROGRAM records."""
    steps: Records
    """STEP records."""
    runs: Records
    """RUN records."""
    indices: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Numbers of gathered pieces."""

    def __call__(self) -> Iterator[Chunk]:
        """The chunk."""
        yield Chunk(self.programs, self.steps, self.runs, self.indices)


@dataclass
class Writer:
    """Collects programs in launch order; steps belong to the program begun last."""

    _programs: list[tuple[int, int]] = field(default_factory=list)
    _steps: list[tuple[int, ...]] = field(default_factory=list)
    _runs: list[tuple[int, ...]] = field(default_factory=list)
    _indices: list[NDArray[np.int32]] = field(default_factory=list)
    _held: int = 0

    def program(self, batch: int) -> None:
        """Begin a program that belongs to a batch entry."""
        self._programs.append((len(self._steps), batch))

    def numbers(self, numbers: NDArray[np.int32]) -> int:
        """Store numbers for gathered pieces; returns their position."""
        self._indices.append(numbers)
        self._held += len(numbers)
        return self._held - len(numbers)

    def step(
        self,
        loads: Sequence[Move | Pieces],
        stores: Sequence[Move | Pieces],
        repeats: int = 1,
        product: tuple[int, int, int] = (0, 0, 0),
        lists: Sequence[Move | Pieces] = (),
        operations: int = 0,
    ) -> None:
        """Add a step to the program begun last: its loads and stores, its repeats, its m x n x k product, and its
        elementwise operations on 4 bytes each; `lists` must arrive before anything is loaded."""
        first = len(self._runs)
        self._runs += [_run(move) for move in (*lists, *loads, *stores)]
        self._steps.append((first, len(lists), len(loads), len(stores), repeats, *product, 1, operations, 0, 0))

    def chunks(self) -> OneChunk:
        """The collected chunk."""
        ends = [*(first for first, _ in self._programs[1:]), len(self._steps)]
        programs = [(first, end - first, batch, 0) for (first, batch), end in zip(self._programs, ends, strict=True)]
        indices = np.concatenate([np.zeros(0, np.int32), *self._indices])
        return OneChunk(np.array(programs, PROGRAM), np.array(self._steps, STEP), np.array(self._runs, RUN), indices)


def joined(moves: Sequence[Move]) -> list[Move | Pieces]:
    """The same pieces with those in a row that have one size, tensor and distance as one strided run, which is one DMA
    command; only for moves that no repeat moves on."""
    found: list[Move | Pieces] = []
    first = 0
    while first < len(moves):
        base, size, on, op, tensor = moves[first]
        apart = moves[first + 1][0] - base if first + 1 < len(moves) else 0
        last = first + 1
        while last < len(moves) and moves[last] == (base + (last - first) * apart, size, on, op, tensor):
            last += 1
        strided = last - first > 1 and not on
        found.append(Pieces(base, apart, last - first, size, op, tensor) if strided else moves[first])
        first = last if strided else first + 1
    return found


def _run(move: Move | Pieces) -> tuple[int, ...]:
    """The RUN record of a run."""
    if isinstance(move, Pieces):
        shape = move.base, move.stride, move.count, move.bytes
        return *shape, move.index, move.advance, move.op, move.tensor, move.block
    base, size, on, op, tensor = move
    return base, 0, 1, size, -1, on, op, tensor, 1
