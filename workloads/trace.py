"""A trace: the compressed description of a kernel's reads, products and writes, in launch order.

DESIGN.md ("Trace") defines the four record types. Only `expand`, for tests and exports, expands them to addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.shape import DType

READ = 0
WRITE = 1
UNCACHED = 2
"""A read that bypasses the caches."""
Cores = Literal["matmul", "vector"]
"""Kind of core that runs the programs: the one with a matrix unit, or the one with a vector unit if it is another."""

PROGRAM = np.dtype([("first_step", "u4"), ("steps", "u4"), ("batch", "u4"), ("head", "u4")])
STEP = np.dtype(
    [
        ("first_run", "u4"),
        ("index_runs", "u2"),
        ("load_runs", "u2"),
        ("store_runs", "u2"),
        ("repeats", "u4"),
        ("m1", "u4"),
        ("n1", "u4"),
        ("k1", "u4"),
        ("m2", "u4"),
        ("n2", "u4"),
        ("k2", "u4"),
        ("exps", "u8"),
    ]
)
"""Where `k2` is 0 there is no second product, and m2 x n2 are elementwise operations on 4 bytes each."""
RUN = np.dtype(
    [
        ("base", "u8"),
        ("stride", "i8"),
        ("count", "u4"),
        ("bytes", "u4"),
        ("index", "i8"),
        ("advance", "i8"),
        ("op", "u1"),
        ("tensor", "u1"),
        ("block", "u4"),
    ]
)
JOINED = (1 << 32) - 1
"""`block` of a run whose pieces belong to the DMA commands of the run before it: further pieces of the same rows, such
as the 32-byte pieces of a token in NZ."""
ACCESS = np.dtype([("program", "u4"), ("address", "u8"), ("bytes", "u4"), ("op", "u1"), ("tensor", "u1")])
"""One piece of an expanded trace."""

Records = NDArray[np.void]
"""A structured array of one of the dtypes above."""


@dataclass(frozen=True)
class Tensor:
    """A range of memory that runs of a trace refer to."""

    name: str
    """Q, K, V, O, indices (lists of selected tokens), table (block table), partial (split outputs), X (synthetic)."""
    base: int
    """First byte address."""
    bytes: int
    """Bytes it takes."""
    useful_bytes: int
    """Distinct bytes of it that the algorithm must move at least once."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """A part of a trace: programs in launch order, their steps and runs, and the numbers of gathered pieces."""

    programs: Records
    """PROGRAM records; first_step counts within the chunk; head is the first query head of the program."""
    steps: Records
    """STEP records; first_run counts within the chunk."""
    runs: Records
    """RUN records."""
    indices: NDArray[np.int32]
    """Numbers of gathered pieces; `RUN.index` counts within the chunk."""
    barrier: bool = False
    """Whether its programs start only after all earlier ones have ended: a kernel of its own."""
    once_cycles: tuple[int, int] = (0, 0)
    """`Trace.once_cycles` for the kernel after a barrier."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Metadata and a re-iterable stream of chunks in launch order."""

    name: str
    """The workload's name."""
    tensors: tuple[Tensor, ...]
    """Tensors; `RUN.tensor` is an index into them."""
    dtype: DType
    """Element type of the matrix products, which decides their rate."""
    scratchpad_bytes: int
    """Scratchpad bytes of one program."""
    stages: int
    """Steps of a program whose loads may be in flight at once."""
    resident: int | None
    """Programs that run on a core at once; None leaves it to the chip."""
    useful_bytes: int
    """Distinct bytes of Q, K and V that the algorithm must read (synthetic: of X)."""
    index_bytes: int
    """Distinct bytes of index lists and block tables that the algorithm must read."""
    written_bytes: int
    """Bytes of the output, partial results aside."""
    make_chunks: Callable[[], Iterator[Chunk]]
    """Function that makes the stream of chunks again; picklable."""

    step_cycles: tuple[int, int] = (0, 0)
    """Cycles of the kernel's code for a step with a matrix product, independent of its data: (of a program alone on a
    core, of the core's issue slots); (0, 0): the units' time alone."""
    once_cycles: tuple[int, int] = (0, 0)
    """The same for a program's code outside its steps, which runs before its stores, and for a program that loads
    nothing; not for a program after a barrier, which belongs to another kernel."""
    launch_cycles: tuple[int, int] = (0, 0)
    """Cycles of a launch besides its programs: (of the launch, for each program that begins with it)."""
    lists_ahead: int = 1
    """Steps by which index-list requests run ahead of the rows that they name; 0: they are issued when the rows have a
    buffer."""
    engine: tuple[str, int, str, int, int] | None = None
    """How the kernel feeds the units: instruction, groups, shares, convert_cycles, copy_rows of
    `memgrain.workloads.kernels.unit_feed.UnitFeed`; None: products at the unit's own rate, then the softmax."""

    cores: Cores = "matmul"
    """Kind of core of its programs; programs on vector cores have no products."""
    one_result: bool = False
    """Whether a program has room for one result only, so that it computes its next step when its last store is done."""
    stores_by: Cores | None = None
    """Kind of core whose ports its stores leave by, where that is another kind than `cores`; None: the same."""
    synchronous: int = 0
    """Where a program's copies are synchronous: steps that compute or store whose loads may be issued before the first
    of them is done, its store included, for which the program waits. 1: load, computation and store one after the
    other; 2: double buffering. Steps that only load belong to the next one that does not. 0: stores run beside what
    follows."""
    mixed: bool = False
    """Whether the kernel runs on matrix and vector cores, where these are apart."""
    joined: bool = False
    """Whether it belongs to the kernel before it: its programs wait for all of that kernel's, without a launch."""
    macs: int | None = None
    """Multiply-accumulates that the algorithm needs, independent of the kernel; None: those of the steps."""
    exps: int | None = None
    """Exponentials that the algorithm needs; None: those of the steps."""

    def chunks(self) -> Iterator[Chunk]:
        """The chunks in launch order, from the first."""
        return self.make_chunks()

    @property
    def footprint_bytes(self) -> int:
        """Bytes of all tensors in memory."""
        return sum(tensor.bytes for tensor in self.tensors)


