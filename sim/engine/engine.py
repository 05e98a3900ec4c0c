"""A kernel in the compiled event loop: tables made of its trace and its machine, and what comes back.

It does what `memgrain.sim.reference.engine.Kernel` does, event by event, at a twentieth of the cost of a tile; that one
is the one to read. Intervals and prefetch beside the kernel are that one's alone.
"""

from __future__ import annotations

import numpy as np

from memgrain.sim.engine import event_loop as programs
from memgrain.sim.engine import outstanding as flights
from memgrain.sim.engine import tables, units
from memgrain.sim.engine.stream import Supply
from memgrain.sim.engine.wiring import Wiring
from memgrain.sim.levels.machine import PROBABILITY_BYTES, SCORE_BYTES, Machine
from memgrain.sim.native.jit import compile_once
from memgrain.sim.reference.engine import CAUSES, WORKSPACE, break_down, time_to_launch
from memgrain.workloads.trace import RUN, Trace


class Loop:
    """One trace running on one machine; the same front as `memgrain.sim.reference.engine.Kernel`."""

    intervals = None

    def __init__(self, machine: Machine, trace: Trace, further: bool = False) -> None:
        """See `Kernel`."""
        self.machine, self.trace = machine, trace
        self.launch = time_to_launch(machine.chip, trace, further)
        self.core, self.slots = machine.core, machine.resident(trace)
        self.spent: dict[str, int] = {}
        self.macs = self.tiles = self.programs = self.flight_bytes = self.flight_byte_ns = 0
        self.oversize_bytes = self.issue_time = self.merging = self.merge_time = 0
        self.levels = Wiring(machine)
        self.supply = Supply(machine, trace)
        self.census = self.supply.census
        self.stand = self._stand()

    def _stand(self) -> tables.Stand:
        """The state in which nothing has begun: all places have their turn at time 0, in order."""
        machine, trace, core = self.machine, self.trace, self.core
        places, stages, ahead = self.slots * core.count, max(1, trace.stages), trace.lists_ahead + 1
        facts = np.zeros(tables.STANDING, np.int64)
        for entry, value in {
            tables.CORES: core.count,
            tables.OWN: self.levels.chain_of(machine.top),
            tables.VECTOR_CHAIN: self.levels.chain_of(machine.vector_top),
            tables.STAGES: stages,
            tables.LISTS_AHEAD: trace.lists_ahead,
            tables.MOST_IN_FLIGHT: core.max_bytes_in_flight or 0,
            tables.TOP_LATENCY: machine.top.latency,
            tables.DISPATCH: machine.chip.dispatch or 0,
            tables.PROGRAM_START: core.program_start or 0,
            tables.EXCHANGES: machine.vectors_apart,
            tables.DIRECT: machine.chip.exchange == "direct",
            tables.SHARE: machine.vectors_per_core,
            tables.WORKSPACE_BASE: max((tensor.base + tensor.bytes for tensor in trace.tensors), default=0),
            tables.WORKSPACE: WORKSPACE,
            tables.MAX_PROGRAMS: core.max_programs or 1,
            tables.SCORE_BYTES: SCORE_BYTES,
            tables.PROBABILITY_BYTES: PROBABILITY_BYTES,
            tables.LEVELS: len(self.levels.table),
            tables.ORDER: places,
            tables.EVENTS: places,
            tables.PENDING: -1,
            tables.TOLD: -1,
        }.items():
            facts[entry] = value
        heap = np.zeros((2 * places + 2, 3), np.int64)
        heap[:places, 1] = heap[:places, 2] = np.arange(places)
        crossing = np.zeros(1, RUN)
        crossing["count"], crossing["index"], crossing["tensor"] = 1, -1, len(trace.tensors)
        return tables.Stand(
            facts,
            np.zeros((places, tables.PLACE), np.int64),
            np.zeros((places, stages, 2), np.int64),
            np.zeros((places, ahead), np.int64),
            np.zeros((core.count, 2 + self.slots * stages, flights.ENTRIES), np.int64),
            np.zeros((core.count, units.FREE + self.slots + 1), np.int64),
            heap,
            np.zeros((places, 2), np.int64),
            np.zeros(len(self.levels.table) + tables.CAUSES, np.int64),
            crossing,
        )

    def run(self) -> int:
        """Run to the end; returns the time in ps, the launch included, and leaves the breakdown in `spent`."""
        facts = self.stand.facts
        self._refill()
        compile_once(programs.run, (self.supply.work, self.stand, self.levels.arrays()))
        try:
            while (why := programs.run(self.supply.work, self.stand, self.levels.arrays())) != tables.ENDED:
                if why == tables.MORE_PROGRAMS:
                    self._refill()
                elif why == tables.MORE_ROOM:
                    self.levels.make_room(self.supply.most_lines, int(facts[tables.ROOM]))
                else:
                    self.levels.refuse()
        finally:
            self.levels.hand_back()
        end = max(int(facts[tables.END]), int(facts[tables.NOW]))
        self.macs, self.tiles = int(facts[tables.MACS]), int(facts[tables.TILES])
        self.programs = int(facts[tables.PROGRAMS])
        self.flight_bytes, self.flight_byte_ns = int(facts[tables.FLIGHT_BYTES]), int(facts[tables.FLIGHT_BYTE_NS])
        self.oversize_bytes = int(facts[tables.OVERSIZE_BYTES])
        places = self.slots * self.core.count
        self.issue_time, self.merging = int(facts[tables.ISSUE_TIME]), int(facts[tables.MERGING])
        self.merge_time = end - int(facts[tables.MERGE_BEGAN]) if self.merging else 0
        launched = min(places, self.programs - self.merging)
        for name, time in zip((*self.levels.stalls, *CAUSES), self.stand.spent.tolist(), strict=True):
            if time:
                self.spent[name] = self.spent.get(name, 0) + time
        self.spent = break_down(self.launch, self.trace, self.core, launched, self.spent, places, end)
        return self.spent["launch"] + end

    def _refill(self) -> None:
        """Make the next programs ready, and room for what they ask of the caches."""
        facts = self.stand.facts
        dropped = self.supply.refill(self.stand.places)
        facts[tables.NEXT], facts[tables.AT_HAND] = 0, len(self.supply.work.programs)
        facts[tables.OLDEST] = max(0, int(facts[tables.OLDEST]) - dropped)
        facts[tables.EXHAUSTED] = self.supply.exhausted
        self.levels.check(self.supply.work.runs)
        facts[tables.ROOM] = 2 * self.supply.most_lines + 2
        self.levels.make_room(self.supply.most_lines, int(facts[tables.ROOM]))
