"""The tables of the compiled event loop as named records: the programs to run, and the state of the run.

All times are in ps. Records are described by their fields; an array of them is a table. See README.md beside this file
for the states of a slot.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgrain.sim.native.records import record_type

ENDED, MORE_PROGRAMS, MORE_ROOM, BEYOND, SERVE, WAIT, GO_ON = range(7)
"""Why the loop returns to Python: all has ended; the programs at hand are used up; a cache needs more room for data
under way; a line number is too large for a cache. And the outcomes of advancing a slot: the levels have to serve a
request; the slot waits for an event; it goes on at once."""
(
    IDLE,
    AT_BARRIER,
    OPENED,
    STARTED,
    AT_WORK,
    ISSUING,
    LIST_SERVED,
    LOAD_SERVED,
    DECIDING,
    EXCHANGING,
    EXCHANGE_SERVED,
    PRODUCTS_DONE,
    CODE_DONE,
    STORE_SERVED,
    WAITED,
    BUSY,
) = range(16)
"""States of a slot: what it does when it is advanced."""
(
    LATENCY,
    INDEX,
    IN_FLIGHT,
    BARRIER,
    START,
    MATMUL,
    VECTOR,
    CODE,
    COMPUTE,
    EXCHANGE,
    COMMANDS,
    STORE,
    CAUSES,
) = range(13)
"""What time is spent on, from entry `levels` of `spent` on, in the order of
`memgrain.sim.engine_protocol.CAUSES`; the entries before are the stalls for each level."""
ISSUE, AHEAD, COMPUTED, POSITIONS = range(4)
"""Positions of a slot in its program: the step whose load is issued next, the step whose index list is loaded next, and
the step that is computed next."""

PROGRAM = record_type("first_step", "steps", "chunk")
"""A program: its first step, how many it has, and its chunk."""
CHUNK = record_type("barrier", "costs", "once", "opens", "running", "left", "begun")
"""A chunk: whether it waits for the earlier ones, what that costs in ps, the computation outside its programs' steps,
when it opens (-1: not known yet), how many of its programs run, how many have not ended, whether one has begun."""
STEP = record_type(
    "first_run",
    "index_runs",
    "load_runs",
    "store_runs",
    "repeats",
    "computation",
    "rows",
    "columns",
    "width",
    "load_copies",
    "tile_copies",
    "first_part",
    "last_part",
)
"""A step: its runs, its repeats, its computation, rows and columns of its score tile and columns of the second
product's result, copies of its load and of a tile of scores that follow one another (0: copies overlap), and the parts
of its load."""
PART = record_type("first", "count", "in_flight")
"""A part of a load, which is requested at once: its runs, and what it counts for among the bytes in flight."""

CONSTANTS = record_type(
    "cores",
    # memory paths of the cores that run programs, and of the separate vector cores
    "path",
    "vector_path",
    # how far ahead loads and index lists are issued; bytes in flight of a core (0: no limit is reached); whether an
    # engine requests loads in parts, and so goes on while the core computes
    "stages",
    "lists_ahead",
    "most_in_flight",
    "in_parts",
    "top_latency",
    "dispatch",
    "program_start",
    # steps that may be open where a program waits for its stores; 0: it does not wait
    "synchronous",
    # exchange of scores: whether there is one, whether it passes no memory, tiles under way of a pipelined kernel (0:
    # it is none), vector cores of a matrix core, and where the workspaces of the slots lie
    "exchanges",
    "direct",
    "tiles",
    "vector_cores",
    "workspace_base",
    "workspace",
    "max_programs",
    "score_bytes",
    "probability_bytes",
    # whether a program has room for one result only
    "one_result",
    # levels of the machine, and the free entries that a cache must have for data under way
    "levels",
    "room",
)
"""What does not change during a run, but for `room`."""
PROGRESS = record_type(
    "now",
    # the event queue: the order number of the next event, and how many there are
    "order",
    "events",
    # slots that wait for the end of a chunk: the generation of chunk ends, the ring's first entry and number
    "generation",
    "first_waiting",
    "waiting",
    # programs: the next one, how many are at hand, and whether the trace has no more
    "next_program",
    "at_hand",
    "exhausted",
    # the slot that is advanced (-1: none), and the generation whose waiting slots are being woken (-1: none)
    "slot",
    "waking",
    # the oldest chunk with programs left, and until when the dispatcher is booked
    "oldest",
    "dispatched",
)
"""How far the run is."""
REQUEST = record_type("path", "first", "number", "times", "core", "copies", "done", "cause", "alone")
"""What the levels are to serve: the memory path, the first run (-1: that of an exchange), how many runs, the repeat,
the core, and the copies that follow one another; then their answer: when the data are there, what they waited for most,
and the time if nothing else occupied the core's engine and port."""
COUNTS = record_type(
    "end",
    "programs",
    "merging",
    "merge_began",
    "tiles",
    "flight_bytes",
    "flight_byte_ns",
    "oversize_bytes",
    "issue_time",
    "macs",
)
"""What a run counts: when its last store is done; programs, and those behind a barrier, and when these began; loads and
lists; bytes in flight and their product with time; bytes of loads above the limit of a core; time of issue slots;
multiply-accumulates."""
SLOT = record_type(
    "state",
    "chunk",
    "last_step",
    # when the slot began to wait, until when and for what; the time before its next program starts
    "began",
    "wake",
    "cause",
    "begin",
    # steps of its program with their repeats: all, issued and computed, and those issued and not yet done that do more
    # than load; first entry and number of its rings
    "steps",
    "issued",
    "computed",
    "open_steps",
    "first_load",
    "loads",
    "first_list",
    "lists",
    # of the load that is issued: parts issued, when the last of them is there, and what it waits for
    "part",
    "part_done",
    "part_cause",
    # until when it computes while it issues parts of loads (-1: it does not), and the state that follows
    "busy_until",
    "after",
    # when its computation ends; of an exchange of scores, how many parts were issued, when the last one is across
    "end_of_work",
    "parts",
    "across",
    # when its last result has left, and what it waits for, where it has room for one result only
    "stored",
    "stored_cause",
    # of a pipelined kernel's tile: the longest part of its stage, and the sums of those until its probabilities are
    # across and from then on
    "longest",
    "probabilities",
    "products",
    # its tiles under way: first entry and number of the ring of their ends, and the time from the end of the last one's
    # step until its products are across
    "first_tile",
    "tiles",
    "tail",
)
"""A slot for a program on a core; slot number = resident program x cores + core."""
POSITION = record_type("step", "times")
"""A position in a program: a step, and how often it was repeated."""
LOAD = record_type("done", "cause")
"""A load that was issued: when its data are there, and what they wait for."""
WAITING = record_type("slot", "generation")
"""A slot that waits for the end of a chunk, and for which generation."""
CORE = record_type("loads", "bytes_in_flight", "matmul_free", "vector_free", "issue_free", "computing")
"""A core: its outstanding loads and their bytes, until when its units and issue slots are booked, and how many entries
of `round_ends` it has."""