@dataclass(frozen=True)
class Counts:
    """Totals of some chunks, repeats included."""

    read: NDArray[np.int64]
    """Bytes requested by tensor; repeated reads count each time."""
    written: NDArray[np.int64]
    """Bytes written by tensor."""
    issued_macs: int
    """Multiply-accumulates of all matrix products, with the kernel's padding and without the chip's."""
    issued_exps: int
    """Exponentials, those of padding included."""
    issued_ops: int
    """Elementwise operations of steps that need no second product, see `STEP`."""
    steps: int
    """Steps executed."""

    def __add__(self, other: Counts) -> Counts:
        """The sum of both."""
        return Counts(
            self.read + other.read,
            self.written + other.written,
            self.issued_macs + other.issued_macs,
            self.issued_exps + other.issued_exps,
            self.issued_ops + other.issued_ops,
            self.steps + other.steps,
        )


def nothing(tensors: int) -> Counts:
    """Zero counts for a trace with `tensors` tensors."""
    return Counts(np.zeros(tensors, np.int64), np.zeros(tensors, np.int64), 0, 0, 0, 0)


def count_chunk(chunk: Chunk, tensors: int) -> Counts:
    """Totals of a chunk of a trace with `tensors` tensors."""
    times, runs = _step_times(chunk), chunk.runs
    s = {name: chunk.steps[name].astype(np.int64) for name in ("m1", "n1", "k1", "m2", "n2", "k2", "exps")}
    moved = _run_times(chunk, times) * runs["count"].astype(np.int64) * runs["bytes"].astype(np.int64)
    sums = np.zeros((2, tensors), np.int64)
    np.add.at(sums, ((runs["op"] == WRITE).astype(np.intp), runs["tensor"]), moved)
    macs = s["m1"] * s["n1"] * s["k1"] + s["m2"] * s["n2"] * s["k2"]
    ops = s["m2"] * s["n2"] * (s["k2"] == 0)
    issued = [int(np.dot(times, each)) for each in (macs, s["exps"], ops)]
    return Counts(sums[READ], sums[WRITE], issued[0], issued[1], issued[2], int(times.sum()))


def count(trace: Trace) -> Counts:
    """Totals of a trace, in one pass over its chunks."""
    number = len(trace.tensors)
    return sum((count_chunk(chunk, number) for chunk in trace.chunks()), nothing(number))


