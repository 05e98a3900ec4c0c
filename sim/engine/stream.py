"""The programs of a trace as tables for the compiled event loop, some chunks at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.engine import tables, units
from memgrain.sim.engine.measure import most_lines
from memgrain.sim.engine.tables import ProgramTables
from memgrain.sim.levels.compute import Computation
from memgrain.sim.levels.machine import SCORE_BYTES, Machine, loads_taken
from memgrain.sim.levels.queueing import response
from memgrain.workloads.trace import RUN, Chunk, Trace, count_chunk, nothing

_ENOUGH = 1 << 17
"""Programs, runs and indices that are made ready at a time, unless the trace has fewer left."""
_PRODUCTS = ("m1", "n1", "k1", "m2", "n2", "k2", "exps")


@dataclass
class _Part:
    """The tables of one chunk."""

    steps: NDArray[np.void]
    parts: NDArray[np.void]
    runs: NDArray[np.void]
    indices: NDArray[np.int64]


@dataclass
class ProgramStream:
    """A trace's programs in launch order: `tables` has those at hand, `counts` the sums over all so far.

    Chunks whose programs have all ended are dropped whenever more are made ready.
    """

    machine: Machine
    """What they run on."""
    trace: Trace
    """Whose programs they are."""
    exhausted: bool = False
    """Whether the trace has no more than those at hand."""
    most_lines: int = 1
    """Lines of a cache that a request can touch at most."""
    parts: list[_Part] = field(default_factory=list)
    """The chunks at hand."""

    def __post_init__(self) -> None:
        """Begin with nothing at hand."""
        self.chunks = enumerate(self.trace.chunks())
        self.counts = nothing(len(self.trace.tensors))
        self.census = self.machine.census(self.trace)
        self.known: dict[tuple[int, ...], int] = {}
        self.computations: dict[Computation, int] = {}
        self.rows: list[tuple[int, ...]] = []
        self.rounds: list[int] = []
        self.slots = self.machine.resident(self.trace)
        self.table = np.zeros(0, tables.CHUNK)
        cache = self.machine.chip.cache
        self.line = cache.line if cache else 1 << 62

    def refill(self, slots: NDArray[np.void], positions: NDArray[np.void]) -> int:
        """Make the next programs ready, all at hand having been taken.

        Returns how many chunks were dropped; `slots` (of tables.SLOT) and `positions` count without them afterwards.
        """
        dropped = self._drop(slots, positions)
        ready: list[NDArray[np.void]] = []
        size = 0
        while size < _ENOUGH:
            number, chunk = next(self.chunks, (0, None))
            if chunk is None:
                self.exhausted = True
                break
            ready.append(self._make_ready(number, chunk))
            self.counts += count_chunk(chunk, len(self.trace.tensors))
            self.census.add(chunk)
            size += len(chunk.programs) + len(chunk.runs) + len(chunk.indices)
        self.tables = self._join(ready)
        return dropped

    def _drop(self, slots: NDArray[np.void], positions: NDArray[np.void]) -> int:
        """Drop chunks before the first one that a slot is busy with."""
        busy = slots["state"] != tables.IDLE
        number = int(slots["chunk"][busy].min()) if busy.any() else len(self.parts)
        steps = sum(len(part.steps) for part in self.parts[:number])
        slots["last_step"][busy] -= steps
        slots["chunk"][busy] -= number
        positions["step"][busy] -= steps
        del self.parts[:number]
        self.table = self.table[number:]
        return number

    def _make_ready(self, number: int, chunk: Chunk) -> NDArray[np.void]:
        """Add a chunk; returns its programs."""
        indices = chunk.indices.astype(np.int64)
        self.parts.append(self._part(chunk, indices))
        chip, units_ = self.machine.chip, self.machine.units
        row = np.zeros(1, tables.CHUNK)
        row["barrier"] = chunk.barrier
        row["costs"] = (chip.barrier or 0) if chunk.barrier and number else 0
        row["once"] = self._number(units_.code(chunk.once_cycles) if chunk.barrier else units_.once)
        row["opens"] = -1
        row["left"] = len(chunk.programs)
        self.table = np.concatenate([self.table, row])
        found = np.zeros(len(chunk.programs), tables.PROGRAM)
        found["first_step"] = chunk.programs["first_step"]
        found["steps"] = chunk.programs["steps"]
        found["chunk"] = len(self.parts) - 1
        return found

    def _part(self, chunk: Chunk, indices: NDArray[np.int64]) -> _Part:
        """The tables of a chunk, whose entries count within it."""
        steps = self._steps(chunk)
        loads = steps["first_run"] + steps["index_runs"]
        runs, found, ends = self.machine.load_parts(chunk.runs, indices, loads, loads_taken(chunk.steps))
        steps["last_part"], steps["first_part"][1:] = ends, ends[:-1]
        parts = np.zeros(len(found), tables.PART)
        parts["first"], parts["count"], parts["in_flight"] = found.T
        return _Part(steps, parts, runs, indices)

    def _steps(self, chunk: Chunk) -> NDArray[np.void]:
        """A chunk's steps, their runs counted within the chunk."""
        given = chunk.steps
        found = np.zeros(len(given), tables.STEP)
        for name in ("first_run", "index_runs", "load_runs", "store_runs", "repeats"):
            found[name] = given[name]
        products = np.column_stack([given[name].astype(np.int64) for name in _PRODUCTS])
        differs = np.ones(len(given), np.bool_)
        differs[1:] = (products[1:] != products[:-1]).any(axis=1)
        numbers = [self.known.get(row) or self._computation(row) for row in map(tuple, products[differs].tolist())]
        found["computation"] = np.array(numbers, np.int64)[np.cumsum(differs) - 1]
        scored = given["exps"] > 0
        found["rows"] = given["m1"] * scored
        found["columns"] = given["n1"] * scored
        found["width"] = given["n2"] * scored
        if self.machine.units.copy_rows:
            copies = self.machine.units.copies
            sizes = list(zip(given["n1"].tolist(), given["load_runs"].tolist(), strict=True))
            found["load_copies"] = [copies(tokens, loads) for tokens, loads in sizes]
            found["tile_copies"] = [copies(tokens) for tokens, _ in sizes]
        self.most_lines = max(self.most_lines, int(most_lines(chunk.runs, found, self.line)))
        return found

    def _computation(self, products: tuple[int, ...]) -> int:
        """The number of the computation of a step with these products, see `_PRODUCTS`; `known` keeps it."""
        m1, n1, k1, m2, n2, k2, exps = products
        self.machine.check_scores(m1, n1)
        if exps and self.machine.vectors_apart:
            row = max(n1, n2) * SCORE_BYTES
            self.most_lines = max(self.most_lines, m1 * ((row + self.line - 2) // self.line + 1))
        self.known[products] = self._number(self.machine.units.work(m1, n1, k1, m2, n2, k2, exps))
        return self.known[products]

    def _number(self, work: Computation) -> int:
        """The number of a computation; a new one is entered."""
        if work not in self.computations:
            self.computations[work] = len(self.rows)
            demand, rounds = 0, -1
            if work.demands:
                demand, rounds = work.demands[0] * work.groups, len(self.rounds)
                self.rounds += [response(work.demands, work.groups * others) for others in range(1, self.slots + 2)]
            self.rows.append((work.matmul, work.vector, work.macs, work.alone, work.issue, demand, rounds))
        return self.computations[work]

    def _join(self, ready: list[NDArray[np.void]]) -> ProgramTables:
        """The tables of the chunks at hand joined to one of each kind, and the programs that are ready."""
        steps, runs, indices = [np.zeros(0, tables.STEP)], [np.zeros(0, RUN)], [np.zeros(0, np.int64)]
        parts, first_part = [np.zeros(0, tables.PART)], 0
        first_step, first_run, first_index = [], 0, 0
        at = 0
        for part in self.parts:
            first_step.append(at)
            steps.append(part.steps.copy())
            steps[-1]["first_run"] += first_run
            steps[-1]["first_part"] += first_part
            steps[-1]["last_part"] += first_part
            parts.append(part.parts.copy())
            parts[-1]["first"] += first_run
            first_part += len(part.parts)
            runs.append(part.runs.copy())
            runs[-1]["index"] += first_index * (part.runs["index"] >= 0)
            indices.append(part.indices)
            at, first_run, first_index = (
                at + len(part.steps),
                first_run + len(part.runs),
                first_index + len(part.indices),
            )
        found = np.concatenate([np.zeros(0, tables.PROGRAM), *ready])
        found["first_step"] += np.array([*first_step, 0], np.int64)[found["chunk"]]
        return ProgramTables(
            found,
            self.table,
            np.concatenate(steps),
            np.concatenate(parts),
            np.concatenate(runs),
            np.concatenate(indices),
            np.array(self.rows, units.COMPUTATION),
            np.array([*self.rounds, 0], np.int64),
        )
