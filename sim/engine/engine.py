"""The compiled engine: a trace and a machine as tables, the event loop that runs on them, and its outcome.

It does the same as the reference engine (`memgrain.sim.reference.engine`, the one to read), event by event, at a
twentieth of the cost of a tile. Only the reference engine records intervals and simulates prefetch.
"""

from __future__ import annotations

import numpy as np

from memgrain.sim.breakdown.launch import break_down, dispatch_time, launch_time
from memgrain.sim.engine import event_loop, tables
from memgrain.sim.engine.event_queue import EVENT
from memgrain.sim.engine.level_arrays import LevelArrays
from memgrain.sim.engine.outstanding import OUTSTANDING_LOAD
from memgrain.sim.engine.stream import ProgramStream
from memgrain.sim.engine_protocol import CAUSES, Execution
from memgrain.sim.levels.machine import PROBABILITY_BYTES, SCORE_BYTES, WORKSPACE, Machine
from memgrain.sim.native.jit import compile_once
from memgrain.workloads.trace import RUN, Trace


class CompiledEngine:
    """One trace on one machine."""

    def __init__(self, machine: Machine, trace: Trace, further: bool = False) -> None:
        """A `further` kernel of a sequence costs the chip's barrier, not a launch; so does a kernel that is joined to
        the one before it."""
        self.machine, self.trace = machine, trace
        self.launch = launch_time(machine.chip, trace, further)
        self.core, self.resident = machine.core, machine.resident(trace)
        self.levels = LevelArrays(machine)
        self.stream = ProgramStream(machine, trace)
        self.state = self._begin()

    def _begin(self) -> tables.LoopState:
        """The state in which nothing has begun: all slots are advanced at time 0, in order."""
        trace, core = self.trace, self.core
        slots, stages = self.resident * core.count, max(1, self.machine.loads_ahead(trace))
        progress = np.zeros(1, tables.PROGRESS)[0]
        progress.order = progress.events = slots
        progress.slot = progress.waking = -1
        events = np.zeros(2 * slots + 2, EVENT)
        events["order"][:slots] = events["target"][:slots] = np.arange(slots)
        exchange = np.zeros(1, RUN)
        exchange["count"], exchange["index"], exchange["tensor"] = 1, -1, len(trace.tensors)
        return tables.LoopState(
            constants=self._constants(),
            progress=progress,
            request=np.zeros(1, tables.REQUEST)[0],
            counts=np.zeros(1, tables.COUNTS)[0],
            slots=np.zeros(slots, tables.SLOT),
            positions=np.zeros((slots, tables.POSITIONS), tables.POSITION),
            loads=np.zeros((slots, stages), tables.LOAD),
            tile_ends=np.zeros((slots, max(1, self.machine.tiles_under_way)), np.int64),
            lists=np.zeros((slots, trace.lists_ahead + 1), np.int64),
            cores=np.zeros(core.count, tables.CORE),
            outstanding=np.zeros((core.count, 1 + self.resident * stages + self.machine.most_parts), OUTSTANDING_LOAD),
            round_ends=np.zeros((core.count, self.resident + 1), np.int64),
            events=events,
            waiting=np.zeros(slots, tables.WAITING),
            spent=np.zeros(len(self.levels.table) + tables.CAUSES, np.int64),
            exchange=exchange,
        )

    def _constants(self) -> np.record:
        """What does not change during the run."""
        machine, trace, core = self.machine, self.trace, self.core
        found = np.zeros(1, tables.CONSTANTS)[0]
        for field, value in {
            "cores": core.count,
            "path": self.levels.path_of(machine.top),
            "vector_path": self.levels.path_of(machine.vector_top),
            "stages": max(1, machine.loads_ahead(trace)),
            "lists_ahead": trace.lists_ahead,
            "most_in_flight": core.max_bytes_in_flight or 0,
            "in_parts": machine.most_parts > 0,
            "top_latency": machine.top.latency,
            "dispatch": dispatch_time(machine.chip, trace),
            "program_start": core.program_start or 0,
            "synchronous": trace.synchronous,
            "exchanges": machine.vectors_apart,
            "direct": machine.chip.exchange == "direct",
            "tiles": machine.tiles_under_way,
            "vector_cores": machine.vectors_per_core,
            "workspace_base": max((tensor.base + tensor.bytes for tensor in trace.tensors), default=0),
            "workspace": WORKSPACE,
            "max_programs": core.max_programs or 1,
            "score_bytes": SCORE_BYTES,
            "probability_bytes": PROBABILITY_BYTES,
            "one_result": trace.one_result,
            "levels": len(self.levels.table),
        }.items():
            found[field] = value
        return found

    def run(self) -> Execution:
        """See `Engine.run`."""
        self._refill()
        compile_once(event_loop.run, (self.stream.tables, self.state, self.levels.tables()))
        try:
            while (why := event_loop.run(self.stream.tables, self.state, self.levels.tables())) != tables.ENDED:
                if why == tables.MORE_PROGRAMS:
                    self._refill()
                elif why == tables.MORE_ROOM:
                    self.levels.make_room(self.stream.most_lines, int(self.state.constants.room))
                else:
                    self.levels.refuse()
        finally:
            self.levels.write_back()
        return self._execution()

    def _execution(self) -> Execution:
        """The outcome of the run."""
        counts, slots = self.state.counts, self.resident * self.core.count
        end = max(int(counts.end), int(self.state.progress.now))
        programs, merging = int(counts.programs), int(counts.merging)
        spent: dict[str, int] = {}
        for name, time in zip((*self.levels.stalls, *CAUSES), self.state.spent.tolist(), strict=True):
            if time:
                spent[name] = spent.get(name, 0) + time
        launched = min(slots, programs - merging)
        breakdown = break_down(self.launch, self.trace, self.core, launched, spent, slots, end)
        return Execution(
            time=breakdown["launch"] + end,
            launch=self.launch,
            breakdown=breakdown,
            census=self.stream.census,
            counts=self.stream.counts,
            programs=programs,
            tiles=int(counts.tiles),
            macs=int(counts.macs),
            flight_bytes=int(counts.flight_bytes),
            flight_byte_ns=int(counts.flight_byte_ns),
            oversize_bytes=int(counts.oversize_bytes),
            issue_time=int(counts.issue_time),
            merging=merging,
            merge_time=end - int(counts.merge_began) if merging else 0,
        )

    def _refill(self) -> None:
        """Make the next programs ready, and room in the caches for their requests."""
        progress = self.state.progress
        dropped = self.stream.refill(self.state.slots, self.state.positions)
        progress.next_program, progress.at_hand = 0, len(self.stream.tables.programs)
        progress.oldest = max(0, int(progress.oldest) - dropped)
        progress.exhausted = self.stream.exhausted
        self.levels.check(self.stream.tables.runs)
        self.state.constants.room = 2 * self.stream.most_lines + 2
        self.levels.make_room(self.stream.most_lines, int(self.state.constants.room))
