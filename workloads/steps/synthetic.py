"""Micro-traces that validate one level of memory: stream, stride, gather and pointer chase over one tensor X."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.layouts.layout import ALIGNMENT, bases
from memgrain.workloads.selection import redraw, sample
from memgrain.workloads.trace import PROGRAM, READ, RUN, STEP, WRITE, Chunk, Tensor, Trace

Order = Literal["random", "sorted", "sequential"]
PROGRAMS_OF_A_CHUNK = 8192
STEPS_OF_A_GATHER = 4
PIECE, WRITERS = 4096, 512
"""Bytes of a write and programs of the kernel that `after_writes` adds."""


def stream(
    bytes: int,
    piece: int,
    programs: int,
    op: int = READ,
    repeat_passes: int = 1,
    stages: int = 4,
) -> Trace:
    """`programs` programs each move a contiguous share of `bytes` bytes in pieces of `piece`, `repeat_passes` times.

    Each pass is launched after the one before, as a kernel that is launched again.
    """
    _positive(bytes=bytes, piece=piece, programs=programs, repeat_passes=repeat_passes, stages=stages)
    if bytes % piece:
        whole = -(-bytes // piece) * piece
        raise WorkloadError(f"stream of {bytes} B is no multiple of the piece of {piece} B; use {whole} B")
    make = partial(_stream_chunks, bytes // piece, piece, piece, programs, op, repeat_passes)
    return _trace("stream", bytes, bytes, op, piece, stages, make)


def stride(count: int, bytes: int, stride: int, programs: int = 1, op: int = READ, stages: int = 4) -> Trace:
    """`count` pieces of `bytes` bytes, `stride` bytes apart, a contiguous share of them to each program."""
    _positive(count=count, bytes=bytes, stride=stride, programs=programs, stages=stages)
    make = partial(_stream_chunks, count, bytes, stride, programs, op, 1)
    return _trace("stride", (count - 1) * stride + bytes, count * min(bytes, stride), op, bytes, stages, make)


def gather(
    rows: int,
    row_bytes: int,
    row_stride: int,
    offset: int,
    pool_rows: int,
    order: Order,
    block_n: int,
    seed: int,
    index_list: bool = True,
    step: int = 0,
    overlap: float = 0.0,
    rounds: tuple[int, int] = (1, 1),
) -> Trace:
    """Programs read `block_n` distinct rows each out of `pool_rows` rows and write one sum (4 B).

    Rows begin `offset` bytes into each `row_stride`; `index_list` also reads 4 B a row before the rows. Step 1 reads
    the share `overlap` of the rows of step 0 again (same seed), and so on; sequential rows are the same in every step.
    With `rounds` (n, m), a program's rows are cut into n parts; it requests m parts at once, and each later part when
    the one before has arrived.
    """
    _positive(rows=rows, row_bytes=row_bytes, row_stride=row_stride, block_n=block_n, pool_rows=pool_rows)
    if rows > pool_rows or pool_rows > 2**31 - 1:
        raise WorkloadError(f"gather of {rows} rows out of {pool_rows} must be distinct int32 numbers; lower rows")
    if offset < 0:
        raise WorkloadError(f"gather offset is {offset}, must be at least 0; set it")
    if step < 0 or not 0 <= overlap <= 1:
        raise WorkloadError(f"gather step {step} with overlap {overlap}: step >= 0 and 0 <= overlap <= 1 must hold")
    if not 1 <= rounds[1] <= rounds[0] <= block_n:
        raise WorkloadError(
            f"gather rounds {rounds} of {block_n} rows: 1 <= second <= first <= rows must hold; mend it"
        )
    sizes = {"X": (pool_rows - 1) * row_stride + offset + row_bytes, "O": 4 * -(-rows // block_n)}
    if index_list:
        sizes["indices"] = 4 * rows
    at = bases(sizes)
    useful = sizes | {"X": rows * row_bytes}
    make = GatherChunks(
        rows,
        row_bytes,
        row_stride,
        at["X"] + offset,
        at["O"],
        at.get("indices", -1),
        pool_rows,
        order,
        block_n,
        seed,
        step,
        overlap,
        rounds,
    )
    tensors = tuple(Tensor(name, at[name], sizes[name], useful[name]) for name in sizes)
    return Trace(
        "gather", tensors, "fp32", block_n * row_bytes, 1, None, useful["X"], sizes.get("indices", 0), sizes["O"], make
    )


def pointer_chase(n: int, line: int, footprint: int, seed: int) -> Trace:
    """One program makes `n` dependent reads of `line` bytes, round and round a random cycle through `footprint` bytes.

    Dependent because a single stage is in flight: each repeat waits for the one before.
    """
    _positive(n=n, line=line, footprint=footprint)
    slots = footprint // line
    if slots == 0 or slots > 2**31 - 1:
        raise WorkloadError(f"footprint {footprint} B holds {slots} lines of {line} B, must be 1 to 2**31 - 1; mend it")
    make = partial(_chase_chunks, n, line, slots, seed)
    return _trace("pointer_chase", slots * line, min(n, slots) * line, READ, line, 1, make)


def after_writes(trace: Trace, bytes: int) -> Trace:
    """`trace` after a kernel that writes `bytes` bytes beyond all of its tensors, in lines that are never read.

    It fills caches with dirty lines before a trace begins.
    """
    _positive(bytes=bytes)
    end = max(tensor.base + tensor.bytes for tensor in trace.tensors)
    return replace(trace, make_chunks=WrittenBefore(trace, -(-end // ALIGNMENT) * ALIGNMENT, bytes))


@dataclass(frozen=True, eq=False)
class WrittenBefore:
    """The chunk stream of `after_writes`; writes begin at address `base`."""

    trace: Trace
    base: int
    bytes: int

    def __call__(self) -> Iterator[Chunk]:
        """A chunk of writes, then the trace's own as another kernel."""
        for written in _stream_chunks(-(-self.bytes // PIECE), PIECE, PIECE, WRITERS, WRITE, 1):
            written.runs["base"] += np.uint64(self.base)
            yield written
        for number, chunk in enumerate(self.trace.chunks()):
            yield replace(chunk, barrier=True) if number == 0 else chunk


@dataclass(frozen=True)
class GatherChunks:
    """The chunk stream of `gather`; addresses of the first row, the sums and the index list (-1: none)."""

    rows: int
    row_bytes: int
    row_stride: int
    x: int
    sums: int
    lists: int
    pool_rows: int
    order: Order
    block_n: int
    seed: int
    step: int
    overlap: float
    rounds: tuple[int, int]

    def __call__(self) -> Iterator[Chunk]:
        """The chunks: a program is a step with its list and first rows, one repeated for each later part, one for the
        remainder, and one that writes."""
        chosen, span = self._chosen(), PROGRAMS_OF_A_CHUNK * self.block_n
        part, listed = self.block_n // self.rounds[0], self.lists >= 0
        for first in range(0, self.rows, span):
            own = chosen[first : first + span]
            starts = np.arange(0, len(own), self.block_n)
            counts = np.minimum(self.block_n, len(own) - starts)
            at_once = np.minimum(counts, self.rounds[1] * part) if self.rounds[0] > 1 else counts
            later, left = np.divmod(counts - at_once, part)
            programs, steps = _programs(len(starts)), np.zeros((len(starts), STEPS_OF_A_GATHER), STEP)
            programs["first_step"] *= STEPS_OF_A_GATHER
            programs["steps"] = STEPS_OF_A_GATHER
            runs = np.zeros((len(starts), STEPS_OF_A_GATHER + listed), RUN)
            steps["first_run"] = runs.shape[1] * np.arange(len(starts))[:, None] + np.array([0, 1, 2, 3])
            steps["first_run"][:, 1:] += listed
            steps["index_runs"][:, 0], steps["load_runs"][:, :3], steps["store_runs"][:, 3] = listed, 1, 1
            steps["repeats"] = np.stack([np.ones_like(later), later, left > 0, np.ones_like(later)], axis=1)
            runs["index"], runs["count"] = -1, 1
            if listed:
                entries = runs[:, 0]
                entries["base"], entries["bytes"], entries["tensor"] = self.lists + 4 * (first + starts), 4 * counts, 2
            rows, store = runs[:, listed:-1], runs[:, -1]
            rows["base"], rows["stride"], rows["bytes"] = self.x, self.row_stride, self.row_bytes
            rows["count"] = np.stack([at_once, np.full_like(later, part), np.maximum(left, 1)], axis=1)
            rows["index"] = np.stack([starts, starts + at_once, starts + counts - left], axis=1)
            rows["advance"][:, 1] = part
            store["base"], store["bytes"] = self.sums + 4 * ((first + starts) // self.block_n), 4
            store["op"], store["tensor"] = WRITE, 1
            yield Chunk(programs, steps.ravel(), runs.ravel(), own)

    def _chosen(self) -> NDArray[np.int32]:
        if self.order == "sequential":
            return np.arange(self.rows, dtype=np.int32)
        rng = np.random.Generator(np.random.PCG64(self.seed))
        chosen = sample(rng, self.pool_rows, self.rows)
        for _ in range(self.step):
            chosen = redraw(rng, chosen, self.pool_rows, self.overlap)
        if self.order == "random":
            rng.shuffle(chosen)
        return chosen


def _stream_chunks(pieces: int, bytes: int, stride: int, programs: int, op: int, passes: int) -> Iterator[Chunk]:
    """Each pass is a chunk; program i moves pieces [i * share, (i + 1) * share), one a repeat."""
    share = -(-pieces // programs)
    starts = np.arange(0, pieces, share)
    steps, runs = np.zeros(len(starts), STEP), np.zeros(len(starts), RUN)
    steps["first_run"], steps["repeats"] = np.arange(len(starts)), np.minimum(share, pieces - starts)
    steps["load_runs" if op == READ else "store_runs"] = 1
    runs["base"], runs["count"], runs["bytes"], runs["advance"] = starts * stride, 1, bytes, stride
    runs["index"], runs["op"] = -1, op
    for number in range(passes):
        yield Chunk(_programs(len(starts)), steps, runs, np.zeros(0, np.int32), barrier=number > 0)


def _chase_chunks(n: int, line: int, slots: int, seed: int) -> Iterator[Chunk]:
    cycle = np.random.Generator(np.random.PCG64(seed)).permutation(slots).astype(np.int32)
    steps, runs = np.zeros(1, STEP), np.zeros(1, RUN)
    steps["load_runs"], steps["repeats"] = 1, n
    runs["stride"], runs["count"], runs["bytes"], runs["advance"] = line, 1, line, 1
    yield Chunk(_programs(1), steps, runs, np.resize(cycle, n))


def _programs(count: int) -> NDArray[np.void]:
    """`count` programs of a step each."""
    programs = np.zeros(count, PROGRAM)
    programs["first_step"], programs["steps"] = np.arange(count), 1
    return programs


def _trace(
    name: str,
    size: int,
    useful: int,
    op: int,
    step: int,
    stages: int,
    make: Callable[[], Iterator[Chunk]],
) -> Trace:
    """A trace over one tensor X of `size` bytes, of which `useful` are touched."""
    read, written = (useful, 0) if op == READ else (0, useful)
    return Trace(name, (Tensor("X", 0, size, useful),), "fp32", stages * step, stages, None, read, 0, written, make)


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise WorkloadError(f"{name} is {value}, must be at least 1; raise it")