def count_bytes(trace: Trace) -> dict[str, tuple[int, int]]:
    """Bytes requested by tensor name: (read, written); repeated reads count each time."""
    found = count(trace)
    return {t.name: (int(found.read[i]), int(found.written[i])) for i, t in enumerate(trace.tensors)}


def count_macs(trace: Trace) -> int:
    """Multiply-accumulates that the algorithm needs."""
    return count(trace).issued_macs if trace.macs is None else trace.macs


def count_issued_macs(trace: Trace) -> int:
    """Multiply-accumulates that the kernel issues: its padding included, the chip's not."""
    return count(trace).issued_macs


def count_flops(trace: Trace) -> int:
    """Floating-point operations of the matrix products that the algorithm needs, two a multiply-accumulate."""
    return 2 * count_macs(trace)


def count_exps(trace: Trace) -> int:
    """Exponentials that the algorithm needs."""
    return count(trace).issued_exps if trace.exps is None else trace.exps


def count_steps(trace: Trace) -> int:
    """Steps executed, repeats included."""
    return count(trace).steps


def count_commands(runs: Records, rows_per_command: int) -> NDArray[np.int64]:
    """DMA commands of each run, of up to `rows_per_command` rows at a regular distance each."""
    rows, block = runs["count"].astype(np.int64), runs["block"].astype(np.int64)
    gathered = runs["index"] >= 0
    most = np.where(gathered, np.clip(block, 1, rows_per_command), rows_per_command)
    return np.where(block == JOINED, 0, -(-rows // most))


def run_times(chunk: Chunk) -> NDArray[np.int64]:
    """Number of executions of each run of a chunk."""
    return _run_times(chunk, _step_times(chunk))


def _step_times(chunk: Chunk) -> NDArray[np.int64]:
    """Number of executions of each step: repeats times the programs it belongs to."""
    edges = np.zeros(len(chunk.steps) + 1, np.int64)
    first = chunk.programs["first_step"].astype(np.int64)
    np.add.at(edges, first, 1)
    np.add.at(edges, first + chunk.programs["steps"], -1)
    times: NDArray[np.int64] = np.cumsum(edges)[:-1] * chunk.steps["repeats"]
    return times


def _run_times(chunk: Chunk, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of executions of each run; `times` are those of its step."""
    steps = chunk.steps
    edges = np.zeros(len(chunk.runs) + 1, np.int64)
    first = steps["first_run"].astype(np.int64)
    runs = steps["index_runs"].astype(np.int64) + steps["load_runs"] + steps["store_runs"]
    np.add.at(edges, first, times)
    np.add.at(edges, first + runs, -times)
    return np.cumsum(edges)[:-1]


def expand(trace: Trace) -> Records:
    """Every piece of the trace as an ACCESS record, in launch order; `program` counts through all chunks.

    For tests and exports: a trace of any size has more pieces than memory holds.
    """
    found: list[Records] = [np.zeros(0, ACCESS)]
    launched = 0
    for chunk in trace.chunks():
        for number, program in enumerate(chunk.programs):
            first = int(program["first_step"])
            for step in chunk.steps[first : first + int(program["steps"])]:
                found += _pieces(chunk, step, launched + number)
        launched += len(chunk.programs)
    return np.concatenate(found)


def _pieces(chunk: Chunk, step: np.void, program: int) -> Iterator[Records]:
    first = int(step["first_run"])
    runs = chunk.runs[first : first + int(step["index_runs"]) + int(step["load_runs"]) + int(step["store_runs"])]
    for repeat in range(int(step["repeats"])):
        for run in runs:
            count, index, moved = int(run["count"]), int(run["index"]), repeat * int(run["advance"])
            if index < 0:
                offsets = moved + np.arange(count, dtype=np.int64) * run["stride"]
            else:
                offsets = chunk.indices[index + moved : index + moved + count].astype(np.int64) * run["stride"]
            pieces = np.zeros(count, ACCESS)
            pieces["program"], pieces["bytes"], pieces["op"] = program, run["bytes"], run["op"]
            pieces["address"], pieces["tensor"] = int(run["base"]) + offsets, run["tensor"]
            yield pieces