class ProgramTables(NamedTuple):
    """The programs at hand, with their steps, runs and computations."""

    programs: NDArray[np.void]
    """[program] of PROGRAM in launch order."""
    chunks: NDArray[np.void]
    """[chunk] of CHUNK."""
    steps: NDArray[np.void]
    """[step] of STEP."""
    parts: NDArray[np.void]
    """[part] of PART."""
    runs: NDArray[np.void]
    """RUN records of all steps, and of the parts of their loads."""
    indices: NDArray[np.int64]
    """What gathered runs point to."""
    computations: NDArray[np.void]
    """[computation] of units.COMPUTATION."""
    rounds: NDArray[np.int64]
    """Times of rounds through the units, in ps."""


class LoopState(NamedTuple):
    """The state of a run."""

    constants: np.record
    """CONSTANTS."""
    progress: np.record
    """PROGRESS."""
    request: np.record
    """REQUEST."""
    counts: np.record
    """COUNTS."""
    slots: NDArray[np.void]
    """[slot] of SLOT."""
    positions: NDArray[np.void]
    """[slot, POSITIONS] of POSITION."""
    loads: NDArray[np.void]
    """[slot, stages] of LOAD: a ring of loads that are not computed yet."""
    tile_ends: NDArray[np.int64]
    """[slot, tiles]: a ring of ends of tiles under way."""
    lists: NDArray[np.int64]
    """[slot, lists_ahead + 1]: a ring of times at which index lists are there."""
    cores: NDArray[np.void]
    """[core] of CORE."""
    outstanding: NDArray[np.void]
    """[core, loads] of OUTSTANDING_LOAD: a heap."""
    round_ends: NDArray[np.int64]
    """[core, slots of a core + 1]: ends of steps that go round the units."""
    events: NDArray[np.void]
    """[events] of EVENT: the event queue."""
    waiting: NDArray[np.void]
    """[slot] of WAITING: a ring of slots that wait for the end of a chunk."""
    spent: NDArray[np.int64]
    """[levels + CAUSES]: ps."""
    exchange: NDArray[np.void]
    """One RUN: the part of an exchange of scores that is issued."""
