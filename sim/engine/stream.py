"""The programs of a trace as the compiled event loop takes them: some chunks at a time, as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.engine import tables, units
from memgrain.sim.engine.measure import measure
from memgrain.sim.engine.tables import Work
from memgrain.sim.levels.compute import Work as Computation
from memgrain.sim.levels.machine import SCORE_BYTES, Machine
from memgrain.sim.levels.queueing import response
from memgrain.workloads.trace import RUN, Chunk, Trace, count_chunk, nothing

_ENOUGH = 1 << 17
"""Programs, runs and indices that are made ready at a time, as long as there are."""
_PRODUCTS = ("m1", "n1", "k1", "m2", "n2", "k2", "exps")


@dataclass
class _Part:
    """What is ready of one chunk."""

    steps: NDArray[np.int64]
    runs: NDArray[np.void]
    indices: NDArray[np.int64]


@dataclass
class Supply:
    """A trace's programs in launch order: those at hand in `work`, in `counts` what all so far ask for.

    Chunks whose programs have all ended are dropped whenever more are made ready.
    """

    machine: Machine
    """What they run on."""
    trace: Trace
    """Whose programs they are."""
    exhausted: bool = False
    """Whether there are no more than those at hand."""
    most_lines: int = 1
    """Lines of a cache that a request can touch at most."""
    parts: list[_Part] = field(default_factory=list)
    """The chunks at hand."""

    def __post_init__(self) -> None:
        """Nothing is at hand."""
        self.chunks = enumerate(self.trace.chunks())
        self.counts = nothing(len(self.trace.tensors))
        self.census = self.machine.census(self.trace)
        self.known: dict[tuple[int, ...], int] = {}
        self.computations: dict[Computation, int] = {}
        self.works: list[tuple[int, ...]] = []
        self.rounds: list[int] = []
        self.slots = self.machine.resident(self.trace)
        self.table = np.zeros((0, tables.CHUNK_FIELDS), np.int64)
        cut = self.machine.scratchpad.requests if self.machine.scratchpad else None
        self.cut = (cut.largest, cut.smallest) if cut else (0, 0)
        cache = self.machine.chip.cache
        self.line = cache.line if cache else 1 << 62

    def refill(self, places: NDArray[np.int64]) -> int:
        """Make the next programs ready, all at hand having been taken; returns how many chunks were dropped, by which
        positions in `places` ([place, tables.PLACE]) have been moved."""
        dropped = self._drop(places)
        ready: list[NDArray[np.int64]] = []
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
        self.work = self._join(ready)
        return dropped

    def _drop(self, places: NDArray[np.int64]) -> int:
        """Drop chunks before the first one that a place is busy with."""
        busy = places[:, tables.STATE] != tables.IDLE
        number = int(places[busy, tables.PLACE_CHUNK].min()) if busy.any() else len(self.parts)
        steps = sum(len(part.steps) for part in self.parts[:number])
        for entry in (tables.LAST_STEP, tables.ISSUE_STEP, tables.AHEAD_STEP, tables.COMPUTE_STEP):
            places[busy, entry] -= steps
        places[busy, tables.PLACE_CHUNK] -= number
        del self.parts[:number]
        self.table = self.table[number:]
        return number

    def _make_ready(self, number: int, chunk: Chunk) -> NDArray[np.int64]:
        """Add a chunk; returns its programs."""
        indices = chunk.indices.astype(np.int64)
        self.parts.append(_Part(self._steps(chunk, indices), chunk.runs, indices))
        chip, units_ = self.machine.chip, self.machine.units
        row = np.zeros((1, tables.CHUNK_FIELDS), np.int64)
        row[0, tables.BARRIER] = chunk.barrier
        row[0, tables.COSTS] = (chip.barrier or 0) if chunk.barrier and number else 0
        row[0, tables.ONCE] = self._number(units_.code(chunk.once_cycles) if chunk.barrier else units_.once)
        row[0, tables.OPENS] = -1
        row[0, tables.LEFT] = len(chunk.programs)
        self.table = np.concatenate([self.table, row])
        found = np.zeros((len(chunk.programs), tables.PROGRAM), np.int64)
        found[:, tables.FIRST_STEP] = chunk.programs["first_step"]
        found[:, tables.STEPS] = chunk.programs["steps"]
        found[:, tables.CHUNK] = len(self.parts) - 1
        return found

    def _steps(self, chunk: Chunk, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """A chunk's steps, their runs counted within the chunk."""
        given = chunk.steps
        found = np.zeros((len(given), tables.STEP), np.int64)
        for entry, name in (
            (tables.FIRST_RUN, "first_run"),
            (tables.INDEX_RUNS, "index_runs"),
            (tables.LOAD_RUNS, "load_runs"),
            (tables.STORE_RUNS, "store_runs"),
            (tables.REPEATS, "repeats"),
        ):
            found[:, entry] = given[name]
        products = np.column_stack([given[name].astype(np.int64) for name in _PRODUCTS])
        differs = np.ones(len(given), np.bool_)
        differs[1:] = (products[1:] != products[:-1]).any(axis=1)
        numbers = [self.known.get(row) or self._computation(row) for row in map(tuple, products[differs].tolist())]
        found[:, tables.STEP_WORK] = np.array(numbers, np.int64)[np.cumsum(differs) - 1]
        scored = given["exps"] > 0
        found[:, tables.ROWS] = given["m1"] * scored
        found[:, tables.COLUMNS] = given["n1"] * scored
        counts = found[:, tables.INDEX_RUNS : tables.STORE_RUNS + 1]
        in_flight = np.zeros(len(given), np.int64)
        lines = measure(chunk.runs, indices, found[:, tables.FIRST_RUN], counts, *self.cut, self.line, in_flight)
        self.most_lines = max(self.most_lines, int(lines))
        found[:, tables.IN_FLIGHT] = in_flight
        return found

    def _computation(self, products: tuple[int, ...]) -> int:
        """The number of the work of a step with these products, see `_PRODUCTS`, which is kept in `known`."""
        m1, n1, k1, m2, n2, k2, exps = products
        self.machine.check_scores(m1, n1)
        if exps and self.machine.vectors_apart:
            self.most_lines = max(self.most_lines, m1 * ((n1 * SCORE_BYTES + self.line - 2) // self.line + 1))
        self.known[products] = self._number(self.machine.units.work(m1, n1, k1, m2, n2, k2, exps))
        return self.known[products]

    def _number(self, work: Computation) -> int:
        """The number of a work, which is entered if it is new."""
        if work not in self.computations:
            self.computations[work] = len(self.works)
            demand, rounds = 0, -1
            if work.demands:
                demand, rounds = work.demands[0] * work.groups, len(self.rounds)
                self.rounds += [response(work.demands, work.groups * others) for others in range(1, self.slots + 2)]
            self.works.append((work.matmul, work.vector, work.macs, work.alone, work.issue, demand, rounds))
        return self.computations[work]

    def _join(self, ready: list[NDArray[np.int64]]) -> Work:
        """The chunks at hand in one set of arrays, and the programs that are ready."""
        steps, runs, indices = [np.zeros((0, tables.STEP), np.int64)], [np.zeros(0, RUN)], [np.zeros(0, np.int64)]
        first_step, first_run, first_index = [], 0, 0
        at = 0
        for part in self.parts:
            first_step.append(at)
            steps.append(part.steps.copy())
            steps[-1][:, tables.FIRST_RUN] += first_run
            runs.append(part.runs.copy())
            runs[-1]["index"] += first_index * (part.runs["index"] >= 0)
            indices.append(part.indices)
            at, first_run, first_index = (
                at + len(part.steps),
                first_run + len(part.runs),
                first_index + len(part.indices),
            )
        found = np.concatenate([np.zeros((0, tables.PROGRAM), np.int64), *ready])
        found[:, tables.FIRST_STEP] += np.array([*first_step, 0], np.int64)[found[:, tables.CHUNK]]
        return Work(
            found,
            self.table,
            np.concatenate(steps),
            np.concatenate(runs),
            np.concatenate(indices),
            np.array(self.works, np.int64).reshape(-1, units.WORK),
            np.array([*self.rounds, 0], np.int64),
        )
